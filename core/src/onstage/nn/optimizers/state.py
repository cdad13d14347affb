"""The state of an optimizer: copied, restored, and checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

import numpy as np

from onstage.errors import StateError
from onstage.model import Array, State
from onstage.nn.optimizers.adjustable import AdjustableOptimizer
from onstage.nn.optimizers.blocks import BlockedBuffers
from onstage.nn.optimizers.ema import MovingAverage
from onstage.nn.optimizers.hyperparameters import (
    read_hyperparameters,
    set_hyperparameters,
    validate_iterations,
)
from onstage.state._tree import copy_state
from onstage.validation import validate_float


class StatefulOptimizer(AdjustableOptimizer):
    """State of the steps made so far; base class of `Optimizer`."""

    name: str
    _buffers: BlockedBuffers | None
    _average: MovingAverage | None

    def slots(self) -> Mapping[str, float]:
        """Return the state kept for each parameter: names and initial values."""
        return {}

    def state_dict(self) -> State:
        """Return a copy of the optimizer's state.

        ``{"iterations": int, "learning_rate": float or None, "hyperparameters":
        {name: float}, "slots": {name: array}}``; the rate is None under a
        schedule, and the arrays, including `ema_average`, are flat like the
        parameters.
        """
        return copy_state(self.state_view())

    def state_view(self) -> State:
        """Return the state that `state_dict` copies."""
        return {
            "iterations": self._iterations,
            "learning_rate": self._rate if isinstance(self._rate, float) else None,
            "hyperparameters": read_hyperparameters(self),
            "slots": dict(self._state_arrays()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Restore a state from `state_dict` exactly; on error nothing changes.

        Raises
        ------
        StateError
            If a part is missing, damaged, or of another optimizer or model.
        """
        buffers = self._require_built()
        numbers = saved.get("hyperparameters", {}) if isinstance(saved, Mapping) else {}
        # Which slots there are depends on the numbers: an optimizer with them is the measure.
        fitting = copy(self)
        fitting._buffers = None
        set_hyperparameters(fitting, numbers)
        expected = dict.fromkeys([*fitting.slots(), *["ema_average"] * (self._average is not None)])
        iterations, rate = validate_state(
            self.name,
            saved,
            dict.fromkeys(expected, buffers.parameters),
            scheduled=not isinstance(self._rate, float),
        )
        set_hyperparameters(self, numbers)
        for name, values in self._state_arrays().items():
            values[:] = saved["slots"][name]
        self._iterations = iterations
        if rate is not None:
            self._rate = rate

    def hyperparameter_changed(self, name: str, before: float, now: float) -> None:
        """Adapt the state, after a number was set to a new value.

        Called for the attributes declared as `hyperparameters.Number`. Makes
        the slots that the new value needs, and drops those that it doesn't.
        """
        if self._buffers is not None:
            self._buffers.set_slots(self.slots())

    @property
    def variables(self) -> list[Array]:
        """Number of steps and learning rate, then the slots, flat like the parameters."""
        numbers = np.array(self._iterations), np.array(self._current_rate())
        return [*numbers, *self._state_arrays().values()]

    def _state_arrays(self) -> dict[str, Array]:
        slots = self._require_built().slots
        return slots if self._average is None else slots | {"ema_average": self._average.values}

    def _require_built(self) -> BlockedBuffers:
        if self._buffers is None:
            raise ValueError(f"optimizer {self.name} must be built first; call build(parameters)")
        return self._buffers


def validate_state(
    optimizer: str, saved: State, arrays: Mapping[str, Array], *, scheduled: bool
) -> tuple[int, float | None]:
    """Validate a state of `Optimizer.state_dict`.

    Parameters
    ----------
    arrays
        Arrays that the saved ones must match in name, shape and type.
    scheduled
        Whether the optimizer's rate is a schedule.

    Returns
    -------
    tuple
        Iterations and learning rate.

    Raises
    ------
    StateError
        If it does not fit.
    """
    where = f"state of optimizer {optimizer}"
    if not isinstance(saved, Mapping) or not {"iterations", "learning_rate", "slots"} <= set(saved):
        raise StateError(f"{where} must have iterations, learning_rate and slots, got {_describe(saved)}")
    _check_slots(where, saved["slots"], arrays)
    if (saved["learning_rate"] is None) != scheduled:
        kinds = ("a number", "a schedule")
        raise StateError(
            f"{where} must come from one with {kinds[scheduled]} as learning_rate, "
            f"got one with {kinds[not scheduled]}; make the optimizer as it was when saved"
        )
    try:
        iterations = validate_iterations(saved["iterations"])
        rate = None if scheduled else validate_float("learning_rate", saved["learning_rate"], 0)
    except (TypeError, ValueError) as error:
        raise StateError(f"{where}: {error}") from error
    return iterations, rate


def _check_slots(where: str, saved: object, arrays: Mapping[str, Array]) -> None:
    if not isinstance(saved, Mapping) or set(saved) != set(arrays):
        raise StateError(
            f"{where} must have the slots {sorted(arrays)}, got {_describe(saved)}; "
            "make the optimizer with the options it had when the state was saved"
        )
    for name, own in arrays.items():
        shape, dtype = getattr(saved[name], "shape", None), getattr(saved[name], "dtype", None)
        if (shape, dtype) != (own.shape, own.dtype):
            raise StateError(
                f"{where}: slot {name!r} must be {own.shape} of {own.dtype}, got {shape} of {dtype}"
            )


def _describe(saved: object) -> str:
    return str(sorted(saved)) if isinstance(saved, Mapping) else type(saved).__name__
