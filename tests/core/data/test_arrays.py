"""Arrays to batches: each sample once, in a repeatable order, never copied whole."""

import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.data import as_batches, split_validation
from onstage.errors import OnstageWarning, StateError
from onstage.state import storage


def _labels(batches):
    """Return one epoch's labels, batch by batch; copied, since buffers are reused."""
    return [y.copy() for _, y, _ in batches]


def _numbered(n, **options):
    """Return batches in which sample i is [i, -i], with label i and weight i / 2."""
    numbers = np.arange(n)
    return as_batches(np.stack([numbers, -numbers], axis=1), numbers, numbers / 2, **options)


@given(n=st.integers(1, 70), batch_size=st.integers(1, 80), shuffle=st.booleans(), seed=st.integers(0, 9))
def test_each_sample_comes_exactly_once_an_epoch_with_its_own_label_and_weight(n, batch_size, shuffle, seed):
    batches = _numbered(n, batch_size=batch_size, shuffle=shuffle, rng=np.random.default_rng(seed))

    for _ in range(2):
        seen = []
        for x, y, sample_weight in batches:
            np.testing.assert_array_equal(x, np.stack([y, -y], axis=1))
            np.testing.assert_array_equal(sample_weight, y / 2)
            seen.append(y.copy())
        assert sorted(np.concatenate(seen)) == list(range(n))
        assert [len(y) for y in seen[:-1]] == [batch_size] * (len(seen) - 1)
        assert len(seen) == batches.steps == -(-n // batch_size)


def test_unshuffled_batches_are_slices_of_the_array_in_its_order():
    x = np.arange(10.0)
    y = np.arange(10)

    batches = list(as_batches(x, y, batch_size=4))

    assert [part.tolist() for part, _, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(np.shares_memory(part, x) and np.shares_memory(labels, y) for part, labels, _ in batches)


def test_missing_labels_and_weights_are_none():
    assert [(len(x), y, w) for x, y, w in as_batches(np.zeros((3, 2)), batch_size=2)] == [
        (2, None, None),
        (1, None, None),
    ]


def test_the_default_batch_size_is_32():
    batches = as_batches(np.zeros((70, 1)))

    assert [len(x) for x, _, _ in batches] == [32, 32, 6]
    assert (batches.batch_size, batches.samples, batches.steps) == (32, 70, 3)


def test_the_same_seed_gives_the_same_orders_and_another_seed_others():
    def orders(seed):
        batches = _numbered(50, shuffle=True, rng=np.random.default_rng(seed))
        return [np.concatenate(_labels(batches)).tolist() for _ in range(3)]

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    first, second, third = orders(1)
    assert first != second != third != first


def test_shuffled_batches_reuse_one_buffer():
    x = np.arange(100.0).reshape(50, 2)

    addresses = {part.ctypes.data for part, _, _ in as_batches(x, batch_size=10, shuffle=True)}

    assert len(addresses) == 1


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x.astype(">f8"),
        lambda x: np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(np.float64).reshape(x.shape),
        lambda x: x.tolist(),
    ],
    ids=["Fortran order", "every second column", "big-endian", "unaligned", "nested lists"],
)
def test_any_memory_layout_yields_the_same_batches(layout):
    x = np.random.default_rng(0).normal(size=(20, 3))

    got = [
        part.copy()
        for part, _, _ in as_batches(layout(x), batch_size=8, shuffle=True, rng=np.random.default_rng(1))
    ]

    order = np.random.default_rng(1).permutation(20)
    np.testing.assert_array_equal(np.concatenate(got), x[order])


def test_specs_hold_the_shape_and_the_dtype_of_a_sample():
    batches = as_batches(np.zeros((4, 28, 28), np.float32), np.array([3, 0, 9, 1], np.int8))

    assert batches.x_spec == ((28, 28), np.float32)
    assert batches.y_spec == ((), np.int8)
    assert batches.y_range == (0, 9)


def test_labels_that_are_not_integers_have_no_range():
    assert as_batches(np.zeros((2, 1)), np.zeros(2)).y_range is None
    assert as_batches(np.zeros((2, 1))).y_range is None


# Saving the position, and resuming there.


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    steps=st.none() | st.integers(1, 9),
    shuffle=st.booleans(),
    data=st.data(),
)
@pytest.mark.filterwarnings("ignore:x ran out of data")
def test_a_run_stopped_after_any_batch_continues_with_the_next_one(n, batch_size, steps, shuffle, data):
    def make(seed):
        rng = np.random.default_rng(seed)
        return _numbered(n, batch_size=batch_size, steps=steps, shuffle=shuffle, rng=rng)

    whole = make(0)
    epochs = [[y.tolist() for y in _labels(whole)] for _ in range(4)]
    stop_epoch = data.draw(st.integers(0, 2))
    stop_batch = data.draw(st.integers(0, len(epochs[stop_epoch])))

    stopped = make(0)
    for _ in range(stop_epoch):
        for _ in stopped:
            pass
    epoch = iter(stopped)
    for _ in range(stop_batch):
        next(epoch)
    state = stopped.state_dict()
    resumed = make(99)
    resumed.load_state_dict(state)
    got = [[y.tolist() for y in _labels(resumed)] for _ in range(4 - stop_epoch)]

    assert got == [epochs[stop_epoch][stop_batch:], *epochs[stop_epoch + 1 :]]


