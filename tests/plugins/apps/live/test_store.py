"""The store: blocks of points in SQLite, resumes, restarts, retention."""

import math
import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest
from onstage_live.blocks import SIZE, Block, Curve, Point, mean_of
from onstage_live.store import Store

BATCHES = [{"event": "train_batch_end", "epoch": 0, "batch": n, "loss": n / 7} for n in range(3 * SIZE)]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def values(store, kind="batch", metric="loss", run="a"):
    return [point.value for point in store.points(run, kind, metric)]


def epochs(*losses, begin=0):
    return [{"event": "epoch_end", "epoch": n, "loss": loss} for n, loss in enumerate(losses, begin)]


def fill(store, column, run="a", **columns):
    """Publish a batch for each value, with the events' other fields."""
    events = [
        {"event": "train_batch_end", "epoch": 0, "batch": n, "loss": value}
        | {name: each[n] for name, each in columns.items()}
        for n, value in enumerate(column)
    ]
    store.publish(events, f"{run}.1", 0, "")
    store.flush()


# -- blocks


def test_a_stored_block_has_the_points_it_was_made_of():
    block = Block(3)
    points = [
        Point(n, n * n, n / 3, 1e9 + n, value) for n, value in enumerate([math.inf, 5e-324, -1e308, 0.1])
    ]
    for point in points:
        block.append(point)

    stored = block.row()[-5:]

    assert list(map(Point, *Block(3, stored).columns)) == points


def test_the_mean_of_the_largest_numbers_is_one_of_them():
    assert mean_of(np.array([1.7e308, 1.7e308, 1.7e308])) == 1.7e308
    assert mean_of(np.array([0.1, 0.1, 0.1])) == 0.1


@pytest.mark.parametrize(
    "column",
    [
        [1.0, np.nextafter(1.0, 2)] * 3000,
        [math.nan] * 6000,
        [math.inf, -math.inf] * 3000,
        [1e308, -1e308] * 3000,
        [5e-324, 0.0] * 3000,
    ],
)
def test_no_values_hang_or_overflow_a_curve(store, column):
    fill(store, column)

    curve, total = store.curve(("a", "batch", "loss"), "step", pixels=100)

    finite = [value for value in column if math.isfinite(value)]
    assert total == 6000
    assert len(curve.mean) <= 200
    if finite:
        assert (np.nanmin(curve.low), np.nanmax(curve.high)) == (min(finite), max(finite))
        assert np.all((curve.low <= curve.mean) & (curve.mean <= curve.high))
    else:
        assert np.all(np.isnan(curve.mean))


@pytest.mark.parametrize("pixels", [1, 2, 37, 800, 10_000])
def test_buckets_hold_every_extreme_and_the_mean_of_their_values(store, rng, pixels):
    column = rng.normal(size=5000)
    column[[17, 4000]] = -99, 99
    fill(store, column.tolist())

    curve, total = store.curve(("a", "batch", "loss"), "step", pixels=pixels)

    assert total == curve.counts.sum() == 5000
    assert len(curve.mean) <= 2 * pixels or len(curve.mean) == 5000 <= 2 * pixels
    assert (curve.low.min(), curve.high.max()) == (-99, 99)
    assert np.average(curve.mean, weights=curve.counts) == pytest.approx(column.mean())


def test_many_blocks_are_drawn_from_their_summaries_alone(store, rng):
    column = rng.normal(size=40 * SIZE)
    fill(store, column.tolist())
    store._db.execute("UPDATE blocks SET points = zeroblob(1)")  # unreadable

    curve, total = store.curve(("a", "batch", "loss"), "step", pixels=10)

    assert total == 40 * SIZE
    assert (curve.low.min(), curve.high.max()) == (column.min(), column.max())


def test_a_zoomed_curve_has_its_points_and_one_more_at_each_side(store):
    fill(store, [n / 7 for n in range(5 * SIZE)])

    curve, total = store.curve(("a", "batch", "loss"), "step", 2000, 2010)
    between, _ = store.curve(("a", "batch", "loss"), "step", 2000.2, 2000.8)

    assert curve.x().tolist() == list(range(1999, 2012))
    assert curve.mean.tolist() == [(n - 1) / 7 for n in range(1999, 2012)]
    assert between.x().tolist() == [2000, 2001]
    assert total == 5 * SIZE


def test_a_range_without_points_is_answered_by_the_nearest(store):
    fill(store, [1.0, 2.0])

    after, _ = store.curve(("a", "batch", "loss"), "step", 100, 200)
    none, total = store.curve(("a", "batch", "accuracy"), "step")

    assert after.mean.tolist() == [2.0]
    assert (len(none.mean), total) == (0, 0)


def test_a_clock_that_was_set_back_gives_an_ordered_curve(store):
    fill(store, [1.0, 2.0, 3.0], wall_time=[1000.0, 1010.0, 990.0])

    curve, _ = store.curve(("a", "batch", "loss"), "time")

    assert curve.x().tolist() == [990, 1000, 1010]
    assert curve.mean.tolist() == [3, 1, 2]


def test_equal_positions_are_reduced_by_their_order():
    ones = np.ones(1000)
    curve = Curve(ones, ones, np.arange(1000.0), np.arange(1000.0), np.arange(1000.0), ones, ones)

    assert curve.reduce(10).low.tolist() == list(range(0, 1000, 100))


# -- events


def test_repeated_events_are_stored_once(store):
    store.publish(BATCHES[:10], "a.1", 0, "")
    store.publish(BATCHES[5:20], "a.1", 5, "")
    store.flush()

    assert values(store) == [n / 7 for n in range(20)]


