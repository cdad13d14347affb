"""Objects that cannot be plugins are refused at registration, with the remedy."""

import functools

import pytest

from onstage import Bus, Callback, Run, hookimpl


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
        def on_epoch_end(self, log):
            pass

    assert refused(Asks()) == (
        "Asks.on_epoch_end must name its arguments from (epoch, logs, run), "
        "or take (epoch, logs) in this order, got (log); did you mean 'logs'?"
    )


@pytest.mark.parametrize("thing", [Callback, object(), 3, print, {"early_stopping": 3}])
def test_an_object_that_is_not_a_callback_is_refused(thing):
    with pytest.raises(TypeError):
        Run(callbacks=[thing])


def test_a_stage_that_is_no_function_is_refused():
    callback = Callback()
    callback.on_epoch_end = "print"

    assert "Callback.on_epoch_end must be a function or method, got 'print'" in refused(callback)


def test_a_function_whose_arguments_are_unknown_is_refused_with_the_remedy():
    callback = Callback()
    callback.on_epoch_end = max

    assert "wrap it in a lambda" in refused(callback)


def test_variadic_arguments_of_a_stage_that_keras_lacks_are_refused():
    class Forwards:
        def on_teardown(self, *args, **kwargs):
            pass

    message = refused(Forwards())
    assert "from (run), got (*args, **kwargs)" in message
    assert "use functools.wraps in a decorator" in message


def test_an_async_stage_is_refused():
    class Awaits:
        async def on_epoch_end(self, epoch):
            pass

    assert "Awaits.on_epoch_end must be a plain function, got an async one" in refused(Awaits())


def test_a_generator_that_is_not_marked_as_a_wrapper_is_refused():
    class Yields:
        def on_epoch_end(self, epoch):
            yield

    assert "only wrappers yield: @hookimpl(wrapper=True)" in refused(Yields())


def test_a_wrapper_without_a_yield_is_refused():
    class Wraps:
        @hookimpl(wrapper=True)
        def on_epoch_end(self, epoch):
            pass

    assert "Wraps.on_epoch_end must yield once, got no yield" in refused(Wraps())


def test_a_method_that_overrides_a_wrapper_without_being_one_is_refused_with_the_remedy():
    calls = []

    class Around:
        @hookimpl(wrapper=True)
        def on_epoch_end(self, epoch, logs=None):
            calls.append("in")
            return (yield)

    class Forwards(Around):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)

    class Wraps(Around):
        @hookimpl(wrapper=True)
        def on_epoch_end(self, epoch, logs=None):
            calls.append("outer")
            return (yield from super().on_epoch_end(epoch, logs))

    Bus([Wraps()]).fire("on_epoch_end", 0, {}, None)

    assert calls == ["outer", "in"]
    message = refused(Forwards())
    assert "Forwards.on_epoch_end must be a wrapper, as the method that it overrides" in message
    assert "return (yield from super().on_epoch_end(…))" in message


@pytest.mark.parametrize(
    ("theirs", "ours"),
    {
        "on_fit_start": "on_train_begin",
        "on_train_start": "on_train_begin",
        "on_train_epoch_start": "on_epoch_begin",
        "on_train_epoch_end": "on_epoch_end",
        "on_train_batch_start": "on_train_batch_begin",
        "on_validation_batch_end": "on_test_batch_end",
        "on_validation_epoch_end": "on_test_end",
        "on_validation_end": "on_test_end",
        "on_before_optimizer_step": "on_optimizer_step_begin",
        "on_fit_end": "on_train_end",
        "on_step_begin": "on_train_batch_begin",
        "on_step_end": "on_train_batch_end",
        "on_pre_optimizer_step": "on_optimizer_step_begin",
        "on_evaluate": "on_test_end",
    }.items(),
)
def test_a_stage_of_lightning_or_transformers_is_refused_with_our_name(theirs, ours):
    callback = type("Foreign", (), {theirs: lambda self, *args: None})()

    assert f"Foreign.{theirs} is not a stage; did you mean {ours!r}?" in refused(callback)


def test_a_decorated_method_receives_the_arguments_of_the_method_it_wraps():
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


def test_a_wrapper_of_on_teardown_is_refused():
    class Wraps:
        @hookimpl(wrapper=True)
        def on_teardown(self):
            yield

    assert "must not be a wrapper" in refused(Wraps())


def test_properties_are_not_evaluated_at_registration():
    class Explosive(Callback):
        @property
        def on_fire(self):
            raise AssertionError("was evaluated")

    Run(callbacks=[Explosive()])


def test_two_callbacks_of_one_class_get_different_names():
    class Twice(Callback):
        def on_train_end(self):
            pass

    run = Run(callbacks=[Twice(), Twice()])

    assert [name for name, _ in run.bus.plugins()] == ["Twice", "Twice-2", "History"]


def test_a_misspelt_stage_to_skip_is_refused():
    class Skips(Callback):
        skips = ("on_epoch_ends",)

        def on_epoch_end(self):
            pass

    with pytest.raises(TypeError, match=r"Skips.skips must name stages, got 'on_epoch_ends'; did you mean"):
        Bus([Skips()])
