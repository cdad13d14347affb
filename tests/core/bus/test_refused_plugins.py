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
        def on_epoch_end(self, epoch, log):
            pass

    message = refused(Asks())
    assert "'log', which on_epoch_end does not offer" in message
    assert "did you mean 'logs'?" in message


@pytest.mark.parametrize("thing", [Callback, object(), 3, print, {"early_stopping": 3}])
def test_an_object_that_is_not_a_callback_is_refused(thing):
    with pytest.raises(TypeError):
        Run(callbacks=[thing])


def test_a_method_that_pluggy_cannot_bind_is_refused_with_the_remedy():
    callback = Callback()
    callback.on_epoch_end = functools.partial(print)

    assert "wrap it in a lambda" in refused(callback)


def test_a_method_that_declares_only_variadic_arguments_is_refused():
    class Forwards:
        def on_epoch_end(self, *args, **kwargs):
            pass

    assert "use functools.wraps" in refused(Forwards())


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
