"""TensorBoard's points, made many at once, are the events that protobuf makes one by one."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onstage_tensorboard import TensorBoard
from onstage_tensorboard.checksum import crc32c, crc32c_of_rows
from onstage_tensorboard.points import records
from onstage_tensorboard.summaries import escape, text
from onstage_tensorboard.writer_thread import AsyncWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary

from onstage import Callback
from onstage.testing import replay

STEPS = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))


@st.composite
def points_of_some_curves(draw):
    names = draw(st.lists(st.text("aé</ {}", max_size=200), min_size=1, max_size=4, unique=True))
    numbers = st.lists(st.floats(), min_size=len(names), max_size=len(names))
    return [
        ("train", step, time, "batch_{}", dict(zip(names, values, strict=True)))
        for step, time, values in draw(st.lists(st.tuples(STEPS, st.floats(0, 4e9), numbers), min_size=1))
    ]


def made_by_protobuf(run, step, time, pattern, values):
    summary = Summary(
        value=[
            Summary.Value(tag=escape(pattern.format(name)), simple_value=value)
            for name, value in values.items()
        ]
    )
    return Event(wall_time=time, step=step, summary=summary)


@given(points_of_some_curves())
def test_points_are_the_events_that_protobuf_makes(tmp_path_factory, tfevents, points):
    path = tmp_path_factory.getbasetemp() / "points"
    path.write_bytes(records(points))

    # Serialized again, so that NaN is NaN and a step's spare bytes are gone.
    assert [event.SerializeToString() for event in tfevents.records(path)] == [
        made_by_protobuf(*point).SerializeToString() for point in points
    ]


@pytest.mark.parametrize("length", [4, 5, 7, 8, 60, 507, 508, 511, 512, 513, 1020, 1021, 3000])
def test_checksums_of_rows_are_those_of_each(length):
    table = np.random.default_rng(length).integers(0, 256, (3, length), np.uint8)

    assert crc32c_of_rows(table).tolist() == [crc32c(row.tobytes()) for row in table]


def test_what_waits_is_written_in_its_order(tmp_path, tfevents):
    files, began, go_on = AsyncWriter(tmp_path, "series"), threading.Event(), threading.Event()

    def wait():
        began.set()
        assert go_on.wait(10)
        return []

    files.add("train", 0, wait)
    assert began.wait(10)
    for step, name in enumerate(["a", "a", "b", "a"]):
        files.points("train", step, "batch_{}", {name: step})
        files.points("validation", step, "batch_{}", {"c": step})
    files.points("train", 4, "epoch_{}", {"a": 4})
    files.add("train", 5, text, "note", "…")
    files.points("train", 6, "epoch_{}", {"a": 6, "b": 7})
    files.points("train", 7, "epoch_{}", {"b": 9, "a": 8})
    go_on.set()
    files.close()

    train = tfevents.values_of(tmp_path / "train")
    assert [(tag, step, value.simple_value) for tag, step, value in train] == [
        *[("batch_a", 0, 0), ("batch_a", 1, 1), ("batch_b", 2, 2), ("batch_a", 3, 3), ("epoch_a", 4, 4)],
        *[("note", 5, 0), ("epoch_a", 6, 6), ("epoch_b", 6, 7), ("epoch_a", 7, 8), ("epoch_b", 7, 9)],
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


def test_more_than_may_wait_is_written_all_the_same(tmp_path, tfevents):
    files = AsyncWriter(tmp_path, "series")

    for step in range(20_000):
        files.points("train", step, "{}", {"loss": step})
    files.close()

    assert tfevents.points(tmp_path / "train")["loss"] == [(step, step) for step in range(20_000)]
