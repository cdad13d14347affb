"""Generators, iterables and sequences of batches."""

import warnings
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.data import PyDataset, as_batches
from onstage.errors import OnstageWarning, StateError


def _batch(number, size=2):
    """Batch `number`: its labels are the number, its x ten times that."""
    return np.full((size, 3), 10.0 * number), np.full(size, number)


def _generator(count):
    return (_batch(number) for number in range(count))


class Loader:
    """Can be iterated repeatedly; counts how often it was."""

    def __init__(self, count):
        self.count = count
        self.iterated = 0

    def __iter__(self):
        self.iterated += 1
        return _generator(self.count)


class SizedLoader(Loader):
    def __len__(self):
        return self.count


class Indexed:
    """Returns a batch by its number; records the numbers requested."""

    def __init__(self, count):
        self.count = count
        self.asked = []

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        self.asked.append(number)
        return _batch(number)


def _numbers(batches):
    return [int(y[0]) for _, y, _ in batches]


def _warnings_of(batches, epochs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lengths = [len(_numbers(batches)) for _ in range(epochs)]
    assert all(warning.category is OnstageWarning for warning in caught)
    return lengths, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("source", [Loader, SizedLoader, Indexed])
def test_a_source_that_can_be_iterated_again_yields_every_batch_each_epoch(source):
    batches = as_batches(source(4))

    assert [_numbers(batches) for _ in range(3)] == [[0, 1, 2, 3]] * 3
    assert not batches.exhausted


def test_the_length_is_known_or_learned_in_the_first_epoch():
    known, learned = as_batches(SizedLoader(4)), as_batches(Loader(4))
    before = known.steps, learned.steps

    _numbers(learned)

    assert before == (4, None)
    assert learned.steps == 4
    assert (learned.batch_size, learned.samples) == (None, None)


def test_peeking_at_the_first_batch_neither_loses_it_nor_starts_the_source_twice():
    loader = Loader(3)

    batches = as_batches(loader)
    looked = loader.iterated
    numbers = _numbers(batches)

    assert batches.x_spec == ((3,), np.float64)
    assert batches.y_spec == ((), np.int64)
    assert batches.y_range == (0, 0)
    assert numbers == [0, 1, 2]
    assert looked == loader.iterated == 1


def test_batches_are_handed_on_unchanged():
    given = [_batch(0), _batch(1)]

    got = list(as_batches(part for part in given))

    assert all(x is given[i][0] and y is given[i][1] and w is None for i, (x, y, w) in enumerate(got))


def test_a_batch_may_be_a_list_or_x_alone_or_carry_weights():
    x, y = _batch(1)

    assert [y is None for _, y, _ in as_batches(part for part in [x, (x,)])] == [True, True]
    ((a, b, weights),) = as_batches(part for part in [[x.tolist(), y.tolist(), [[0.5], [2.0]]]])

    np.testing.assert_array_equal(a, x)
    np.testing.assert_array_equal(b, y)
    assert weights.tolist() == [0.5, 2.0]


def test_tensors_of_a_framework_are_not_converted():
    class Tensor:
        shape = (2, 5)
        dtype = "tensor float"
        ndim = 2

        def __len__(self):
            return 2

    tensor = Tensor()

    batches = as_batches(part for part in [(tensor, tensor)])

    ((x, y, _),) = batches
    assert x is y is tensor
    assert batches.x_spec == ((5,), "tensor float")


def test_a_generator_yields_its_batches_once():
    batches = as_batches(_generator(3))

    lengths, messages = _warnings_of(batches, 2)

    assert lengths == [3, 0]
    assert batches.exhausted
    (message,) = messages
    assert message.startswith("x ran out of data after 0 batches; the epoch ends here")


@pytest.mark.parametrize(
    ("count", "steps", "lengths", "warned"),
    [
        (6, 3, [3, 3], []),
        (10, 9, [9, 1], ["after 1 of 9"]),
        (6, 3, [3, 3, 0], ["after 0 of 3"]),
    ],
)
def test_a_generator_continues_across_epochs_with_steps(count, steps, lengths, warned):
    batches = as_batches(_generator(count), steps=steps)

    got, messages = _warnings_of(batches, len(lengths))

    assert got == lengths
    assert [
        f"ran out of data {text} batches" in message for text, message in zip(warned, messages, strict=True)
    ] == [True] * len(warned)


@pytest.mark.parametrize("source", [Loader, SizedLoader])
def test_an_iterable_begins_again_after_epochs_with_steps_have_used_it_up(source):
    loader = source(6)
    batches = as_batches(loader, steps=3)

    assert [_numbers(batches) for _ in range(4)] == [[0, 1, 2], [3, 4, 5]] * 2
    assert loader.iterated == 2


def test_an_endless_generator_works_with_steps():
    def endless():
        number = 0
        while True:
            yield _batch(number)
            number += 1

    batches = as_batches(endless(), steps=2)

    assert [_numbers(batches) for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]


def test_restarting_begins_an_iterable_again_but_not_a_generator():
    iterable, generator = as_batches(Loader(4), steps=2), as_batches(_generator(4), steps=2)
    _numbers(iterable), _numbers(generator)

    iterable.restart(), generator.restart()

    assert (_numbers(iterable), _numbers(generator)) == ([0, 1], [2, 3])


def test_a_sequence_is_shuffled_by_whole_batches():
    order = np.random.default_rng(3).permutation(20).tolist()

    batches = as_batches(Indexed(20), shuffle=True, rng=np.random.default_rng(3))

    first, second = _numbers(batches), _numbers(batches)
    assert first == order
    assert second != first
    assert sorted(second) == list(range(20))


def test_a_batch_size_beside_a_sequence_has_no_effect():
    assert as_batches(Indexed(2), batch_size=64).steps == 2


class Reshuffled(PyDataset):
    """Shuffles its samples after each epoch with its own generator, as in Keras's guide."""

    def __init__(self, seed=0):
        super().__init__(workers=4, use_multiprocessing=True)
        self.rng = np.random.default_rng(seed)
        self.samples = np.arange(12)
        self.calls = []

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = self.samples[index * 3 : index * 3 + 3]
        return rows.reshape(-1, 1).astype(float), rows

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")
        self.rng.shuffle(self.samples)


def _samples(batches):
    return [y.tolist() for _, y, _ in batches]


@pytest.mark.parametrize("steps", [None, 2])
def test_a_sequence_is_told_of_the_begin_and_the_end_of_each_epoch(steps):
    sequence = Reshuffled()
    batches = as_batches(sequence, steps=steps)

    for _ in range(2):
        sequence.calls += [sample[0] >= 0 for sample in _samples(batches)]

    assert sequence.calls == ["begin", "end", *[True] * (steps or 4)] * 2


def test_a_sequence_is_not_told_of_the_end_of_an_epoch_that_is_left_early():
    sequence = Reshuffled()
    batches = as_batches(sequence)

    next(iter(batches))
    batches.end_epoch()

    assert sequence.calls == ["begin"]


def test_a_sequence_may_change_its_length_after_an_epoch():
    class Growing(Indexed):
        def on_epoch_end(self):
            self.count += 1

    batches = as_batches(Growing(2))

    assert [len(_numbers(batches)) for _ in range(3)] == [2, 3, 4]


@given(
    shuffle=st.booleans(),
    epoch=st.integers(0, 2),
    batch=st.integers(0, 4),
    steps=st.none() | st.integers(1, 6),
)
def test_a_sequence_that_shuffles_itself_resumes_with_the_same_samples(shuffle, epoch, batch, steps):
    def make():
        return as_batches(Reshuffled(), steps=steps, shuffle=shuffle, rng=np.random.default_rng(1))

    whole = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        epochs = [_samples(whole) for _ in range(4)]
        stopped = make()
        for _ in range(epoch):
            _samples(stopped)
        current = iter(stopped)
        seen = [y.tolist() for _, y, _ in islice(current, min(batch, len(epochs[epoch])))]

        resumed = make()
        resumed.load_state_dict(stopped.state_dict())
        rest = [_samples(resumed) for _ in range(4 - epoch)]

    assert [seen + rest[0], *rest[1:]] == epochs[epoch:]


@pytest.mark.parametrize("epochs", [-1, 2**60, 1.0, None])
def test_a_saved_number_of_epochs_that_is_none_is_refused(epochs):
    batches = as_batches(Reshuffled())

    with pytest.raises(StateError, match="saved number of epochs must be in"):
        batches.load_state_dict(batches.state_dict() | {"epochs": epochs})


def test_a_sequence_without_its_methods_is_refused_by_name():
    with pytest.raises(NotImplementedError, match=r"PyDataset must define __len__"):
        as_batches(PyDataset())
    with pytest.raises(ValueError, match="workers must be an integer >= 0, got -1"):
        PyDataset(workers=-1)


def test_an_iterable_keeps_its_own_order():
    assert _numbers(as_batches(SizedLoader(20), shuffle=True)) == list(range(20))


# Resuming.


@given(
    source=st.sampled_from([_generator, Loader, SizedLoader, Indexed]),
    shuffle=st.booleans(),
    steps=st.none() | st.integers(1, 6),
    data=st.data(),
)
@pytest.mark.filterwarnings("ignore:x ran out of data", "ignore:x, a .* has no state")
def test_a_stopped_epoch_continues_with_the_next_batch(source, shuffle, steps, data):
    def make(seed):
        return as_batches(source(6), steps=steps, shuffle=shuffle, rng=np.random.default_rng(seed))

    whole = make(0)
    epochs = [_numbers(whole) for _ in range(3)]
    stop_epoch = data.draw(st.integers(0, 1))
    stop_batch = data.draw(st.integers(0, len(epochs[stop_epoch])))
    stopped = make(0)
    for _ in range(stop_epoch):
        _numbers(stopped)
    epoch = iter(stopped)
    for _ in range(stop_batch):
        next(epoch)

    resumed = make(99)
    resumed.load_state_dict(stopped.state_dict())

    if source is not _generator or steps is not None:
        assert [_numbers(resumed) for _ in range(3 - stop_epoch)] == [
            epochs[stop_epoch][stop_batch:],
            *epochs[stop_epoch + 1 :],
        ]
    elif stop_epoch == 0:
        assert _numbers(resumed) == epochs[0][stop_batch:]


def test_a_resumed_sequence_is_not_asked_for_earlier_batches():
    saved = as_batches(Indexed(6))
    epoch = iter(saved)
    next(epoch), next(epoch), next(epoch)
    sequence = Indexed(6)
    resumed = as_batches(sequence)
    sequence.asked.clear()

    resumed.load_state_dict(saved.state_dict())

    assert _numbers(resumed) == [3, 4, 5]
    assert sequence.asked == [3, 4, 5]


def test_a_generator_that_is_past_the_saved_position_is_rejected():
    batches = as_batches(_generator(6))
    epoch = iter(batches)
    next(epoch)
    state = batches.state_dict()
    next(epoch)

    batches.load_state_dict(state)

    with pytest.raises(StateError, match="x can't go back to batch 1; resume with a new generator"):
        next(iter(batches))


# class_weight, and invalid batches.


def test_class_weights_apply_to_each_batch():
    batches = as_batches(_generator(3), class_weight={1: 5, 2: 0.5})

    assert [weights.tolist() for _, _, weights in batches] == [[1, 1], [5, 5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ({"a": 1}, TypeError, r"x of batch 0 must be one array, got a dict with the keys 'a'"),
        (("a", "b"), TypeError, r"x of batch 0 must be numbers, got a str"),
        ((), ValueError, r"x must yield x, \(x, y\) or \(x, y, sample_weight\), got 0 parts in batch 0"),
        ((1, 2, 3, 4), ValueError, r"got 4 parts in batch 0"),
        ((None, np.ones(2)), TypeError, r"x of batch 0 must be an array, got None"),
        (
            (np.ones((3, 2)), np.ones(2)),
            ValueError,
            r"y of batch 0 must be as long as x of batch 0, got 2 .* 3",
        ),
        ((np.ones(2), np.float64(1)), ValueError, r"y of batch 0 must have an axis of samples"),
        ((np.empty((0, 2)), np.empty(0)), ValueError, r"x of batch 0 must hold at least one sample"),
        ((np.ones(2), np.array([object()] * 2)), TypeError, r"y of batch 0 must be numbers, got objects"),
        (
            (np.ones(2), np.ones(2), np.ones((2, 3))),
            ValueError,
            r"sample_weight of batch 0 must be one weight",
        ),
    ],
)
def test_an_invalid_first_batch_is_rejected_at_once(batch, error, message):
    with pytest.raises(error, match=message):
        as_batches(part for part in [batch])


def test_the_message_names_a_later_batch_by_its_number():
    batches = as_batches((part for part in [_batch(0), (np.ones(2), np.ones(3))]), name="validation_data")

    with pytest.raises(
        ValueError, match="y of batch 1 of validation_data must be as long as x of batch 1 of"
    ):
        list(batches)


@pytest.mark.parametrize("source", [_generator, Loader, Indexed])
def test_a_source_without_batches_is_rejected(source):
    with pytest.raises(ValueError, match="x must yield at least one batch, got an empty "):
        as_batches(source(0))


@pytest.mark.parametrize(
    ("argument", "value"), [("y", np.ones(2)), ("sample_weight", np.ones(2)), ("batch_size", 32)]
)
def test_arguments_for_arrays_are_rejected_with_a_source_of_batches(argument, value):
    with pytest.raises(
        ValueError, match=rf"{argument} must be left out if x yields batches itself \(Loader\)"
    ):
        as_batches(Loader(2), **{argument: value})


@pytest.mark.parametrize("batch", [(np.ones(2),), (np.ones(2), np.ones(2), np.ones(2))])
def test_class_weights_need_labels_and_no_other_weights(batch):
    with pytest.raises(ValueError, match="class_weight needs y of batch 0, and no sample_weight beside it"):
        as_batches((part for part in [batch]), class_weight={0: 1})


def test_nan_in_the_first_batch_warns():
    with pytest.warns(OnstageWarning, match="x's first batch holds NaN, first in sample 1"):
        as_batches(part for part in [(np.array([[0.0], [np.nan]]), np.ones(2))])
