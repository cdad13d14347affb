"""A stage passes to each method the arguments that it names, or Keras's under any names."""

import functools
import traceback

import pytest

from onstage import Bus, Callback, Run, hookimpl
from onstage.hookspecs import ignores_logs

LOGS = {"loss": 0.5}


def method(signature, body="return dict(locals())"):
    namespace = {}
    exec(f"def method({signature}):\n    {body}", namespace)
    return namespace["method"]


def received(stage, signature):
    """Return what a method gets, through the compiled stage and through pluggy."""
    seen = []

    def keep(values):
        values.pop("self", None)
        seen.append(values)

    plain = method(signature)
    plugin = type("Plugin", (), {stage: plain})()
    wrapper = type("Wrapper", (), {stage: hookimpl(wrapper=True)(method("self", "return (yield)"))})()
    instrument = lambda stage, name, call: lambda *args, **kwargs: keep(call(*args, **kwargs))  # noqa: E731
    count = () if "train_begin" in stage else (3,)
    Bus([plugin], instrument=instrument).fire(stage, *count, LOGS, "run")
    name = "epoch" if "epoch" in stage else "batch"
    for plugins in ([plugin], [plugin, wrapper]):
        by_name = dict(zip((name,), count, strict=False))
        (through_pluggy,) = getattr(Bus(plugins).hook, stage)(**by_name, logs=LOGS, run="run")
        keep(through_pluggy)
    assert seen[0] == seen[1] == seen[2]
    return seen[0]


@pytest.mark.parametrize(
    ("stage", "signature", "expected"),
    [
        # By name.
        ("on_epoch_end", "self", {}),
        ("on_epoch_end", "self, logs", {"logs": LOGS}),
        ("on_epoch_end", "self, logs, epoch", {"logs": LOGS, "epoch": 3}),
        ("on_epoch_end", "self, run, epoch", {"run": "run", "epoch": 3}),
        ("on_epoch_end", "self, epoch, *, logs", {"epoch": 3, "logs": LOGS}),
        ("on_epoch_end", "self, epoch, logs=None, /", {"epoch": 3, "logs": LOGS}),
        ("on_epoch_end", "self, epoch, logs=None, extra=7", {"epoch": 3, "logs": LOGS, "extra": 7}),
        ("on_epoch_end", "self, epoch, extra=7, logs=None", {"epoch": 3, "logs": LOGS, "extra": 7}),
        ("on_epoch_end", "self, epoch, logs, **rest", {"epoch": 3, "logs": LOGS, "rest": {}}),
        ("on_epoch_end", "self, logs, epoch, *rest", {"logs": LOGS, "epoch": 3, "rest": ()}),
        # Keras's arguments in Keras's order.
        ("on_epoch_end", "self, e, x", {"e": 3, "x": LOGS}),
        ("on_epoch_end", "self, e, logs=None", {"e": 3, "logs": LOGS}),
        ("on_epoch_end", "self, epoch, log={}", {"epoch": 3, "log": LOGS}),
        ("on_epoch_end", "self, e, x, *, extra=7", {"e": 3, "x": LOGS, "extra": 7}),
        ("on_epoch_end", "self, *args", {"args": (3, LOGS)}),
        ("on_epoch_end", "self, *args, **kwargs", {"args": (3, LOGS), "kwargs": {}}),
        ("on_epoch_end", "self, epoch, *args", {"epoch": 3, "args": (LOGS,)}),
        ("on_epoch_end", "self, e, **kwargs", {"e": 3, "kwargs": {"logs": LOGS}}),
        ("on_epoch_end", "self, *args, run", {"args": (3, LOGS), "run": "run"}),
        ("on_epoch_end", "self, *args, logs=None", {"args": (3,), "logs": LOGS}),
        ("on_train_begin", "self, log={}", {"log": LOGS}),
        ("on_train_begin", "self, **kwargs", {"kwargs": {"logs": LOGS}}),
        # Keras passes the logs of a batch by keyword.
        ("on_train_batch_end", "self, step, x", {"step": 3, "x": LOGS}),
        ("on_train_batch_end", "self, batch, **kwargs", {"batch": 3, "kwargs": {"logs": LOGS}}),
        ("on_train_batch_end", "self, *args, **kwargs", {"args": (3,), "kwargs": {"logs": LOGS}}),
        ("on_train_batch_end", "self, *args", {"args": (3, LOGS)}),
    ],
)
def test_a_method_receives(stage, signature, expected):
    assert received(stage, signature) == expected


