"""The bus is a pluggy PluginManager, and its compiled calls differ from pluggy in nothing."""

import functools
import traceback
import types

import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage import Bus, Callback, OnstageWarning, Run, hookimpl, hookspec
from onstage.hookspecs import PROJECT, Stages

# ---------------------------------------------------------------- compiled against pluggy

SIGNATURES = [
    "self",
    "self, batch",
    "self, logs",
    "self, batch, logs",
    "self, logs, batch",
    "self, batch, logs, run",
    "self, batch, logs=None",
    "self, logs=None",
    "self, run=None, logs=None",
    "self, batch, extra=7, logs=None",
]


class Failure(Exception):
    pass


def make_plugin(number, signature, *, raises=False, first=False, last=False, wrapper=False, changes=None):
    """Write a plugin that records what it got; `changes` acts on the bus in mid-call."""
    names = [part.split("=")[0].strip() for part in signature.split(",")][1:]
    got = ", ".join(f"{name!r}: {name}" for name in names)
    after = "yield\n        self.calls.append(('after', self.number))" if wrapper else "pass"
    source = f"""
class Plugin:
    @hookimpl(tryfirst={first}, trylast={last}, wrapper={wrapper})
    def on_train_batch_end({signature}):
        self.calls.append((self.number, {{{got}}}))
        if self.changes:
            self.changes()
        if {raises}:
            raise Failure(self.number)
        {after}
"""
    namespace = {"hookimpl": hookimpl, "Failure": Failure}
    exec(source, namespace)
    plugin = namespace["Plugin"]()
    plugin.number, plugin.calls, plugin.changes = number, [], changes
    return plugin


