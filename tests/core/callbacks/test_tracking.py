"""Tracker: a training is one run, whose metrics arrive with their steps, off the training thread."""

import json
import os
import threading

import numpy as np
import pytest
from lines_tracker import LOGS, Lines, points, read

from onstage import Callback, Run
from onstage.testing import FakeModel, replay


class Fails(Callback):
    """Raises an error at the beginning of an epoch."""

    def __init__(self, error, epoch=2):
        self.error, self.at = error, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise self.error


# -- metrics


def test_each_epoch_is_logged_with_its_number_its_time_and_the_learning_rate(path):
    replay(Lines(path), [dict(one) for one in LOGS], model=FakeModel(learning_rate=0.125), initial_epoch=4)

    assert points(path, "loss") == [(4, 0.75), (5, 0.5), (6, 0.25)]
    assert points(path, "val_loss") == [(4, 1.0), (5, 0.75), (6, 0.5)]
    assert points(path, "learning_rate") == [(4, 0.125), (5, 0.125), (6, 0.125)]
    times = [time for part in read(path, "points") for _, _, time, _ in part]
    assert times == sorted(times)
    assert 0 <= path.stat().st_mtime - times[0] < 60


def test_only_numbers_are_logged_and_a_learning_rate_of_the_logs_counts(path):
    logs = {"loss": np.float32(0.5), "learning_rate": 0.0625, "text": "x", "values": np.ones(3), "n": 2}

    replay(Lines(path), [logs])

    (((_, _, _, values),),) = read(path, "points")
    assert values == {"loss": 0.5, "learning_rate": 0.0625, "n": 2.0}


@pytest.mark.parametrize(
    ("update_freq", "steps"),
    [("epoch", []), ("batch", [1, 2, 3, 4, 5, 6]), (1, [1, 2, 3, 4, 5, 6]), (4, [4])],
)
def test_batches_are_logged_at_their_number_across_epochs(path, update_freq, steps):
    replay(Lines(path, update_freq=update_freq), [dict(one) for one in LOGS[:2]], batches=3)

    assert [step for step, _ in points(path, "batch_loss", "batch")] == steps


def test_metrics_of_batches_are_computed_only_for_a_tracker_that_logs_them(path):
    def readers(update_freq):
        run = Run(FakeModel(), [Lines(path, update_freq=update_freq)])
        return [impl.plugin_name for impl in run.bus.implementations("on_train_batch_end")]

    assert readers("epoch") == []
    assert readers(10) == ["Lines"]


def test_a_slow_tracker_neither_delays_training_nor_loses_points(path):
    trained = threading.Event()

    class Slow(Lines):
        in_time = True

        def log(self, points):
            self.in_time &= trained.wait(60)
            super().log(points)

    class Ends(Callback):
        def on_train_end(self, logs=None):
            trained.set()

    tracker = Slow(path, update_freq="batch")
    replay([tracker, Ends()], [{"loss": 0.5}] * 4, batches=25)

    assert tracker.in_time
    assert [step for step, _ in points(path, "batch_loss", "batch")] == list(range(1, 101))
    assert [step for step, _ in points(path, "loss")] == [0, 1, 2, 3]
    assert len(read(path, "points")) <= 2  # one that waited for the end, one with the others
    assert set(read(path, "thread")) == {"onstage-slow"}
    assert read(path, "status") == ["finished"]


# -- the run of the tracker


def test_each_training_is_a_run_of_its_own(path):
    tracker = Lines(path, update_freq=1)
    ids = []
    for _ in range(2):
        replay(tracker, [{"loss": 0.5}], batches=2)
        ids.append(tracker.run_id)

    assert ids == read(path, "run_id") == ["run 0", "run 1"]
    assert points(path, "batch_loss", "batch") == [(1, 0.5), (2, 0.5)] * 2
    assert read(path, "status") == ["finished"] * 2


@pytest.mark.parametrize(("error", "status"), [(ValueError("x"), "failed"), (KeyboardInterrupt(), "killed")])
def test_an_error_ends_the_run_with_its_status_after_all_points(path, error, status):
    with pytest.raises(type(error)):
        replay([Lines(path), Fails(error)], [dict(one) for one in LOGS])

    assert points(path, "loss") == [(0, 0.75), (1, 0.5)]
    assert json.loads(path.read_text().splitlines()[-1]) == {"status": status, "summary": {}}


def test_a_stop_ends_the_run_as_finished_with_its_reason(path):
    class Stops(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.stop("good enough")

    replay([Lines(path), Stops()], [dict(one) for one in LOGS])

    assert read(path, "status") == ["finished"]
    assert read(path, "summary") == [{"stop_reason": "good enough", "stopped_by": "Stops"}]


def test_only_rank_zero_logs(path):
    second = FakeModel()
    second.rank = 1

    replay(Lines(path), [dict(one) for one in LOGS], model=second)

    assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_neither_logs_nor_ends_the_run(path):
    class Forks(Callback):
        def on_epoch_end(self, epoch, logs=None):
            pid = os.fork()
            if pid == 0:
                try:
                    tracker.on_epoch_end(99, {"loss": 0.0})
                    tracker.on_teardown()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)

    tracker = Lines(path)
    replay([tracker, Forks()], [dict(one) for one in LOGS])

    assert points(path, "loss") == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert read(path, "status") == ["finished"]


# -- resume


class Saves(Callback):
    """Saves the state of the run after a batch, or at the end of an epoch, and ends the training."""

    def __init__(self, epoch, batch=None):
        self.at = epoch, batch

    def on_train_batch_end(self, batch, logs=None):
        if (self.run.epoch, batch) == self.at:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch, None) == self.at:
            self.save()

    def save(self):
        self.state = self.run.state_dict()
        raise RuntimeError("killed")


def train(callbacks, state=None):
    with Run(FakeModel(), callbacks, epochs=3, steps=3) as run:
        if state is not None:
            run.load_state_dict(state)
        for epoch in run.epochs():
            for batch in run.batches(range(3)):
                run.log(loss=float(3 * epoch + batch))


@pytest.mark.parametrize("at", [(1, None), (1, 1)], ids=["an epoch", "a batch"])
def test_a_training_that_was_saved_after_is_continued_in_its_run(path, at):
    saves = Saves(*at)
    with pytest.raises(RuntimeError, match="killed"):
        train([Lines(path, update_freq=1), saves])
    resumed = Lines(path, update_freq=1)
    train([resumed], saves.state)

    assert read(path, "run_id") == ["run 0", "run 0"]
    assert resumed.run_id == "run 0"
    assert points(path, "loss") == [(0, 1.0), (1, 4.0), (2, 7.0)]
    means = [0.0, 0.5, 1.0, 3.0, 3.5, 4.0, 6.0, 6.5, 7.0]  # of the batches of an epoch so far
    assert points(path, "batch_loss", "batch") == list(enumerate(means, 1))
    assert read(path, "status") == ["failed", "finished"]


def test_a_saved_training_without_a_tracker_is_continued_in_a_new_run(path):
    saves = Saves(1, 1)
    with pytest.raises(RuntimeError, match="killed"):
        train([saves])
    train([Lines(path)], saves.state)

    assert read(path, "run_id") == ["run 0"]
    assert points(path, "loss") == [(1, 4.0), (2, 7.0)]