@pytest.mark.parametrize(
    ("stage", "signature", "message"),
    [
        ("on_epoch_end", "self, log", r"got \(log\); did you mean 'logs'"),
        ("on_epoch_end", "self, epoch, log={}, extra=7", r"got \(epoch, log, extra\); did you mean 'logs'"),
        ("on_epoch_end", "self, epoch, *, log=None", r"got \(epoch, log\); did you mean 'logs'"),
        ("on_epoch_end", "self, logs, epok", r"got \(logs, epok\); did you mean 'epoch'"),
        ("on_epoch_end", "self, e, run", r"got \(e, run\)"),
        ("on_epoch_end", "self, **kwargs", r"got \(\*\*kwargs\); name them, or use functools.wraps"),
        ("on_epoch_end", "self, *args, extra", r"got \(\*args, extra\)"),
        ("on_train_batch_end", "self, b, extra=7, **kwargs", r"got \(b, extra, \*\*kwargs\)"),
        ("on_train_batch_end", "self, b", r"or take \(batch, logs\) in this order, got \(b\)"),
        ("on_exception", "self, error", r"name its arguments from \(exception, run\), got \(error\)"),
        ("on_teardown", "self, *args", r"from \(run\), got \(\*args\); name them"),
        ("on_optimizer_step_begin", "self, b, g", r"from \(batch, gradients, run\), got \(b, g\)"),
    ],
)
def test_a_method_is_refused_that_would_lose_an_argument(stage, signature, message):
    plugin = type("Plugin", (), {stage: method(signature)})()

    with pytest.raises(TypeError, match=rf"Plugin\.{stage} must .*{message}"):
        Bus([plugin])


def test_a_refused_callback_is_not_registered():
    class Refused:
        def on_epoch_begin(self, e, x):
            pass

        def on_epoch_end(self, x):
            pass

    bus = Bus()
    with pytest.raises(TypeError):
        bus.register(Refused())

    assert bus.plugins() == []
    assert bus.implementations("on_epoch_begin") == []


def test_static_class_and_partial_methods_receive_arguments_under_any_names():
    seen = []

    class Mixed:
        @staticmethod
        def on_train_begin(x):
            seen.append(x)

        @classmethod
        def on_epoch_begin(cls, e, x):
            seen.append((cls, e, x))

        def keep(self, what, e, x):
            seen.append((self, what, e, x))

        on_epoch_end = functools.partialmethod(keep, "end")
        on_train_end = staticmethod(functools.partial(seen.append))  # a plain one is deprecated in a class

    mixed = Mixed()
    with Run(callbacks=[mixed]) as run:
        list(run.epochs())

    assert seen == [{}, (Mixed, 0, {}), (mixed, "end", 0, {}), {}]


def test_a_decorator_without_functools_wraps_passes_on_what_keras_passes():
    def logged(call):
        def wrapper(*args, **kwargs):
            return call(*args, **kwargs)

        return wrapper

    class Decorated:
        @logged
        def on_train_batch_end(self, batch, logs=None):
            self.seen = (batch, logs)

    callback = Decorated()
    Bus([callback]).fire("on_train_batch_end", 3, LOGS, None)

    assert callback.seen == (3, LOGS)