specifications = st.lists(
    st.fixed_dictionaries(
        {
            "signature": st.sampled_from(SIGNATURES),
            "raises": st.sampled_from([False, False, False, False, True]),
            "order": st.sampled_from(["", "", "", "first", "last"]),
            "wrapper": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=6,
)


def outcome(specs, manager, call):
    calls = []
    for number, spec in enumerate(specs):
        plugin = make_plugin(
            number,
            spec["signature"],
            raises=spec["raises"],
            first=spec["order"] == "first",
            last=spec["order"] == "last",
            wrapper=spec["wrapper"],
        )
        plugin.calls = calls
        manager.register(plugin)
    logs = {"loss": 1.0}
    try:
        call(3, logs, "run")
    except Failure as failure:
        return calls, failure.args
    return calls, None


@given(specifications)
def test_compiled_calls_agree_with_pluggy(specs):
    reference = pluggy.PluginManager(PROJECT)
    reference.add_hookspecs(Stages)
    expected = outcome(
        specs, reference, lambda b, logs, r: reference.hook.on_train_batch_end(batch=b, logs=logs, run=r)
    )
    bus = Bus()

    seen = outcome(specs, bus, lambda b, logs, r: bus.fire("on_train_batch_end", b, logs, r))

    assert seen == expected


@given(specifications, st.integers(0, 5), st.sampled_from(["register", "unregister"]))
def test_a_change_of_the_registry_in_mid_call_acts_from_the_next_call(specs, at, change):
    def run_twice(manager, call):
        calls = []
        plugins = []
        late = make_plugin("late", "self, batch")
        late.calls = calls

        def act():
            plugins[at % len(plugins)].changes = None
            if change == "register":
                manager.register(late)
            else:
                manager.unregister(plugins[-1])

        for number, spec in enumerate(specs):
            plugin = make_plugin(number, spec["signature"], first=spec["order"] == "first")
            plugin.calls = calls
            plugins.append(plugin)
            manager.register(plugin)
        if plugins:
            plugins[at % len(plugins)].changes = act
        call(0)
        call(1)
        return calls

    reference = pluggy.PluginManager(PROJECT)
    reference.add_hookspecs(Stages)
    bus = Bus()

    expected = run_twice(
        reference, lambda batch: reference.hook.on_train_batch_end(batch=batch, logs={}, run=None)
    )
    seen = run_twice(bus, lambda batch: bus.fire("on_train_batch_end", batch, {}, None))

    assert seen == expected


def test_a_stage_that_nobody_implements_compiles_to_none():
    bus = Bus([Callback()])

    assert bus.stages.on_epoch_end is None
    assert bus.stages.on_train_batch_end is None


def test_logs_are_wanted_only_where_an_implementation_names_them():
    class Counts:
        def on_train_batch_end(self, batch):
            pass

    class Reads:
        def on_batch_end(self, logs):
            pass

    bus = Bus([Counts()])
    assert bus.stages.on_train_batch_end.reads_logs is False

    bus.register(Reads())
    assert bus.stages.on_train_batch_end.reads_logs is True


def test_call_monitoring_sees_compiled_stages_too():
    seen = []
    bus = Bus([make_plugin(0, "self, batch")])
    bus.fire("on_train_batch_end", 0, {}, None)

    undo = bus.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append((name, kwargs["batch"])), lambda *_: None
    )
    bus.fire("on_train_batch_end", 1, {}, None)
    undo()
    bus.fire("on_train_batch_end", 2, {}, None)

    assert seen == [("on_train_batch_end", 1)]


# ---------------------------------------------------------------- pluggy's own ways


def test_hooks_are_called_as_pluggy_users_expect(recording):
    bus = Bus()
    bus.register(recording, "recorder")

    bus.hook.on_epoch_end(epoch=2, logs={"loss": 0.5})

    assert recording.calls == [("on_epoch_end", 2, {"loss": 0.5})]
    assert bus.get_plugin("recorder") is recording


def test_list_order_is_call_order(new_recording):
    calls = []

    class Named(new_recording):
        def on_train_begin(self):
            calls.append(self.name)

    with Run(callbacks=[Named("a"), [Named("b"), Named("c")]]) as run:
        list(run.epochs())

    assert calls == ["a", "b", "c"]


def test_tryfirst_trylast_and_wrappers_work_as_in_pluggy():
    calls = []

    class Plain:
        def on_train_begin(self):
            calls.append("plain")

    class First:
        @hookimpl(tryfirst=True)
        def on_train_begin(self):
            calls.append("first")

    class Last:
        @hookimpl(trylast=True)
        def on_train_begin(self):
            calls.append("last")

    class Around:
        @hookimpl(wrapper=True)
        def on_train_begin(self, logs):
            calls.append("in")
            result = yield
            calls.append("out")
            return result

    with Run(callbacks=[Last(), Plain(), First(), Around()]) as run:
        list(run.epochs())

    assert calls == ["in", "first", "plain", "last", "out"]


def test_a_module_is_a_plugin():
    module = types.ModuleType("my_hooks")
    module.seen = []
    exec("def on_epoch_begin(epoch):\n    seen.append(epoch)", vars(module))

    with Run(callbacks=[module], epochs=2) as run:
        list(run.epochs())

    assert module.seen == [0, 1]


def test_a_method_put_on_the_instance_is_the_one_that_is_called():
    callback = Callback()
    seen = []
    callback.on_train_end = lambda logs: seen.append(logs)

    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert seen == [{}]


def test_super_of_a_base_method_is_there_and_is_not_registered():
    class Calls(Callback):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.epoch = epoch

    callback = Calls()
    bus = Bus([callback])

    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert callback.epoch == 0
    assert [impl.plugin for impl in bus.implementations("on_epoch_end")] == [callback]
    assert bus.implementations("on_epoch_begin") == []


def test_a_callback_that_was_written_for_keras_is_not_called_twice():
    def default(method):
        method._is_default = True
        return method

    class KerasBase:  # forwards as Keras's base class does, and marks what it merely offers
        @default
        def on_train_batch_end(self, batch, logs=None):
            self.on_batch_end(batch, logs=logs)

        @default
        def on_batch_end(self, batch, logs=None):
            pass

    class LossHistory(KerasBase):
        def __init__(self):
            self.losses = []

        def on_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

    callback = LossHistory()
    with Run(callbacks=[callback]) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)

    assert callback.losses == [1.0]


def test_the_callback_gets_model_params_and_run():
    class Keeps(Callback):
        def on_train_begin(self):
            self.seen = (self.model, self.params, self.run)

    class Model:
        pass

    model, callback = Model(), Keeps()
    with Run(model, callbacks=[callback], epochs=3, steps=5, batch_size=2, samples=10) as run:
        list(run.epochs())

    params = {"verbose": 0, "epochs": 3, "steps": 5, "batch_size": 2, "samples": 10}
    assert callback.seen == (model, params, run)


def test_a_stage_of_a_plugin_of_its_own_can_be_emitted():
    class MyStages:
        @hookspec
        def on_sample_drawn(self, sample, run=None):
            """Fire for each sample."""

    class Collects:
        def __init__(self):
            self.samples = []

        def on_sample_drawn(self, sample):
            self.samples.append(sample)

    collects = Collects()
    run = Run()
    run.bus.add_hookspecs(MyStages)
    run.bus.register(collects)
    with run:
        run.emit("on_sample_drawn", sample=3)

    assert collects.samples == [3]
    with pytest.raises(ValueError, match="got 'on_sample_lost'"):
        run.emit("on_sample_lost")


