"""Data for fit: arrays, tensors, nests of them, datasets, loaders, iterables."""

import math
import random

import numpy as np
import pytest

from onstage import OnstageWarning, StateError
from onstage.state import storage

torch = pytest.importorskip("torch")

from onstage_torch.data.batches import make_batches  # noqa: E402
from onstage_torch.state_encoding import random_states, set_random_states  # noqa: E402
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset  # noqa: E402

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10)


def firsts(batches):
    """Return each batch's y."""
    return [np.asarray(y).tolist() for _, y, _ in batches]


class Pairs(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, n):
        return X[n], Y[n]


class Indexed:
    """Batches by number, without an __iter__."""

    def __len__(self):
        return 3

    def __getitem__(self, n):
        return X[4 * n : 4 * n + 4], Y[4 * n : 4 * n + 4]


SOURCES = {
    "arrays": lambda: make_batches(X, Y, batch_size=4),
    "tensors": lambda: make_batches(torch.from_numpy(X), torch.from_numpy(Y), batch_size=4),
    "lists": lambda: make_batches(X.tolist(), Y.tolist(), batch_size=4),
    "float64": lambda: make_batches(X.astype(float), Y, batch_size=4),
    "reversed view": lambda: make_batches(X[::-1][::-1], Y[::-1][::-1], batch_size=4),
    "dataset": lambda: make_batches(Pairs(), batch_size=4),
    "loader": lambda: make_batches(DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), 4)),
    "list of batches": lambda: make_batches([(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:], Y[8:])]),
    "indexed": lambda: make_batches(Indexed()),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_each_kind_of_data_yields_the_same_batches_every_epoch(kind):
    batches = SOURCES[kind]()

    for _ in range(2):
        assert firsts(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches.steps == 3


def test_a_generator_yields_its_batches_once_and_warns_when_it_ends():
    batches = make_batches(((X[n : n + 2], Y[n : n + 2]) for n in range(0, 10, 2)), steps=2)

    assert [firsts(batches), firsts(batches)] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    with pytest.warns(OnstageWarning, match="x ran out of data after 1 of 2 batches"):
        assert firsts(batches) == [[8, 9]]
    assert batches.exhausted


@pytest.mark.parametrize(
    "data",
    [(X, Y), (torch.from_numpy(X), torch.from_numpy(Y)), (Pairs(),)],
    ids=["arrays", "tensors", "dataset"],
)
def test_steps_without_a_batch_size_cut_the_data_into_that_many_batches(data):
    batches = make_batches(*data, steps=3)

    assert firsts(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches.steps == 3
    assert batches.batch_size == 4


def test_arrays_are_shuffled_again_each_epoch_and_repeatably():
    def orders(seed):
        batches = make_batches(X, Y, batch_size=4, shuffle=True, rng=np.random.default_rng(seed))
        return [[y for ys in firsts(batches) for y in ys] for _ in range(2)]

    first, second = orders(1)

    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert orders(1) == [first, second]
    assert orders(2) != [first, second]


def test_a_memmap_is_read_batch_by_batch_and_not_changed(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")

    batches = make_batches(mapped, Y, batch_size=4, shuffle=True, rng=np.random.default_rng(0))
    rows = np.concatenate([x for x, _, _ in batches])

    np.testing.assert_array_equal(np.sort(rows, axis=0), X)


def test_batches_of_a_shuffled_pass_have_memory_of_their_own():
    kept = list(make_batches(X, Y, batch_size=4, shuffle=True, rng=np.random.default_rng(0)))

    assert sorted(y for ys in firsts(kept) for y in ys) == list(range(10))


def test_nests_keep_their_shape():
    inputs = {"left": X, "both": (X, -X)}

    x, _, _ = next(iter(make_batches(inputs, Y, batch_size=3)))

    assert x["left"].tolist() == X[:3].tolist()
    assert x["both"][1].tolist() == (-X[:3]).tolist()


def test_class_weights_become_sample_weights():
    y = np.array([0, 1, 2, 1, 0, 0, 0, 0, 0, 0])
    table = {0: 0.5, "1": 3.0}

    by_array = [w.tolist() for _, _, w in make_batches(X, y, batch_size=4, class_weight=table)]
    by_loader = [
        w.tolist() for _, _, w in make_batches([(X[:4], torch.from_numpy(y[:4]))], class_weight=table)
    ]

    assert by_array[0] == by_loader[0] == [0.5, 3.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"x": X, "y": Y[:9]}, ValueError, "y must be as long as x, got 9 samples against 10"),
        ({"x": {"a": X, "b": X[:3]}}, ValueError, "x must be as long as x, got 3 samples against 10"),
        ({"x": torch.zeros(0, 3)}, ValueError, r"x must hold at least one sample, got shape \(0, 3\)"),
        ({"x": np.array(["a"])}, TypeError, "x must be numbers, got strings"),
        ({"x": Pairs(), "y": Y}, ValueError, "y must be left out if x yields batches itself"),
        ({"x": [(X, Y)], "batch_size": 3}, ValueError, "batch_size must be left out"),
        ({"x": DataLoader([]), "batch_size": None}, ValueError, "x must yield at least one batch"),
        ({"x": X, "batch_size": 0}, ValueError, "batch_size must be an integer >= 1, got 0"),
        ({"x": X, "sample_weight": X}, ValueError, r"sample_weight must be one weight .* shape \(10, 2\)"),
        (
            {"x": X, "y": Y, "sample_weight": Y, "class_weight": {0: 1}},
            ValueError,
            "class_weight and sample_weight can't both be given",
        ),
    ],
)
def test_data_that_does_not_fit_together_is_rejected(given, error, message):
    with pytest.raises(error, match=message):
        make_batches(**given)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X, Y, Y, Y), "x must yield x, .* got 4 parts in batch 0"),
        ((torch.zeros(3, 2), torch.zeros(2)), "y must be as long as x .* got 2 against 3"),
    ],
)
def test_an_invalid_batch_is_rejected_when_it_is_reached(batch, message):
    batches = make_batches(iter([batch]))

    with pytest.raises(ValueError, match=message):
        list(batches)


