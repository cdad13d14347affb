import warnings

import numpy as np
import pytest

from onstage import Callback
from onstage.model import Model
from onstage.testing import Event, FakeModel, Recorder, replay


class StopAt(Callback):
    def __init__(self, epoch):
        self.at = epoch

    def on_epoch_end(self, epoch):
        if epoch == self.at:
            self.stop("far enough")


def test_a_callback_sees_exactly_the_scripted_logs():
    seen = []

    class Reader(Callback):
        def on_epoch_end(self, epoch, logs):
            seen.append((epoch, logs))

    script = [{"loss": 0.1 + 0.2, "val_loss": 1 / 3}, {"loss": float("inf"), "note": "text"}]
    replay(Reader(), script, batches=3)

    assert seen == [(0, script[0]), (1, script[1])]


def test_the_result_names_epochs_run_stop_reason_and_callback():
    result = replay(StopAt(1), [{"loss": 1.0}] * 5)

    assert result.epochs_run == 2
    assert (result.stopped, result.stop_reason, result.stopped_by) == (True, "far enough", "StopAt")
    assert result.history.history == {"loss": [1.0, 1.0]}


def test_a_complete_run_was_not_stopped():
    result = replay(StopAt(9), [{"loss": 1.0}] * 2)

    assert (result.epochs_run, result.stopped, result.stop_reason) == (2, False, None)


def test_test_stages_fire_in_epochs_with_validation_values():
    stages = [
        event.stage for event in replay(Callback(), [{"loss": 1.0}, {"loss": 1.0, "val_loss": 2.0}]).trace
    ]

    assert stages == [
        "on_train_begin",
        *("on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"),
        "on_epoch_end",
        *("on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"),
        *("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"),
        "on_epoch_end",
        "on_train_end",
        "on_teardown",
    ]


def test_batches_may_be_scripted_one_by_one():
    losses = []

    class Reader(Callback):
        def on_train_batch_end(self, batch, logs):
            losses.append((batch, logs["loss"], self.run.batch_logs["loss"]))

    replay(Reader(), [{"loss": 9.0}], batches=[{"loss": 1.0}, {"loss": 3.0}, {"loss": 8.0}])

    assert losses == [(0, 1.0, 1.0), (1, 2.0, 3.0), (2, 4.0, 8.0)]


def test_a_stop_in_mid_epoch_skips_the_remaining_batches():
    class StopsAtOnce(Callback):
        def on_batch_end(self, batch):
            self.stop("enough")

    result = replay(StopsAtOnce(), [{"loss": 1.0}] * 3, batches=5)

    assert result.epochs_run == 1
    assert [event.stage for event in result.trace].count("on_train_batch_end") == 1


def test_the_weights_of_the_fake_model_count_the_batches():
    result = replay(Callback(), [{"loss": 1.0}] * 3, batches=2)

    assert [weight.tolist() for weight in result.model.get_weights()] == [[[6.0], [6.0]], [6.0]]
    assert result.model.calls["train_step"] == 6


def test_any_object_may_be_the_model():
    class Dummy:
        pass

    dummy = Dummy()

    assert replay(StopAt(0), [{"loss": 1.0}] * 2, model=dummy).model is dummy
    assert dummy.stop_training is True


def test_epochs_count_from_initial_epoch_and_params_are_replaced():
    class Reader(Callback):
        def on_epoch_begin(self, epoch):
            seen.append((epoch, self.params["epochs"], self.params["samples"]))

    seen = []
    replay(Reader(), [{"loss": 1.0}] * 2, initial_epoch=5, params={"samples": 100})

    assert seen == [(5, 7, 100), (6, 7, 100)]


def test_an_error_of_the_callback_is_raised():
    class Fails(Callback):
        def on_epoch_end(self):
            raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        replay(Fails(), [{"loss": 1.0}])


def test_recorder_records_stage_number_and_names_in_logs():
    recorder = Recorder()
    replay(recorder, [{"loss": 1.0, "accuracy": 0.5}])

    assert recorder.trace[0] == ("on_train_begin", None, ())
    assert Event("on_epoch_end", 0, ("accuracy", "loss")) in recorder.trace
    assert recorder.logs[recorder.stages.index("on_epoch_end")] == {"loss": 1.0, "accuracy": 0.5}
    assert recorder.stages[-1] == "on_teardown"


def test_recorder_records_the_class_of_an_error():
    recorder = Recorder()

    class Fails(Callback):
        def on_epoch_end(self):
            raise LookupError

    with pytest.raises(LookupError):
        replay([recorder, Fails()], [{"loss": 1.0}])

    assert recorder.trace[-2:] == [("on_exception", None, ("LookupError",)), ("on_teardown", None, ())]


def test_the_fake_model_implements_the_model_protocol():
    model = FakeModel()

    assert isinstance(model, Model)


def test_the_metrics_of_a_fitted_fake_model_follow_from_its_step_count():
    model = FakeModel()
    x, y = np.ones((4, 2)), np.ones((4, 1))

    history = model.fit(x, y, batch_size=2, epochs=2, verbose=0, validation_data=(x, y))

    # Before steps 0..3 the loss is 1, 1/2, 1/3, 1/4; after k steps it is 1/(1+k).
    assert history.history["loss"] == pytest.approx([(1 + 1 / 2) / 2, (1 / 3 + 1 / 4) / 2])
    assert history.history["val_loss"] == pytest.approx([1 / 3, 1 / 5])
    assert history.history["accuracy"] == pytest.approx([1 - 3 / 4, 1 - 7 / 24])
    assert model.predict(x, verbose=0).tolist() == [[12.0]] * 4


def test_the_fake_model_ends_with_its_average_under_ema():
    model = replay(Callback(), [{"loss": 1.0}] * 2, batches=2, model=FakeModel(use_ema=True)).model

    # Weights 1, 2, 3, 4; averages 1, 1.5, 2.25, 3.125 = 3 + 2 ** -3.
    assert model.get_weights()[1].tolist() == [3.125]


def test_the_fake_model_restores_its_state():
    model, other = FakeModel(), FakeModel(learning_rate=0.5)
    replay(Callback(), [{"loss": 1.0}] * 3, model=model)

    other.load_state_dict(model.state_dict())

    assert other.steps == 3
    assert other.learning_rate == 0.1
    assert other.get_weights()[1].tolist() == [3.0]


def test_the_fake_model_refuses_weights_of_another_shape():
    with pytest.raises(ValueError, match=r"must have the shapes \(2, 1\) and \(1,\), got \[\(3,\)\]"):
        FakeModel().set_weights([np.zeros(3)])


def test_the_fake_model_refuses_a_rate_under_a_schedule():
    with pytest.raises(TypeError, match="is a schedule"):
        FakeModel(scheduled=True).learning_rate = 0.5


def test_the_fake_model_writes_files_and_records_them(tmp_path):
    model = FakeModel()
    path = tmp_path / "model"

    model.save(path)
    model.save_weights(str(path) + "2")

    assert model.saved == [path, tmp_path / "model2"]
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        model.save(path, overwrite=False)


def test_replay_itself_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replay(Callback(), [{"loss": 1.0}])
