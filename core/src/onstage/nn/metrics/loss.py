"""A loss as a metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array
from onstage.nn import losses, serialization
from onstage.nn.execution.ops import to_channels_first
from onstage.nn.metrics.base import MeanMetric


class LossMetric(MeanMetric):
    """The mean of a loss over the samples: less is better.

    In a model it is computed exactly as the model's loss is. A cross-entropy
    works on the logits where the model ends with the activation that matches
    it (softmax, or sigmoid for the binary one), so that it is exact however
    certain the model is, and equal to a loss of the same name. After any other
    activation, and on arrays outside a model, it sees probabilities alone and
    keeps them within 1e-7 of 0 and 1, as Keras does everywhere.

    Parameters
    ----------
    loss
        A loss, its name or its configuration.
    name
        The loss's name, if not given.
    """

    direction = "min"

    def __init__(self, loss: object, name: str | None = None) -> None:
        self.loss = losses.get(loss)
        super().__init__(self.loss.name if name is None else name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Give each sample's loss; raises ValueError for targets that do not fit it."""
        self.loss.check_target(y_true.shape[1:], y_pred.shape[1:])
        bound = self.loss.bind(np.array(to_channels_first(y_pred), order="C"), None, y_true.shape)
        bound.forward(y_true)
        return to_channels_first(bound.values)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"loss": serialization.serialize(self.loss), "name": self.name}