def test_a_nan_in_x_warns():
    with pytest.warns(OnstageWarning, match="x holds NaN, first in sample 1"):
        make_batches(np.array([[1.0], [np.nan]]))


# -- the position in the data


class Draws(Dataset):
    """Adds noise from each generator that a transform may use."""

    def __len__(self):
        return 10

    def __getitem__(self, n):
        noise = torch.rand(()) + np.random.random() + random.random()  # noqa: NPY002 what users' code does
        return noise, torch.tensor(n)


def seed_all(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 what users' code does
    random.seed(seed)


def loaders(kind):
    own = torch.Generator().manual_seed(4) if kind == "own generator" else None
    workers = 1 if kind == "worker" else 0
    return DataLoader(Draws(), 2, shuffle=True, generator=own, num_workers=workers)


def train(batches, epochs, until=None):
    """Read epochs, drawing random numbers as dropout does; stop at a batch and save."""
    seen = []
    for epoch in range(epochs):
        for number, (x, y, _) in enumerate(batches):
            torch.rand(3)
            seen.append((x.tolist(), y.tolist()))
            if (epoch, number) == until:
                return seen, {"data": batches.state_dict(), "random": random_states(torch.device("cpu"))}
    return seen, None


@pytest.mark.parametrize("kind", ["plain", "own generator", "worker"])
@pytest.mark.parametrize("until", [(0, 1), (1, 0), (1, 3)])
def test_a_loader_resumed_within_an_epoch_yields_the_same_batches(kind, until, tmp_path):
    seed_all(11)
    whole, _ = train(make_batches(loaders(kind)), 2)
    seed_all(11)
    first, state = train(make_batches(loaders(kind)), 2, until)
    storage.save(tmp_path / "state", state)
    state = storage.load(tmp_path / "state")

    seed_all(99)
    batches = make_batches(loaders(kind))
    set_random_states(state["random"], torch.device("cpu"))
    batches.load_state_dict(state["data"])
    rest, _ = train(batches, 2 - until[0])

    numbers = [[y for _, y in each] for each in (whole, first, rest)]
    assert numbers[1] + numbers[2] == numbers[0]
    if kind != "worker":  # numpy's and Python's generators in a worker are not torch's to seed
        assert first + rest == whole


def test_a_position_in_other_data_is_rejected():
    state = make_batches(X, Y, batch_size=4).state_dict()

    with pytest.raises(StateError, match="must have the batch_size it was saved with, 4, got 5"):
        make_batches(X, Y, batch_size=5).load_state_dict(state)
    with pytest.raises(StateError, match="x must be a loader, as when it was saved"):
        make_batches([(X, Y)]).load_state_dict(state)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def test_a_loader_over_a_stream_learns_its_length():
    batches = make_batches(DataLoader(Stream(), 4))

    assert batches.steps is None
    assert firsts(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches.steps == 3


# -- one process's share, without other processes


@pytest.mark.parametrize("n", [10, 11, 12])
@pytest.mark.parametrize("world", [2, 3])
def test_a_dataset_makes_its_steps_in_each_of_several_processes(n, world):
    """Each process has ceil(n / world) rows, to be cut into that many steps."""
    epochs = []
    for rank in range(world):
        batches = make_batches(TensorDataset(torch.arange(n)), steps=2)
        batches.shard(rank, world, seed=0, training=True)
        epochs.append([x.tolist() for x, _, _ in batches])

    assert [len(epoch) for epoch in epochs] == [2] * world
    assert {row for epoch in epochs for rows in epoch for row in rows} == set(range(n))
    assert batches.batch_size == math.ceil(math.ceil(n / world) / 2)


def test_a_dataset_with_a_batch_size_keeps_it_in_each_process():
    batches = make_batches(TensorDataset(torch.arange(12)), batch_size=3, steps=2)
    batches.shard(1, 2, seed=0, training=True)

    assert [len(x) for x, _, _ in batches] == [3, 3]


def test_a_dataset_that_is_too_short_for_its_steps_warns_in_each_process_alike():
    for rank in range(2):
        batches = make_batches(TensorDataset(torch.arange(10)), steps=4)
        batches.shard(rank, 2, seed=0, training=True)

        with pytest.warns(OnstageWarning, match="x ran out of data after 3 of 4 batches"):
            assert [len(x) for x, _, _ in batches] == [2, 2, 1]


@pytest.mark.parametrize("form", ["dataset", "tensors"])
def test_an_evaluation_with_steps_takes_each_row_once_in_several_processes(form):
    x = torch.arange(9)
    rows = []
    for rank in range(2):
        batches = make_batches(TensorDataset(x) if form == "dataset" else x, steps=5)
        batches.shard(rank, 2, seed=0, training=False)
        rows += [row for part, _, _ in batches for row in part.tolist()]

    assert sorted(rows) == list(range(9))


def test_an_iterable_that_ends_early_in_one_process_is_an_error():
    batches = make_batches([(X, Y)] * 3, steps=4)
    batches.shard(0, 2, seed=0, training=True)

    with pytest.raises(RuntimeError, match="x ended in this process after 3 of 4 batches"):
        list(batches)


@pytest.mark.parametrize("form", ["arrays", "tensors", "batches"])
def test_weights_in_a_column_are_one_number_for_each_sample(form, data, new_model):
    weights = np.linspace(0.5, 1.5, 40, dtype=np.float32)
    column = weights[:, None] if form == "arrays" else torch.from_numpy(weights[:, None])
    x, y = map(torch.from_numpy, data)

    expected = new_model().evaluate(*data, sample_weight=weights, verbose=0)
    if form == "batches":
        measured = new_model().evaluate([(x, y, column)], verbose=0)
    else:
        measured = new_model().evaluate(x, y, sample_weight=column, verbose=0)

    assert measured == pytest.approx(expected, rel=1e-6)


def test_weights_of_another_shape_are_rejected(data, new_model):
    x, y = map(torch.from_numpy, data)

    with pytest.raises(ValueError, match=r"one number for each sample, got shape \(40, 2\)"):
        new_model().evaluate([(x, y, torch.ones(40, 2))], verbose=0)
