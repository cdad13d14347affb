"""Validate a saved optimizer state before anything changes."""

from __future__ import annotations

from collections.abc import Mapping

from onstage.errors import StateError
from onstage.model import Array, State
from onstage.validation import validate_float, validate_int


def validate_state(
    optimizer: str, saved: State, arrays: Mapping[str, Array], *, scheduled: bool
) -> tuple[int, float | None]:
    """Validate a state of `Optimizer.state_dict`.

    Parameters
    ----------
    arrays
        The optimizer's arrays, which the saved ones must match in name, shape
        and type.
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
        iterations = validate_int("iterations", saved["iterations"], 0)
        if iterations >= 2**63:
            raise ValueError(f"iterations must be less than 2**63, got {iterations}")
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