# ---------------------------------------------------------------- refused before any work


def refused(callback, error=TypeError):
    with pytest.raises(error) as caught:
        Run(callbacks=[callback])
    return str(caught.value)


def test_a_misspelt_stage_is_refused_with_the_right_name():
    class Misspelt(Callback):
        def on_epoch_ennd(self, epoch, logs):
            pass

    assert "did you mean 'on_epoch_end'?" in refused(Misspelt())


def test_an_argument_that_the_stage_does_not_offer_is_refused():
    class Asks:
        def on_epoch_end(self, epoch, log):
            pass

    message = refused(Asks())
    assert "'log', which on_epoch_end does not offer" in message
    assert "did you mean 'logs'?" in message


@pytest.mark.parametrize("thing", [Callback, object(), 3, print, {"early_stopping": 3}])
def test_what_is_no_callback_is_refused(thing):
    with pytest.raises(TypeError):
        Run(callbacks=[thing])


def test_a_method_that_pluggy_cannot_bind_is_refused_with_the_remedy():
    callback = Callback()
    callback.on_epoch_end = functools.partial(print)

    assert "wrap it in a lambda" in refused(callback)


def test_a_method_that_names_no_argument_but_takes_any_is_refused():
    class Forwards:
        def on_epoch_end(self, *args, **kwargs):
            pass

    assert "use functools.wraps" in refused(Forwards())


def test_a_decorated_method_gets_what_the_method_below_names():
    def logged(method):
        @functools.wraps(method)
        def wrapper(*args, **kwargs):
            return method(*args, **kwargs)

        return wrapper

    class Decorated:
        @logged
        def on_epoch_end(self, epoch, logs=None):
            self.seen = (epoch, logs)

    callback = Decorated()
    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert callback.seen == (0, {})


def test_a_wrapper_of_a_stage_that_is_called_one_by_one_is_refused():
    class Wraps:
        @hookimpl(wrapper=True)
        def on_teardown(self):
            yield

    assert "must not be a wrapper" in refused(Wraps())


def test_properties_are_not_run_while_looking_for_stages():
    class Explosive(Callback):
        @property
        def on_fire(self):
            raise AssertionError("was evaluated")

    Run(callbacks=[Explosive()])


def test_two_of_one_class_get_names_of_their_own():
    class Twice(Callback):
        def on_train_end(self):
            pass

    run = Run(callbacks=[Twice(), Twice()])

    assert [name for name, _ in run.bus.plugins()] == ["Twice", "Twice-2", "History"]


# ---------------------------------------------------------------- errors with names


def test_an_error_says_which_callback_stage_epoch_and_batch():
    class Fails:
        def on_train_batch_end(self, batch):
            if batch == 1:
                raise ZeroDivisionError("by design")

    with pytest.raises(ZeroDivisionError) as caught, Run(callbacks=[Fails()]) as run:
        for _ in run.epochs():
            for _ in run.batches([0.0, 0.0]):
                run.log(loss=0.0)

    assert caught.value.__notes__ == ["raised by callback Fails in on_train_batch_end, epoch 0, batch 1"]


