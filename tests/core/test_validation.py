"""What a file gave for a saved state is checked before anybody believes it."""

import numpy as np
import pytest

from onstage import Callback, Run, StateError
from onstage.testing import FakeModel
from onstage.validation import validate_state, validate_weights


def test_the_parts_come_in_the_order_named():
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
def test_a_part_that_is_missing_or_of_another_kind_is_refused(state, message):
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


def test_a_good_state_is_taken_up():
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
def test_a_run_s_state_that_is_none_is_refused_by_name(change, message):
    with pytest.raises(StateError, match=message):
        resumed(change)
