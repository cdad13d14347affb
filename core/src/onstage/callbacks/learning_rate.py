"""Whether a callback may set the learning rate: asked before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onstage.callbacks._base import Callback


def check_settable(callback: Callback) -> None:
    """Refuse a model whose learning rate can't be set.

    To be called in on_train_begin, so that an optimizer with a schedule and a
    callback that sets the rate are refused together, not when it first acts.

    Raises
    ------
    TypeError
        The model has no ``learning_rate``, or its optimizer follows a schedule.
    """
    who, model = type(callback).__name__, callback.model
    if not hasattr(model, "learning_rate"):
        raise TypeError(f"{who} must have a model with a learning_rate, got {type(model).__name__}")
    try:
        model.learning_rate = model.learning_rate
    except TypeError as error:
        raise TypeError(
            f"{who} sets the learning rate, which this optimizer takes from a schedule; "
            "give the optimizer a number, or leave the callback out"
        ) from error