def test_a_state_saved_between_epochs_starts_the_next_one():
    first = _numbered(10, batch_size=3, shuffle=True, rng=np.random.default_rng(0))
    second = _numbered(10, batch_size=3, shuffle=True, rng=np.random.default_rng(7))
    _labels(first)

    second.load_state_dict(first.state_dict())

    np.testing.assert_array_equal(np.concatenate(_labels(second)), np.concatenate(_labels(first)))


def test_an_abandoned_epoch_is_not_continued():
    stopped = _numbered(10, batch_size=3)
    next(iter(stopped))

    stopped.end_epoch()
    resumed = _numbered(10, batch_size=3)
    resumed.load_state_dict(stopped.state_dict())

    assert len(_labels(resumed)) == 4


@pytest.mark.parametrize("bit_generator", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_the_position_survives_a_state_file(tmp_path, bit_generator):
    batches = _numbered(20, batch_size=3, shuffle=True, rng=np.random.Generator(bit_generator(3)))
    epoch = iter(batches)
    next(epoch)
    storage.save(tmp_path / "place", batches.state_dict())
    resumed = _numbered(20, batch_size=3, shuffle=True, rng=np.random.Generator(bit_generator(4)))

    resumed.load_state_dict(storage.load(tmp_path / "place"))

    np.testing.assert_array_equal(np.concatenate(_labels(resumed)), np.concatenate(_labels(epoch)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n": 11}, "x must have the samples it was saved with, 10, got 11"),
        ({"batch_size": 4}, "x must have the batch_size it was saved with, 3, got 4"),
        ({"shuffle": False}, "x must be shuffled as when it was saved"),
        ({"rng": np.random.Generator(np.random.MT19937(0))}, "x's random state can't be restored"),
        ({"steps": 1}, "x must have the 2 batches yielded when it was saved, got 1"),
    ],
    ids=["length", "batch size", "order", "generator", "steps"],
)
def test_a_position_in_other_data_is_rejected(other, message):
    options = {"n": 10, "batch_size": 3, "shuffle": True}
    saved = _numbered(**options)
    epoch = iter(saved)
    next(epoch), next(epoch)

    with pytest.raises(StateError, match=message):
        _numbered(**{**options, **other}).load_state_dict(saved.state_dict())


def test_a_position_that_is_not_a_count_is_rejected():
    state = {**_numbered(4).state_dict(), "in_pass": -1}

    with pytest.raises(StateError, match="x's saved position must be two counts of batches, got -1, 0"):
        _numbered(4).load_state_dict(state)


# Epochs with a given number of steps; the expected lengths are Keras's.


@pytest.mark.parametrize(
    ("steps", "lengths", "warned"),
    [
        (5, [5, 5, 5, 5], []),
        (9, [9, 1, 9, 1], ["after 1 of 9", "after 1 of 9"]),
        (4, [4, 4, 2, 4], ["after 2 of 4"]),
        (12, [10, 10, 10, 10], ["after 10 of 12"] * 4),
    ],
)
def test_epochs_with_steps_continue_in_the_data_until_it_runs_out(steps, lengths, warned):
    batches = _numbered(20, batch_size=2, steps=steps)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        epochs = [_labels(batches) for _ in range(4)]

    assert [len(epoch) for epoch in epochs] == lengths
    assert [epoch[0][0] for epoch in epochs] == [0, *(np.cumsum(lengths[:3]) * 2 % 20)]
    assert [warning.category for warning in caught] == [OnstageWarning] * len(warned)
    for text, warning in zip(warned, caught, strict=True):
        assert f"x ran out of data {text} batches" in str(warning.message)
    assert batches.steps == steps


def test_each_pass_of_epochs_with_steps_has_each_sample_once_and_its_own_order():
    batches = _numbered(20, batch_size=2, steps=5, shuffle=True, rng=np.random.default_rng(0))

    epochs = [np.concatenate(_labels(batches)) for _ in range(4)]

    passes = [np.concatenate(epochs[:2]), np.concatenate(epochs[2:])]
    assert [sorted(numbers) for numbers in passes] == [list(range(20))] * 2
    assert passes[0].tolist() != passes[1].tolist()


@pytest.mark.parametrize(
    ("n", "steps", "lengths"),
    # ceil(100 / 2), ceil(20 / 4), and ceil(10 / 4), which leaves one for the last.
    [(100, 2, [50, 50]), (20, 4, [5, 5, 5, 5]), (10, 4, [3, 3, 3, 1]), (3, 1, [3])],
)
def test_steps_without_a_batch_size_cut_the_data_into_that_many_batches(n, steps, lengths):
    batches = _numbered(n, steps=steps)

    assert [len(labels) for labels in _labels(batches)] == lengths
    assert batches.steps == steps
    assert batches.batch_size == lengths[0]


def test_more_steps_than_batches_warn():
    batches = _numbered(10, steps=7)

    with pytest.warns(OnstageWarning, match="x ran out of data after 5 of 7 batches"):
        assert [len(labels) for labels in _labels(batches)] == [2] * 5


def test_restarted_batches_begin_with_the_first():
    batches = _numbered(20, batch_size=2, steps=3)
    _labels(batches)

    batches.restart()

    assert _labels(batches)[0].tolist() == [0, 1]


# Memory.


def _peak(iterable):
    tracemalloc.start()
    try:
        for _ in iterable:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_takes_at_most_a_tenth_of_the_data_s_memory(shuffle, order):
    x = np.zeros((20_000, 100), order=order)
    batches = as_batches(x, shuffle=shuffle)

    assert _peak(batches) < x.nbytes / 10


_UNDER_A_LIMIT = """
import resource, sys
import numpy as np
from onstage.data import as_batches
x = np.memmap(sys.argv[1], np.float32, "r", shape=(32_768, 2048))
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = used * 1024 + x.nbytes // 4
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.array(x)
except MemoryError:
    print("a copy doesn't fit")
batches = as_batches(x, batch_size=64, shuffle=sys.argv[2] == "shuffled")
print(sum(float(part[0, 0]) + len(part) for part, _, _ in batches))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what it should on Linux only")
@pytest.mark.parametrize("order", ["shuffled", "in order"])
def test_a_memmap_of_four_times_the_memory_limit_is_read_to_the_end(tmp_path, order):
    path = tmp_path / "x.bin"
    with path.open("wb") as file:
        file.truncate(32_768 * 2048 * 4)

    done = subprocess.run(
        [sys.executable, "-c", _UNDER_A_LIMIT, str(path), order], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines() == ["a copy doesn't fit", "32768.0"], done.stderr


# validation_split.


@pytest.mark.parametrize(
    ("n", "share", "train"),
    [
        (10, 0.9, 1),
        (10, 0.8, 2),
        (10, 0.25, 7),
        (6, 5 / 6, 1),
        (3, 2 / 3, 1),
        (7, 0.5, 3),
        (100, 0.1, 90),
        (1000, 0.999, 1),
    ],
)
def test_the_last_part_of_the_data_is_split_off(n, share, train):
    x = np.arange(n)

    (x_train, y_train, w_train), (x_val, y_val, w_val) = split_validation(x, x * 2, None, share)

    assert (x_train.tolist(), x_val.tolist()) == (list(range(train)), list(range(train, n)))
    assert (y_train.tolist(), y_val.tolist()) == ((2 * x_train).tolist(), (2 * x_val).tolist())
    assert w_train is w_val is None
    assert np.shares_memory(x_train, x)
    assert np.shares_memory(x_val, x)


@given(n=st.integers(2, 500), data=st.data())
def test_a_fraction_that_is_a_whole_number_of_samples_is_met_exactly(n, data):
    validation = data.draw(st.integers(1, n - 1))

    (x_train, _, _), (x_val, _, _) = split_validation(np.zeros(n), None, None, validation / n)

    assert (len(x_train), len(x_val)) == (n - validation, validation)


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_rejected(share):
    with pytest.raises(ValueError, match=r"validation_split must be a number in \(0, 1\), got"):
        split_validation(np.zeros(10), None, None, share)


@pytest.mark.parametrize("share", [True, "0.1"])
def test_a_fraction_that_is_not_a_number_is_rejected(share):
    with pytest.raises(TypeError, match=r"validation_split must be a number in \(0, 1\), got"):
        split_validation(np.zeros(10), None, None, share)


@pytest.mark.parametrize(("n", "share"), [(1, 0.5), (10, 0.95)])
def test_a_split_that_leaves_one_side_empty_is_rejected(n, share):
    with pytest.raises(ValueError, match=f"must leave samples on both sides, got {share} of {n} samples"):
        split_validation(np.zeros(n), None, None, share)


def test_only_arrays_can_be_split():
    with pytest.raises(
        ValueError, match="validation_split needs x to be an array, got generator; pass validation_data"
    ):
        split_validation((i for i in range(3)), None, None, 0.5)
