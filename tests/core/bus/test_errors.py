"""An error names the callback that raised it, and every callback is torn down."""

import pytest

from onstage import Callback, OnstageWarning, Run, hookimpl


def test_an_error_names_callback_stage_epoch_and_batch():
    class Fails:
        def on_train_batch_end(self, batch):
            if batch == 1:
                raise ZeroDivisionError("by design")

    with pytest.raises(ZeroDivisionError) as caught, Run(callbacks=[Fails()]) as run:
        for _ in run.epochs():
            for _ in run.batches([0.0, 0.0]):
                run.log(loss=0.0)

    assert caught.value.__notes__ == ["raised by callback Fails in on_train_batch_end, epoch 1, batch 1"]


def test_an_error_inside_a_wrapper_names_the_callback_that_raised():
    class Around:
        @hookimpl(wrapper=True)
        def on_epoch_end(self):
            yield

    class Fails:
        def on_epoch_end(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught, Run(callbacks=[Around(), Fails()]) as run:
        list(run.epochs())

    assert caught.value.__notes__ == ["raised by callback Fails in on_epoch_end, epoch 1"]


def test_a_failing_callback_may_be_removed(recording):
    class Weak(Callback):
        on_error = "disable"
        torn_down = 0

        def on_epoch_end(self, epoch):
            raise OSError("server away")

        def on_teardown(self):
            self.torn_down += 1

    weak = Weak()
    with (
        pytest.warns(OnstageWarning, match="the training went on without: Weak"),
        pytest.warns(OnstageWarning, match=r"callback Weak failed in on_epoch_end, epoch 1 and takes no"),
        Run(callbacks=[weak, recording], epochs=2) as run,
    ):
        list(run.epochs())

    assert recording.stages.count("on_epoch_end") == 2
    assert weak.torn_down == 1
    assert run.bus.disabled == ["Weak"]


def test_an_interrupt_is_never_turned_into_a_warning():
    class Weak(Callback):
        on_error = "disable"

        def on_epoch_end(self, epoch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Run(callbacks=[Weak()]) as run:
        list(run.epochs())


def test_errors_while_a_run_ends_become_notes_on_the_first_error(recording):
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


def test_an_error_in_teardown_is_raised_after_all_callbacks_are_torn_down(recording):
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


def test_an_error_in_the_teardown_of_a_removed_callback_ends_nothing():
    class Weak(Callback):
        on_error = "disable"

        def on_epoch_end(self, epoch):
            raise OSError("server away")

        def on_teardown(self):
            raise OSError("still away")

    with (
        pytest.warns(OnstageWarning, match="the training went on without: Weak"),
        pytest.warns(OnstageWarning, match="Weak failed in on_teardown, epoch 1 too: OSError: still away"),
        pytest.warns(OnstageWarning, match="takes no further part: OSError: server away"),
        Run(callbacks=[Weak()], epochs=2) as run,
    ):
        list(run.epochs())

    assert run.history.epoch == [0, 1]
