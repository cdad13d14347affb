"""Copies of states share no memory, and reuse that of an earlier copy."""

import numpy as np
import pytest

from onstage.state._tree import copy_state


def state():
    return {
        "weights": [np.arange(6.0).reshape(2, 3), np.ones(2, np.float32)],
        "steps": 3,
        "slots": {"m": None},
    }


def test_a_copy_is_equal_and_shares_no_memory():
    given = state()
    copy = copy_state(given)

    assert copy["steps"] == 3
    assert copy["slots"] == {"m": None}
    for one, other in zip(given["weights"], copy["weights"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
        assert not np.shares_memory(one, other)
    assert copy["slots"] is not given["slots"]


def test_an_earlier_copy_is_overwritten():
    earlier = copy_state(state())
    now = state()
    now["weights"][0] *= 2
    now["steps"] = 4

    copy = copy_state(now, into=earlier)

    assert copy["steps"] == 4
    assert copy["weights"][0] is earlier["weights"][0]
    np.testing.assert_array_equal(copy["weights"][0], now["weights"][0])


@pytest.mark.parametrize(
    "earlier",
    [
        None,
        {},
        {"weights": None},
        {"weights": [np.zeros((3, 2)), np.zeros(2)]},
        {"weights": [np.zeros((2, 3), np.float32)]},
        {"weights": {"0": np.zeros((2, 3))}},
        [np.zeros(6)],
    ],
)
def test_arrays_that_do_not_fit_are_allocated_anew(earlier):
    given = state()
    copy = copy_state(given, into=earlier)

    for one, other in zip(given["weights"], copy["weights"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
