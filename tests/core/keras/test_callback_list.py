"""CallbackList: a loop of one's own calls the stages by Keras's names."""

import pytest

from onstage import Callback
from onstage.keras.callbacks import BaseLogger, CallbackList, EarlyStopping, History
from onstage.testing import FakeModel, Recorder


class Fails(Callback):
    def on_epoch_end(self, epoch, logs):
        raise ZeroDivisionError("in the callback")


class Ends(Callback):
    def __init__(self):
        self.seen = []

    def on_exception(self, exception):
        self.seen.append(repr(exception))

    def on_teardown(self):
        self.seen.append("teardown")


def train(callbacks, losses):
    callbacks.on_train_begin()
    for epoch, loss in enumerate(losses):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_train_batch_begin(0)
        callbacks.on_train_batch_end(0, {"loss": loss})
        callbacks.on_epoch_end(epoch, {"loss": loss})
        if callbacks.stop_training:
            break
    callbacks.on_train_end({"loss": loss})


def test_a_callback_stops_the_loop_through_the_model():
    model = FakeModel()
    callbacks = CallbackList([EarlyStopping("loss", patience=1)], add_history=True, model=model)

    train(callbacks, [3.0, 1.0, 2.0, 0.0])

    assert model.history is callbacks.history
    assert callbacks.history.history == {"loss": [3.0, 1.0, 2.0]}
    assert callbacks.history.stopped_by == "EarlyStopping"
    assert model.stop_training


def test_a_list_without_a_model_knows_that_a_callback_stopped_it():
    callbacks = CallbackList(["early_stopping", BaseLogger()], epochs=3)
    callbacks.on_epoch_begin(0)
    callbacks.on_epoch_end(0, {"val_loss": 1.0})
    callbacks.on_epoch_begin(1)
    callbacks.on_epoch_end(1, {"val_loss": 2.0})

    assert callbacks.stop_training
    callbacks.on_train_end()


def test_a_list_trains_again():
    history = History()
    callbacks = CallbackList([history])

    train(callbacks, [1.0])
    train(callbacks, [3.0, 2.0])

    assert history.history == {"loss": [3.0, 2.0]}


def test_model_and_params_are_set_when_the_list_is_made():
    callback, model = Callback(), FakeModel()
    callbacks = CallbackList([callback], model=model, epochs=7, batches="many")

    assert callback.model is model
    assert callback.params == {"epochs": 7, "batches": "many"}
    assert callbacks.params == callback.params


def test_a_callback_appended_before_the_training_is_called():
    recorder = Recorder()
    callbacks = CallbackList()
    callbacks.append(recorder)

    callbacks.on_test_begin()
    callbacks.on_test_batch_begin(0)
    callbacks.on_test_batch_end(0, {"loss": 1.0})
    callbacks.on_test_end({"loss": 2.0})

    assert recorder.stages[:4] == ["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"]
    assert list(callbacks) == [recorder]


def test_an_error_in_a_callback_ends_the_run_with_exception_and_teardown():
    ends = Ends()
    callbacks = CallbackList([Fails(), ends])

    with pytest.raises(ZeroDivisionError) as caught:
        train(callbacks, [1.0])

    assert "Fails" in caught.value.__notes__[0]
    assert ends.seen == ["ZeroDivisionError('in the callback')", "teardown"]


def test_an_error_in_the_loop_reaches_the_callbacks_from_a_with_block():
    ends = Ends()

    with pytest.raises(KeyError), CallbackList([ends]) as callbacks:
        callbacks.on_epoch_begin(0)
        raise KeyError("in the loop")

    assert ends.seen == ["KeyError('in the loop')", "teardown"]


def test_fit_takes_a_list_as_it_takes_the_callbacks_in_it():
    from onstage import Sequential, layers

    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    recorder = Recorder()

    model.fit([[1.0]], [[1.0]], verbose=0, callbacks=CallbackList([recorder]))

    assert recorder.stages[0] == "on_train_begin"


def test_an_end_without_a_begin_is_refused():
    with pytest.raises(RuntimeError, match="on_epoch_end must come after on_epoch_begin"):
        CallbackList().on_epoch_end(0)


def test_the_model_of_an_open_training_stays():
    with CallbackList([BaseLogger()]) as callbacks:
        callbacks.on_train_begin()
        with pytest.raises(RuntimeError, match="set_model must be called before the training begins"):
            callbacks.set_model(FakeModel())


def test_the_progress_bar_is_added_unless_it_is_silent():
    shown, silent = (CallbackList(add_progbar=True, verbose=verbose, epochs=1, steps=1) for verbose in (2, 0))

    assert [type(each).__name__ for each in shown] == ["ProgbarLogger"]
    assert list(silent) == []