def test_wrappers_and_order_work_for_methods_under_any_names():
    calls = []

    class Plain:
        def on_epoch_end(self, epoch):
            calls.append("plain")

    class First:
        @hookimpl(tryfirst=True)
        def on_epoch_end(self, e, x):
            calls.append(("first", e, x))

    class Around:
        @hookimpl(wrapper=True)
        def on_epoch_end(self, e, x):
            calls.append(("in", e))
            yield
            calls.append("out")

    class Old:
        @hookimpl(hookwrapper=True)
        def on_epoch_end(self, e, x):
            calls.append(("old", e))
            yield

    Bus([Plain(), First()]).fire("on_epoch_end", 3, LOGS, None)
    Bus([Plain(), First(), Around(), Old()]).fire("on_epoch_end", 3, LOGS, None)

    assert calls == [("first", 3, LOGS), "plain", ("in", 3), ("old", 3), ("first", 3, LOGS), "plain", "out"]


def test_a_method_under_any_names_is_called_directly_by_the_compiled_stage():
    class Fails:
        def on_epoch_end(self, e, x):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        Bus([Fails()]).fire("on_epoch_end", 3, LOGS, None)

    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert frames[-2:] == ["on_epoch_end", "on_epoch_end"]  # the compiled stage, then the method
    assert "Fails_0(epoch, logs)" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("number", [0, 1])
def test_an_error_through_pluggy_names_the_callback_and_its_method(number):
    class Fails:
        def __init__(self, fails):
            self.fails = fails

        def on_epoch_end(self, e, x):
            if self.fails:
                raise ValueError("no")

    class Around:
        @hookimpl(wrapper=True)
        def on_epoch_end(self, epoch):
            return (yield)

    with (
        pytest.raises(ValueError, match="no") as caught,
        Run(callbacks=[Around(), Fails(number == 0), Fails(number == 1)]) as run,
    ):
        list(run.epochs())

    name = ["Fails", "Fails-2"][number]
    assert caught.value.__notes__ == [f"raised by callback {name} in on_epoch_end, epoch 1"]
    assert traceback.extract_tb(caught.tb)[-1].name == "on_epoch_end"


def test_stages_that_keras_lacks_take_keyword_only_arguments():
    heard = []

    class Hears:
        def on_exception(self, *, exception, extra=7):
            heard.append((type(exception), extra))

        def on_teardown(self, *, run=None):
            heard.append(run)

    with pytest.raises(ZeroDivisionError), Run(callbacks=[Hears()]) as run:
        raise ZeroDivisionError

    assert heard == [(ZeroDivisionError, 7), run]


def test_a_callable_object_is_a_stage():
    class Counts:
        calls = 0

        def __call__(self, e, logs):
            self.calls += 1

    class Plugin:
        on_epoch_end = Counts()

    bus = Bus([Plugin()])
    bus.fire("on_epoch_end", 3, LOGS, None)
    bus.hook.on_epoch_end(epoch=3, logs=LOGS)

    assert Plugin.on_epoch_end.calls == 2


def test_a_removed_plugin_takes_its_methods_under_any_names_along():
    class Any:
        def on_epoch_end(self, e, x):
            raise AssertionError("was called")

    plugin = Any()
    bus = Bus([plugin])
    callers = bus.get_hookcallers(plugin)
    bus.unregister(plugin)

    assert callers == [bus.hook.on_epoch_end]
    assert bus.stages.on_epoch_end is None


def test_a_blocked_name_registers_no_method_under_any_names():
    class Any:
        def on_epoch_end(self, e, x):
            raise AssertionError("was called")

    bus = Bus()
    bus.set_blocked("blocked")

    assert bus.register(Any(), "blocked") is None
    assert bus.stages.on_epoch_end is None


def test_logs_under_any_name_are_read_logs_unless_the_method_ignores_them():
    class Reads:
        def on_train_batch_end(self, b, x):
            pass

    class Ignores(Callback):
        @ignores_logs
        def on_train_batch_end(self, batch, logs=None):
            pass

    class ReadsAgain(Ignores):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)

    def reads(callback):
        return Bus([callback]).stages.on_train_batch_end.reads_logs

    assert [reads(Reads()), reads(Ignores()), reads(ReadsAgain())] == [True, False, True]
