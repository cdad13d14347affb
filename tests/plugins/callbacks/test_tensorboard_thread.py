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
from onstage_tensorboard.summaries import text
from onstage_tensorboard.writer_thread import AsyncWriter

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


def test_events_are_written_in_order(tmp_path, tfevents):
    files = AsyncWriter(tmp_path, "series")

    for step, name in enumerate(["a", "a", "b", "a"]):
        files.scalars("train", step, "batch_{}", {name: step})
        files.scalars("validation", step, "batch_{}", {"c": step})
    files.scalars("train", 4, "epoch_{}", {"a": 4})
    files.add("train", 5, text, "note", "…")
    files.scalars("train", 6, "epoch_{}", {"b": 7, "a": 6})
    files.close()

    train = tfevents.values_of(tmp_path / "train")
    assert [(tag, step, value.simple_value) for tag, step, value in train] == [
        *[("batch_a", 0, 0), ("batch_a", 1, 1), ("batch_b", 2, 2), ("batch_a", 3, 3), ("epoch_a", 4, 4)],
        *[("note", 5, 0), ("epoch_b", 6, 7), ("epoch_a", 6, 6)],
    ]
    assert tfevents.points(tmp_path / "validation")["batch_c"] == [(n, n) for n in range(4)]


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
    files = AsyncWriter(tmp_path, "series")

    for step in range(20_000):
        files.scalars("train", step, "{}", {"loss": step})
    files.close()

    assert tfevents.points(tmp_path / "train")["loss"] == [(step, step) for step in range(20_000)]


def test_histograms_are_made_by_the_writing_thread(tmp_path):
    makers = set()

    class Watched(np.ndarray):
        def ravel(self):
            makers.add(threading.current_thread().name)
            return np.asarray(self).ravel()

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

    # Two copies wait, one is being drawn, one is being made, and there are the model's own weights.
    assert peak < 7 * 2e6


def test_a_directory_that_cannot_be_made_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.warns(OnstageWarning, match=r"callback TensorBoard.*file") as caught:
        result = replay(TensorBoard(tmp_path / "file/logs", update_freq=1), LOGS, batches=200)

    assert result.epochs_run == 2
    assert result.run.bus.disabled == ["TensorBoard"]
    assert sum(str(warning.message).startswith("callback TensorBoard") for warning in caught) == 1
    assert not writers()


def test_an_error_of_the_last_write_is_a_warning_too(tmp_path):
    (tmp_path / "train").write_text("")

    with pytest.warns(OnstageWarning, match="callback TensorBoard"):
        result = replay(TensorBoard(tmp_path), LOGS[:1])

    assert result.epochs_run == 1
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