@pytest.mark.parametrize("cut", [0, 1, 5, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE + 5, 3 * SIZE])
def test_a_resumed_run_replaces_the_events_it_repeats_and_late_ones_are_skipped(store, cut):
    store.publish(BATCHES, "a.1", 0, "")
    again = [{**event, "loss": -1.0} for event in BATCHES[cut : cut + 10]]

    store.publish(again, "a.2", cut, "")
    store.publish(BATCHES[cut + 10 :], "a.1", cut + 10, "")  # from a spool of the first attempt
    store.flush()

    assert values(store) == [n / 7 for n in range(cut)] + [-1.0] * len(again)
    assert store.runs["a"].steps == cut + len(again)
    assert store.runs["a"].counts["batch"] == {"loss": cut + len(again)}


def test_a_resume_forgets_the_results_of_what_it_repeats(store):
    store.publish(epochs(0.5, 0.4, 0.1, 0.2), "a.1", 0, "")

    store.publish(epochs(0.3, begin=2), "a.2", 2, "")

    run = store.runs["a"]
    assert run.best["loss"] == {"value": 0.3, "epoch": 3}
    assert (run.epoch, run.last, run.state) == (3, {"loss": 0.3}, "running")


def test_a_run_that_is_resumed_before_its_first_point_is_empty(store):
    store.publish(epochs(0.5), "a.1", 0, "")

    store.publish([], "a.2", 0, "")
    store.flush()

    assert values(store, "epoch") == []
    assert store.runs["a"].count() == 0


def test_senders_without_a_name_are_told_apart_by_peer_and_epoch(store):
    for peer, event in [
        ("x", {"epoch": 0, "loss": 0.0}),
        ("x", {"epoch": 1, "loss": 0.1}),
        ("y", {"epoch": 0, "loss": 1.0}),
        ("x", {"epoch": 0, "loss": 2.0}),  # another training
        ("x", {"epoch": 2, "loss": 0.2}),
        ("x", {"epoch": 1, "loss": 2.1}),
    ]:
        store.publish([event], None, 0, peer)
    store.flush()

    found = [values(store, "epoch", run=run) for run in store.runs]
    assert found == [[0.0, 0.1, 0.2], [1.0], [2.0, 2.1]]


def test_a_deleted_run_does_not_come_back_with_the_rest_of_its_events(store):
    store.publish(BATCHES[:10], "a.1", 0, "")
    store.delete(store.runs["a"])

    store.publish(BATCHES[10:20], "a.1", 10, "")
    store.flush()

    assert store.runs == {}
    assert values(store) == []


# -- restarts


def test_a_restart_loses_nothing_and_goes_on(tmp_path):
    first = Store(tmp_path)
    first.publish([{"event": "train_begin", "model": "Net", "params": {"steps": 9}}], "a.1", 0, "")
    first.publish(BATCHES[: SIZE + 5], "a.1", 1, "")
    first.edit(first.runs["a"], {"note": "warm", "pinned": True})
    first.close()

    second = Store(tmp_path)
    second.publish(BATCHES[SIZE : SIZE + 10], "a.1", SIZE + 1, "")
    second.close()

    third = Store(tmp_path)
    assert values(third) == [n / 7 for n in range(SIZE + 10)]
    run = third.runs["a"]
    assert (run.model, run.note, run.pinned, run.steps) == ("Net", "warm", True, SIZE + 10)
    third.close()


def test_what_is_flushed_survives_a_killed_process(tmp_path):
    store = Store(tmp_path / "store")
    store.publish(BATCHES[:5], "a.1", 0, "")
    store.flush()
    (tmp_path / "copy").mkdir()
    for file in (tmp_path / "store").glob("runs*"):  # as a kill leaves them
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    store.close()

    copy = Store(tmp_path / "copy")

    assert values(copy) == [n / 7 for n in range(5)]
    copy.close()


def test_a_write_that_fails_is_done_by_the_next(store):
    store.publish(BATCHES[:5], "a.1", 0, "")
    store._db.execute("PRAGMA query_only = 1")  # as a full disk
    with pytest.raises(sqlite3.OperationalError):
        store.flush()
    store._db.execute("PRAGMA query_only = 0")
    store.publish(BATCHES[:7], "a.1", 0, "")  # repeated: it was not acknowledged

    store.flush()

    assert values(store) == [n / 7 for n in range(7)]


def test_one_store_is_used_by_one_server(store, tmp_path):
    with pytest.raises(RuntimeError, match=r"store .* must be used by one"):
        Store(tmp_path)


def test_a_store_of_another_version_is_refused(tmp_path):
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "runs.sqlite3", isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")

    with pytest.raises(RuntimeError, match="another version"):
        Store(tmp_path)


# -- retention


def over(store, name, days):
    store.publish([*epochs(0.5), {"event": "train_end"}], f"{name}.1", 0, "")
    store.flush()
    store.runs[name].updated = time.time() - days * 86_400


def test_old_runs_are_deleted_but_pinned_and_running_ones(store):
    for name, days in {"new": 1, "old": 9, "pinned": 9}.items():
        over(store, name, days)
    store.publish(epochs(0.5), "running.1", 0, "")
    store.edit(store.runs["pinned"], {"pinned": True})
    store.edit(store.runs["running"], {"updated": 0.0})

    assert store.retain(days=5, most=None) == ["old"]

    assert set(store.runs) == {"new", "pinned", "running"}
    assert values(store, "epoch", run="old") == []


def test_the_oldest_runs_above_a_number_are_deleted(store):
    for name, days in {"a": 3, "b": 1, "c": 2}.items():
        over(store, name, days)

    assert store.retain(days=None, most=2) == ["a"]
    assert store.retain(days=None, most=None) == []
