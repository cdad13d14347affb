"""Unusable data is rejected with one sentence."""

import tracemalloc

import numpy as np
import pytest

from onstage.data import as_batches, label_range
from onstage.errors import OnstageWarning


class Sparse:
    """Has the attributes of a scipy sparse matrix."""

    nnz = 1
    shape = (3, 3)

    def toarray(self):
        return np.eye(3)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            {"a": [1], "b": [2]},
            TypeError,
            r"x must be one array, got a dict with the keys 'a', 'b'; pass one of",
        ),
        (dict.fromkeys("abcd"), TypeError, r"with the keys 'a', 'b', 'c', …"),
        (
            ["one", "two"],
            TypeError,
            r"x must be numbers, got strings such as 'one'; encode it as numbers first",
        ),
        ([b"one"], TypeError, r"x must be numbers, got bytes such as b'one'"),
        ([[1, 2], None], ValueError, r"x must be an array of numbers, got a list: "),
        (
            [[1, 2], [3]],
            ValueError,
            r"x must be an array of numbers, got a list: .*inhomogeneous",
        ),
        ([None, 1], TypeError, r"x must be numbers, got objects"),
        ("text", TypeError, r"x must be numbers, got a str; load the file"),
        (None, TypeError, r"x must be given, got None; pass an array"),
        (len, TypeError, r"x must be numbers, got a builtin_function_or_method"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, r"x must be numbers, got dates such as "),
        (np.array([1j]), TypeError, r"x must be numbers, got complex numbers such as 1j"),
        (np.zeros(2, "f4,f4"), TypeError, r"x must be numbers, got dtype "),
        (5.0, ValueError, r"x must have an axis of samples, got the single number"),
        ([], ValueError, r"x must hold at least one sample, got an empty array of shape \(0,\)"),
        (
            np.empty((0, 3)),
            ValueError,
            r"x must hold at least one sample, got an empty array of shape \(0, 3\)",
        ),
        (Sparse(), TypeError, r"x must be a dense array, got the sparse Sparse; use x.toarray\(\)"),
        (
            (np.ones(2), np.ones(2)),
            TypeError,
            r"x must be one array, got a tuple of 2; join them, or pass x, y and",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_x_that_is_not_an_array_of_numbers_is_rejected(x, error, message):
    with pytest.raises(error, match=message):
        as_batches(x)


def test_scipy_sparse_matrices_are_rejected():
    sparse = pytest.importorskip("scipy.sparse")

    with pytest.raises(
        TypeError, match=r"x must be a dense array, got the sparse csr_matrix; use x.toarray\(\)"
    ):
        as_batches(sparse.csr_matrix(np.eye(3)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"y": np.ones(3)}, ValueError, r"y must be as long as x, got 3 samples against 4"),
        (
            {"sample_weight": np.ones(5)},
            ValueError,
            r"sample_weight must be as long as x, got 5 samples against 4",
        ),
        ({"y": ["a"] * 4}, TypeError, r"y must be numbers, got strings such as 'a'"),
        ({"y": {}}, TypeError, r"y must be one array, got a dict"),
        (
            {"sample_weight": np.ones((4, 2))},
            ValueError,
            r"sample_weight must be one weight .* got shape \(4, 2\)",
        ),
        ({"batch_size": 0}, ValueError, r"batch_size must be an integer >= 1, got 0"),
        ({"batch_size": -3}, ValueError, r"batch_size must be an integer >= 1, got -3"),
        ({"batch_size": 2.0}, TypeError, r"batch_size must be an integer >= 1, got 2.0"),
        ({"batch_size": True}, TypeError, r"batch_size must be an integer >= 1, got True"),
        ({"batch_size": "8"}, TypeError, r"batch_size must be an integer >= 1, got '8'"),
        ({"steps": 0}, ValueError, r"steps must be an integer >= 1, got 0"),
        ({"steps": 1.5}, TypeError, r"steps must be an integer >= 1, got 1.5"),
        (
            {"y": np.ones(4), "class_weight": {0: 1}, "sample_weight": np.ones(4)},
            ValueError,
            r"can't both be given",
        ),
        ({"class_weight": {0: 1}}, ValueError, r"class_weight needs y, got None; use sample_weight"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_parts_that_do_not_fit_are_rejected(options, error, message):
    with pytest.raises(error, match=message):
        as_batches(np.zeros((4, 2)), **options)


def test_the_message_uses_the_user_s_name_of_the_data():
    with pytest.raises(
        ValueError, match="validation_data's y must be as long as validation_data's x, got 3 "
    ):
        as_batches(np.zeros(4), np.zeros(3), name="validation_data")


def test_numpy_integers_are_integers():
    batches = as_batches(np.zeros(9), batch_size=np.int64(4), steps=np.uint8(2))

    assert (batches.batch_size, batches.steps) == (4, 2)


def test_weights_in_a_column_become_a_row():
    ((_, _, weights),) = as_batches(np.zeros((2, 1)), None, [[1.0], [2.0]])

    assert weights.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_nan_in_x_warns_and_names_the_sample(dtype):
    x = np.zeros((3_000, 10, 50), dtype)
    x[2_222, 3, 4] = np.nan

    with pytest.warns(
        OnstageWarning, match="x holds NaN, first in sample 2222; losses and weights may become NaN"
    ):
        as_batches(x)


def test_infinity_and_integers_do_not_warn():
    as_batches(np.array([np.inf, -np.inf]))
    as_batches(np.array([1, 2]))


def test_the_search_for_nan_takes_less_than_a_hundredth_of_the_data_s_memory():
    x = np.zeros((4_000, 1_000))

    tracemalloc.start()
    as_batches(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < x.nbytes / 100


def test_the_range_of_labels_is_found_across_chunks():
    y = np.zeros(3_000_000, np.int32)
    y[2_500_000], y[1_500_000] = 7, -2

    assert label_range(y) == (-2, 7)


def test_labels_without_elements_have_no_range():
    assert label_range(np.empty((2, 0), np.int64)) is None


# class_weight follows Keras's rules.


def _weights(y, class_weight):
    ((_, _, weights),) = as_batches(np.zeros(len(y)), y, class_weight=class_weight)
    return weights.tolist()


@pytest.mark.parametrize(
    ("y", "class_weight", "expected"),
    [
        ([0, 1, 2], {0: 0.5, 1: 2}, [0.5, 2, 1]),
        ([[0], [1]], {1: 3}, [1, 3]),
        ([[0, 0, 1], [1, 0, 0]], {2: 4.0}, [4, 1]),
        ([0.0, 0.9, 2.1], {"1": "5", "2": 7}, [1, 5, 7]),
        ([-1, 1], {-1: 2, 1: 3}, [2, 3]),
        ([True, False], {1: 2}, [2, 1]),
        (np.array([9, 8], np.uint64), {9: 2}, [2, 1]),
        ([3, 4], {}, [1, 1]),
    ],
    ids=[
        "numbers",
        "column",
        "one-hot",
        "text keys, rounded floats",
        "signs",
        "booleans",
        "unsigned",
        "no class",
    ],
)
def test_class_weights_become_sample_weights(y, class_weight, expected):
    assert _weights(np.asarray(y), class_weight) == expected


@pytest.mark.parametrize(
    ("y", "class_weight", "error", "message"),
    [
        ([0, 1], [1, 2], TypeError, r"class_weight must be a dict of class number to weight, got list"),
        (
            [0, 1],
            {"cat": 1},
            ValueError,
            r"class_weight must map each class number to a number, got 'cat': 1",
        ),
        ([0, 1], {0: "heavy"}, ValueError, r"got 0: 'heavy'"),
        ([0, 1], {None: 1}, ValueError, r"got None: 1"),
        (
            np.zeros((2, 3, 4)),
            {0: 1},
            ValueError,
            r"class_weight needs y to be class numbers or one-hot rows, got",
        ),
        ([0.0, np.nan], {0: 1}, ValueError, r"class_weight needs y to be class numbers, got NaN or infinity"),
        (
            [0, 2**40],
            {0: 1},
            ValueError,
            r"class_weight needs y to be class numbers, got numbers from 0 to 1099511",
        ),
    ],
)
def test_unreadable_class_weights_are_rejected(y, class_weight, error, message):
    with pytest.raises(error, match=message):
        _weights(np.asarray(y), class_weight)
