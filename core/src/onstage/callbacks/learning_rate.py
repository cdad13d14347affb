"""The learning rate of an optimizer, as callbacks read and set it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onstage.hyperparameters import HasLearningRate, Hyperparameter, LearningRate

if TYPE_CHECKING:
    from onstage.callbacks._base import Callback

__all__ = ["HasLearningRate", "Hyperparameter", "LearningRate", "check_settable"]


def check_settable(callback: Callback) -> None:
    """Raise TypeError if the learning rate of the model cannot be set.

    Call it in on_train_begin, so that an optimizer with a schedule is refused
    before training and not when the callback first sets the rate.

    Raises
    ------
    TypeError
        If the model has no ``learning_rate``, or its optimizer follows a schedule.
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
