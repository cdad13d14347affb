"""The arguments that every optimizer takes."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import NoReturn, TypedDict

from onstage.errors import did_you_mean
from onstage.nn import schedules
from onstage.nn.schedules import LearningRateSchedule
from onstage.validation import validate_float


class OtherOptions(TypedDict, total=False):
    """The options without `weight_decay`, which AdamW lists itself."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    name: str | None


class Options(OtherOptions, total=False):
    """The arguments that every optimizer takes, explained at `Optimizer`."""

    weight_decay: float | None


def refuse_unknown(optimizer: type, name: str) -> NoReturn:
    """Raise TypeError for an argument that the optimizer does not have."""
    known = {*signature(optimizer).parameters, *Options.__annotations__} - {"options", "unknown"}
    raise TypeError(f"{optimizer.__name__} has no argument {name!r}{did_you_mean(name, known)}")


def learning_rate(value: object) -> float | LearningRateSchedule:
    """Give a number >= 0 as a float, or a schedule, also from its configuration.

    Raises
    ------
    ValueError, TypeError
        It is neither.
    """
    if isinstance(value, LearningRateSchedule | Mapping):
        return schedules.get(value)
    if isinstance(value, str) or callable(value):
        raise TypeError(
            f"learning_rate must be a number >= 0 or a LearningRateSchedule, got {value!r}; "
            "derive a class from LearningRateSchedule to compute it from the step"
        )
    return validate_float("learning_rate", value, 0)


def replace_rate(rate: float | LearningRateSchedule, value: object) -> float | LearningRateSchedule:
    """Return a value as the rate that follows; a number can't follow a schedule.

    Raises
    ------
    ValueError, TypeError
        It is no rate, or a number after a schedule.
    """
    new = learning_rate(value)
    if isinstance(new, float) and not isinstance(rate, float):
        raise TypeError(
            f"learning_rate follows {type(rate).__name__} and cannot be set to {value!r}; "
            "make the optimizer with a number as learning_rate, or leave out what sets it"
        )
    return new
