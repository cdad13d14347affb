"""A training resumed from a checkpoint of Ignite continues its callbacks."""

import pytest

from onstage import Callback
from onstage.callbacks import EarlyStopping
from onstage.testing import Recorder


class CountsBatches(Callback):
    adds_logs = ("batches",)

    def on_train_begin(self):
        self.count = 0

    def on_train_batch_end(self):
        self.count += 1

    def on_epoch_end(self, logs):
        logs["batches"] = float(self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def callbacks():
    return [CountsBatches(), EarlyStopping("val_loss", patience=9, restore_best_weights=True)]


def new_training(trainings, *more):
    """Return a training and the objects that its checkpoints hold."""
    training = trainings.Training(momentum=0.9)
    own = callbacks()
    handler = training.attach([*own, *more])
    parts = {
        "model": training.module,
        "optimizer": training.optimizer,
        "trainer": training.trainer,
        "onstage": handler,
    }
    return training, parts, own


@pytest.mark.parametrize(
    ("event", "step", "batches"),
    [
        ("epoch", 6, [0, 1, 2]),  # before the epoch of the callbacks ends
        ("evaluation", 6, [0, 1, 2]),
        ("iteration", 5, [2]),
    ],
)
def test_the_callbacks_go_on_where_they_were(event, step, batches, trainings, tmp_path):
    from ignite.engine import Events
    from ignite.handlers import Checkpoint

    training, parts, _ = new_training(trainings)
    training.run(epochs=4)
    whole = parts["onstage"].history.history

    training, parts, _ = new_training(trainings)
    save = Checkpoint(parts, tmp_path, n_saved=None, filename_pattern="{global_step}.pt")
    save.global_step_transform = lambda *_: training.trainer.state.iteration
    engine, when = {
        "epoch": (training.trainer, Events.EPOCH_COMPLETED),
        "evaluation": (training.evaluator, Events.COMPLETED),
        "iteration": (training.trainer, Events.ITERATION_COMPLETED),
    }[event]
    engine.add_event_handler(when, save)
    training.run(epochs=2)

    recorder = Recorder()
    training, parts, own = new_training(trainings, recorder)
    Checkpoint.load_objects(parts, tmp_path / f"{step}.pt")
    training.trainer.state.max_epochs = 4
    training.run(epochs=4)

    begun = [event for event in recorder.trace if event.stage.endswith("begin")]
    assert [event.number for event in begun if event.stage == "on_epoch_begin"] == [1, 2, 3]
    numbers = [event.number for event in begun if event.stage == "on_train_batch_begin"]
    assert numbers == batches + [0, 1, 2] * (2 if event == "iteration" else 1)
    history = parts["onstage"].history.history
    assert history["batches"] == whole["batches"] == [3.0, 6.0, 9.0, 12.0]
    # In an epoch, Ignite feeds the first batch again.
    comparable = 1 if event == "iteration" else 4
    assert history["val_loss"][:comparable] == pytest.approx(whole["val_loss"][:comparable])
    assert own[1].best_epoch == 3
    assert len(own[1].best_weights) == 2


def test_a_state_ahead_of_the_trainer_is_dropped_with_a_warning(trainings, tmp_path):
    from ignite.engine import Events
    from ignite.handlers import Checkpoint

    from onstage import OnstageWarning

    training, parts, _ = new_training(trainings)
    training.trainer.add_event_handler(
        Events.EPOCH_COMPLETED, Checkpoint(parts, tmp_path, filename_pattern="last.pt", n_saved=None)
    )
    training.run(epochs=2)

    training, parts, _ = new_training(trainings)
    del parts["trainer"]
    Checkpoint.load_objects(parts, tmp_path / "last.pt")
    with pytest.warns(OnstageWarning, match="state of epoch 1, but Ignite begins at epoch 0"):
        training.run(epochs=1)

    assert parts["onstage"].history.history["batches"] == [3.0]


def test_a_checkpoint_after_the_training_has_no_state_of_callbacks(trainings):
    training, parts, _ = new_training(trainings)
    training.run(epochs=1)

    assert parts["onstage"].state_dict() == {}
    parts["onstage"].load_state_dict({})
    training.run(epochs=1)
    assert parts["onstage"].history.epoch == [0]
