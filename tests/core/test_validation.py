"""Arguments and saved states are checked before they are used."""

import numpy as np
import pytest

from onstage import Callback, Run, StateError
from onstage.testing import FakeModel
from onstage.validation import (
    validate_choice,
    validate_float,
    validate_int,
    validate_optional_int,
    validate_state,
    validate_weights,
)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_integers_of_any_library_become_int(value):
    assert type(validate_int("count", value, 0)) is int
    assert validate_int("count", value, 3) == 3


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "2", None, np.ones(2)])
def test_a_value_that_is_not_an_integer_is_rejected(value):
    with pytest.raises(TypeError, match="count must be an integer >= 1, got "):
        validate_int("count", value, 1)


def test_an_integer_that_is_too_small_is_rejected():
    with pytest.raises(ValueError, match="count must be an integer >= 1, got 0"):
        validate_int("count", 0, 1)


def test_an_optional_integer_may_be_none():
    assert validate_optional_int("count", None, 1) is None
    assert validate_optional_int("count", 2, 1) == 2
    with pytest.raises(ValueError, match="count must be an integer >= 1, got 0"):
        validate_optional_int("count", 0, 1)


@pytest.mark.parametrize(
    ("value", "error", "got"),
    [
        (0, ValueError, "0"),
        (1.5, ValueError, "1.5"),
        (float("nan"), ValueError, "nan"),
        ("1", TypeError, "'1'"),
    ],
)
def test_a_number_outside_its_range_is_rejected(value, error, got):
    with pytest.raises(error, match=rf"rate must be a number in \(0, 1\], got {got}"):
        validate_float("rate", value, 0, 1, exclude={0})


def test_a_word_that_is_not_allowed_is_rejected_with_the_closest():
    with pytest.raises(
        ValueError, match=r"on must be one of 'epoch', 'batch', got 'epch'; did you mean 'epoch'"
    ):
        validate_choice("on", "epch", ("epoch", "batch"))


def test_the_parts_are_returned_in_the_order_named():
    state = {"wait": 3, "best": None, "kept": True, "rate": 1}

    assert validate_state(state, best=(float, type(None)), wait=int, rate=float, kept=bool) == [
        None,
        3,
        1,
        True,
    ]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "a saved state must be a dict, got NoneType"),
        ([], "a saved state must be a dict, got list"),
        ({"other": 1}, r"a saved state must have 'wait', this one has \['other'\]"),
        ({"wait": -1}, "the saved 'wait' must be int, got -1"),
        ({"wait": 2**63}, "the saved 'wait' must be int, got 9223372036854775808"),
        ({"wait": True}, "the saved 'wait' must be int, got True"),
        ({"wait": 1.0}, "the saved 'wait' must be int, got 1.0"),
        ({"wait": np.zeros(3)}, "the saved 'wait' must be int, got ndarray"),
        ({"wait": 1, "best": "low"}, "the saved 'best' must be float or None, got str"),
    ],
)
def test_a_part_that_is_missing_or_of_another_type_is_rejected(state, message):
    with pytest.raises(StateError, match=message):
        validate_state(state, wait=int, best=(float, type(None)))


def test_weights_must_fit_the_model():
    model = FakeModel()
    own = model.get_weights()

    assert validate_weights(own, model) is own
    assert validate_weights(None, model) is None
    for wrong in ([], [*own, *own], [np.zeros((7, 7, 7))], ["weights"]):
        with pytest.raises(StateError, match="saved weights must have the shapes"):
            validate_weights(wrong, model)


class Counter(Callback):
    count = 0

    def on_epoch_end(self):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"] + 0


def resumed(change):
    with Run(FakeModel(), Counter()) as run:
        for _ in run.epochs():
            run.log(loss=1.0)
        state = run.state_dict()
    change(state)
    with Run(FakeModel(), Counter(), epochs=3) as run:
        run.load_state_dict(state)
        return list(run.epochs())


def test_a_valid_state_is_restored():
    assert resumed(lambda state: None) == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state["callbacks"].update(Counter=[]),
            "the saved state of callback Counter cannot be",
        ),
        (
            lambda state: state["callbacks"].update(Counter={}),
            "cannot be used: KeyError: 'count'; resume with",
        ),
        (lambda state: state["callbacks"]["Counter"].update(count="1"), "cannot be used: TypeError"),
        (lambda state: state.update(epoch="1"), "the saved 'epoch' must be int, got str"),
        (lambda state: state.pop("batch"), "a saved state must have 'batch'"),
        (lambda state: state.update(callbacks=3), "the saved 'callbacks' must be dict, got 3"),
        (lambda state: state.update(batch=3), "saved after 3 batches of an epoch must have their metrics"),
    ],
)
def test_an_invalid_state_of_a_run_is_rejected_by_name(change, message):
    with pytest.raises(StateError, match=message):
        resumed(change)
