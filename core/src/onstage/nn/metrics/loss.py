"""A loss as a metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from onstage.model import Array, Direction
from onstage.nn import losses, serialization
from onstage.nn.execution.ops import to_channels_first
from onstage.nn.metrics.base import MeanMetric


class LossMetric(MeanMetric):
    """Mean of a loss over the samples; lower is better.

    In a model it is computed in the same way as the model's loss. A
    cross-entropy works on the logits if the model ends with the matching
    activation (softmax, or sigmoid for the binary one), so it is exact even for
    extreme probabilities, and equals a loss of the same name. After any other
    activation, and on arrays outside a model, it works on probabilities clipped
    to a distance of 1e-7 from 0 and 1, as Keras always does.

    Parameters
    ----------
    loss
        Loss, its name or its configuration.
    name
        Name in the logs; the loss's name by default.
    """

    direction: Direction | None = "min"

    def __init__(self, loss: object, name: str | None = None) -> None:
        self.loss = losses.get(loss)
        super().__init__(self.loss.name if name is None else name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return each sample's loss; raise ValueError for targets that don't fit."""
        self.loss.check_target(y_true.shape[1:], y_pred.shape[1:])
        bound = self.loss.bind(np.array(to_channels_first(y_pred), order="C"), None, y_true.shape)
        bound.forward(y_true)
        return to_channels_first(bound.values)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"loss": serialization.serialize(self.loss), "name": self.name}