def test_an_error_next_to_a_wrapper_is_named_too():
    class Around:
        @hookimpl(wrapper=True)
        def on_epoch_end(self):
            yield

    class Fails:
        def on_epoch_end(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught, Run(callbacks=[Around(), Fails()]) as run:
        list(run.epochs())

    assert caught.value.__notes__ == ["raised by callback Fails in on_epoch_end, epoch 0"]


def test_a_callback_may_be_left_out_when_it_fails(recording):
    class Weak(Callback):
        on_error = "disable"
        torn_down = 0

        def on_epoch_end(self, epoch):
            raise OSError("server away")

        def on_teardown(self):
            self.torn_down += 1

    weak = Weak()
    with (
        pytest.warns(OnstageWarning, match=r"callback Weak failed in on_epoch_end, epoch 0 and takes no"),
        Run(callbacks=[weak, recording], epochs=2) as run,
    ):
        list(run.epochs())

    assert recording.stages.count("on_epoch_end") == 2
    assert weak.torn_down == 1
    assert run.bus.disabled == ["Weak"]


def test_interrupts_are_never_disabled():
    class Weak(Callback):
        on_error = "disable"

        def on_epoch_end(self, epoch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Run(callbacks=[Weak()]) as run:
        list(run.epochs())


def test_errors_while_ending_become_notes_on_the_first(recording):
    class Fails:
        def on_epoch_end(self):
            raise ValueError("first")

        def on_exception(self):
            raise OSError("second")

        def on_teardown(self):
            raise RuntimeError("third")

    with pytest.raises(ValueError, match="first") as caught, Run(callbacks=[Fails(), recording]) as run:
        list(run.epochs())

    assert caught.value.__notes__[1:] == [
        "then callback Fails raised in on_exception: OSError: second",
        "then callback Fails raised in on_teardown: RuntimeError: third",
    ]
    assert recording.stages[-2:] == ["on_exception", "on_teardown"]


def test_an_error_in_teardown_alone_comes_out_after_all_are_torn_down(recording):
    class Fails:
        def on_teardown(self):
            raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        Run(callbacks=[recording, Fails(), recording.__class__()]) as run,
    ):
        list(run.epochs())

    assert recording.stages[-1] == "on_teardown"


def test_teardown_runs_in_reverse_order():
    order = []

    class Named:
        def __init__(self, name):
            self.name = name

        def on_teardown(self):
            order.append(self.name)

    with Run(callbacks=[Named("a"), Named("b")]):
        pass

    assert order == ["b", "a"]


def test_a_failure_in_set_model_still_tears_down(recording):
    class Refuses(Callback):
        def set_model(self, model):
            raise TypeError("wants another model")

    with pytest.raises(TypeError, match="another model"), Run(callbacks=[recording, Refuses()]):
        pytest.fail("was entered")

    assert recording.stages == ["on_exception", "on_teardown"]


class TakesPart(Callback):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls


def test_on_batch_end_is_another_name_of_on_train_batch_end():
    class Old(TakesPart):
        def on_batch_end(self, batch, logs):
            self.calls.append(self.name)

    class New(TakesPart):
        def on_train_batch_end(self, batch, logs):
            self.calls.append(self.name)

    calls = []
    bus = Bus([Old("first", calls), New("second", calls), Old("third", calls)])

    bus.fire("on_train_batch_end", 0, {}, None)
    bus.hook.on_train_batch_end(batch=0, logs={})
    bus.hook.on_batch_end(batch=0, logs={})

    assert calls == ["first", "second", "third"] * 3


def test_a_callback_with_both_names_is_called_once_by_the_longer_one():
    class Both(TakesPart):
        def on_batch_begin(self, batch):
            self.calls.append("on_batch_begin")

        def on_train_batch_begin(self, batch):
            self.calls.append("on_train_batch_begin")

        @hookimpl(specname="on_batch_end")
        def ends(self, batch):
            self.calls.append("on_batch_end")

        def on_train_batch_end(self, batch):
            self.calls.append("on_train_batch_end")

    calls = []
    bus = Bus([Both("both", calls)])

    for stage in ("on_train_batch_begin", "on_train_batch_end"):
        bus.fire(stage, 0, {}, None)

    assert calls == ["on_train_batch_begin", "on_train_batch_end"]


def test_order_marks_hold_over_both_names():
    class Last(TakesPart):
        @hookimpl(trylast=True)
        def on_batch_end(self):
            self.calls.append("last")

    class Plain(TakesPart):
        def on_train_batch_end(self):
            self.calls.append("plain")

    calls = []
    bus = Bus([Last("last", calls), Plain("plain", calls)])

    bus.fire("on_train_batch_end", 0, {}, None)

    assert calls == ["plain", "last"]


def test_an_object_skips_stages_that_its_class_acts_in():
    class Costly(TakesPart):
        def on_batch_end(self):
            self.calls.append("batch")

        def on_epoch_end(self):
            self.calls.append("epoch")

    calls = []
    frugal = Costly("frugal", calls)
    frugal.skips = ("on_train_batch_end",)
    bus = Bus([frugal])

    assert bus.stages.on_train_batch_end is None
    bus.fire("on_epoch_end", 0, {}, None)
    assert calls == ["epoch"]


def test_a_misspelt_stage_to_skip_is_refused():
    class Skips(Callback):
        skips = ("on_epoch_ends",)

        def on_epoch_end(self):
            pass

    with pytest.raises(TypeError, match=r"Skips.skips must name stages, got 'on_epoch_ends'; did you mean"):
        Bus([Skips()])


def test_a_traceback_shows_the_line_that_called_the_callback():
    class Fails:
        def on_epoch_end(self, epoch, logs):
            raise ValueError("no")

    bus = Bus([Fails()])

    with pytest.raises(ValueError, match="no") as caught:
        bus.fire("on_epoch_end", 0, {}, None)

    shown = "".join(traceback.format_exception(caught.value))
    assert "<onstage on_epoch_end" in shown
    assert "Fails_0(epoch, logs)" in shown
