"""Arguments of fit, evaluate and predict that need a check of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any, TypedDict

import numpy as np

from onstage.errors import did_you_mean
from onstage.validation import validate_bool, validate_int


class LoadingOptions(TypedDict, total=False):
    """Keras's options for loading data in other threads or processes.

    They are checked and have no effect: batches are loaded where they are used.
    """

    workers: int
    use_multiprocessing: bool
    max_queue_size: int


def check_loading(method: Callable[..., Any], options: Mapping[str, object]) -> None:
    """Check the options of loading that were passed to a method.

    Raises
    ------
    TypeError
        If another argument is among them, or one has the wrong type.
    ValueError
        If a number is negative.
    """
    for name in options:
        if name not in LoadingOptions.__annotations__:
            known = [*signature(method).parameters, *LoadingOptions.__annotations__]
            raise TypeError(f"{method.__name__}() has no argument {name!r}{did_you_mean(name, known)}")
    validate_int("workers", options.get("workers", 1), 0)
    validate_int("max_queue_size", options.get("max_queue_size", 10), 0)
    validate_bool("use_multiprocessing", options.get("use_multiprocessing", False))


def validation_epochs(validation_freq: Any) -> Callable[[int], bool]:
    """Return the function that tells if an epoch, from 0, ends with a validation."""
    if isinstance(validation_freq, (int, np.integer)) and not isinstance(validation_freq, bool):
        validate_int("validation_freq", validation_freq, 1)
        return lambda epoch: (epoch + 1) % int(validation_freq) == 0
    if isinstance(validation_freq, Iterable) and not isinstance(validation_freq, str):
        epochs = {int(epoch) for epoch in validation_freq}
        return lambda epoch: epoch + 1 in epochs
    raise TypeError(f"validation_freq must be an integer or a list of epochs from 1, got {validation_freq!r}")
