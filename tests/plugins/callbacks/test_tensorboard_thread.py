"""TensorBoard writes in the background, and its errors reach the training."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard

from onstage import Callback, OnstageWarning
from onstage.testing import FakeModel, replay

LOGS = [
    {"loss": 0.5, "accuracy": 0.25, "val_loss": 0.75},
    {"loss": 0.25, "accuracy": 0.5, "val_loss": 0.625},
]


def writers():
    return [thread for thread in threading.enumerate() if thread.name == "onstage-tensorboard"]


def test_all_events_are_written_and_the_thread_has_ended_when_fit_returns(tmp_path, tfevents):
    for _ in range(3):
        replay(TensorBoard(tmp_path, update_freq=1), LOGS, batches=500)

        assert not writers()

    assert len(tfevents.points(tmp_path / "train")["batch_loss"]) == 3000


def test_events_are_written_in_order_with_those_of_other_callbacks(tmp_path, tfevents):
    board = TensorBoard(tmp_path, update_freq=1)

    class Draws(Callback):
        def on_train_batch_end(self, batch):
            board.writer.add_scalar("drawn", batch, board.params["steps"] + batch)

    replay([board, Draws()], LOGS[:1], batches=3)

    train = [tag for tag, _, _ in tfevents.values_of(tmp_path / "train")]
    of_batches = [tag for tag in train if tag in ("batch_loss", "drawn")]
    assert of_batches == ["batch_loss", "drawn"] * 3
    assert tfevents.points(tmp_path / "train")["drawn"] == [(3, 0.0), (4, 1.0), (5, 2.0)]


def test_metrics_that_come_and_go_have_their_own_points(tmp_path, tfevents):
    class Adds(Callback):
        def on_train_batch_end(self, batch, logs):
            if batch % 3 == 0:
                logs["norm"] = float(batch)

    replay([Adds(), TensorBoard(tmp_path, update_freq=1)], [{"loss": 0.5}], batches=10)

    curves = tfevents.points(tmp_path / "train")
    assert curves["batch_loss"] == [(n, 0.5) for n in range(1, 11)]
    assert curves["batch_norm"] == [(1, 0.0), (4, 3.0), (7, 6.0), (10, 9.0)]


def test_a_number_that_no_float32_can_hold_is_infinite(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), [{"loss": 1e300, "size": -1e300}])

    curves = tfevents.points(tmp_path / "train")
    assert curves["epoch_loss"] == [(0, float("inf"))]
    assert curves["epoch_size"] == [(0, float("-inf"))]


def test_more_events_than_the_queue_holds_are_all_written(tmp_path, tfevents):
    replay(TensorBoard(tmp_path, update_freq=1), LOGS[:1], batches=20_000)

    steps = [step for step, _ in tfevents.points(tmp_path / "train")["batch_loss"]]
    assert steps == list(range(1, 20_001))


def test_histograms_are_made_by_the_writing_thread(tmp_path):
    makers = set()

    class Watched(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            makers.add(threading.current_thread().name)
            return getattr(ufunc, method)(*map(np.asarray, inputs), **options)

    class Counts(FakeModel):
        def get_weights(self):
            return [weight.view(Watched) for weight in super().get_weights()]

    replay(TensorBoard(tmp_path, histogram_freq=1), LOGS, model=Counts())

    assert makers == {"onstage-tensorboard"}


def test_no_more_than_a_few_copies_of_the_weights_wait(tmp_path):
    class Large(FakeModel):
        def get_weights(self):
            return [np.ones(500_000, np.float32)]

    tracemalloc.start()
    try:
        replay(TensorBoard(tmp_path, histogram_freq=1), LOGS * 15, model=Large())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Two copies wait, one is being drawn (in float64: two more), one is being made, and there are
    # the model's own weights.
    assert peak < 8 * 2e6


def test_an_error_of_the_last_write_is_a_warning(tmp_path):
    class Blocks(Callback):
        def on_test_begin(self):
            (tmp_path / "validation").write_text("")

    with pytest.warns(OnstageWarning, match=r"callback TensorBoard.*validation") as caught:
        result = replay([TensorBoard(tmp_path), Blocks()], LOGS[:1])

    assert result.epochs_run == 1
    assert result.run.bus.disabled == ["TensorBoard"]
    assert sum(str(warning.message).startswith("callback TensorBoard") for warning in caught) == 1
    assert not writers()


FULL = """
    import resource, sys, warnings
    from onstage.testing import replay
    from onstage_tensorboard import TensorBoard

    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ran = replay(TensorBoard("logs", update_freq=1), [{"loss": 0.5}] * 3, batches=200).epochs_run
    print(ran, len(caught), "TensorBoard" in str(caught[0].message), "tfevents" in str(caught[0].message))
"""


def test_a_full_disk_ends_the_file_with_a_whole_record(tmp_path, tfevents):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL)], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.stdout.split() == ["3", "1", "True", "True"], done.stderr
    (path,) = (tmp_path / "logs/train").iterdir()
    assert 4900 < path.stat().st_size <= 5000
    assert list(tfevents.records(path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_neither_writes_nor_hangs(tmp_path, tfevents):
    class Forks(Callback):
        def on_train_batch_end(self, batch):
            if batch == 1:
                child = os.fork()
                if child == 0:
                    signal.alarm(10)
                    raise SystemExit(7)
                _, status = os.waitpid(child, 0)
                self.code = os.waitstatus_to_exitcode(status)

    forks, parent = Forks(), os.getpid()
    try:
        replay([TensorBoard(tmp_path, update_freq=1, hparams={"n": 1}), forks], LOGS[:1], batches=4)
    except SystemExit:
        os._exit(7 if os.getpid() != parent else 1)

    assert forks.code == 7
    assert [step for step, _ in tfevents.points(tmp_path / "train")["batch_loss"]] == [1, 2, 3, 4]
