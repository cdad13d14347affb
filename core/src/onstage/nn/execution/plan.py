"""ExecutionPlan: a batch shape's way through all layers, over buffers made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import Backward, BindContext, Op, to_channels_first
from onstage.nn.layers import Layer, Variable
from onstage.nn.losses import BoundLoss, Loss


class PlanConfig(NamedTuple):
    """What all plans of a model share."""

    layers: Sequence[Layer]
    dtype: np.dtype[np.floating]
    rng: np.random.Generator
    loss: Loss | None
    penalized: Sequence[Variable]
    """The trainable variables with a regularizer."""


class ExecutionPlan:
    """A batch shape's way through all layers, over buffers made once.

    Parameters
    ----------
    x
        The first batch; any array of its shape may follow.
    y_shape
        Of the targets; None for a plan that only predicts.
    training
        Whether `backward` will be called.

    Attributes
    ----------
    predictions : Array
        Shape ``(batch, ...)``, a view of the last buffer, valid until the next
        `forward` or `backward`.
    """

    def __init__(self, config: PlanConfig, x: Array, y_shape: tuple[int, ...] | None, training: bool) -> None:
        self._config = config
        self._first = config.layers[0]
        self._input_dtype = self._first.input_dtype(config.dtype)
        self._cast = np.empty(x.shape, self._input_dtype)
        ops, trained = self._bind(training)
        self._forwards = [op.forward for op in ops]
        self.predictions = to_channels_first(ops[-1].out)
        self._last = ops[-1]
        self._y_shape = y_shape
        self._measured: dict[Loss, BoundLoss] = {}
        self._loss: BoundLoss | None = None
        if config.loss is not None and y_shape is not None:
            self._loss = config.loss.bind(ops[-1].out, ops[-1], y_shape)
            self._values = self._loss.values.reshape(-1)
            self._ones = np.ones_like(self._values)
        end = -1 if self._loss is not None and self._loss.passes_last else None
        inputs: list[Array | None] = [None, *(op.out for op in ops)]
        # Below the first weights that are trained no gradient is needed.
        self._backwards: list[tuple[Backward, Array | None]] = [
            (op.backward, x) for op, x in zip(ops, inputs[:-1], strict=True)
        ][trained:end][::-1]

    def _bind(self, training: bool) -> tuple[list[Op], int]:
        """Make all steps; gives also how many stand before the first weights to train."""
        x = to_channels_first(self._cast)
        ops: list[Op] = []
        trained: int | None = None
        with_ones: Array | None = None
        for layer in self._config.layers:
            context = BindContext(
                self._config.dtype,
                self._config.rng,
                training,
                trained is not None,
                may_overwrite=bool(ops) and not ops[-1].reads_out,
                first=not ops,
                x_with_ones=with_ones,
            )
            if trained is None and layer.trainable and layer.weights:
                trained = len(ops)
            for op in layer.bind(x, context):
                # A step that works in place leaves the row behind its buffer as it is.
                with_ones = with_ones if op.out is x else op.with_ones
                x = op.out
                ops.append(op)
        if not ops:
            ops = [_copy_op(x, self._config.dtype)]
        return ops, len(ops) if trained is None else trained

    def forward(self, x: Array) -> Array:
        """Fill `predictions`; gives x as the first step has seen it."""
        if x.dtype != self._input_dtype:
            np.copyto(self._cast, x, casting="unsafe")
            x = self._cast
        seen = out = x.swapaxes(0, -1)
        for forward in self._forwards:
            out = forward(out)
        return seen

    def measure(self, y: Array, weights: Array | None) -> float:
        """Give the loss of the predictions: its mean, and what regularizers add.

        Raises
        ------
        ValueError
            y holds what the loss cannot take.
        """
        assert self._loss is not None
        self._loss.forward(y)
        if weights is None:
            loss = float(self._values.dot(self._ones)) / self._ones.size
        else:
            loss = float(np.mean(self._loss.values * weights))
        if loss != loss:
            self._loss.check(y)
        for variable in self._config.penalized:
            assert variable.regularizer is not None
            loss += variable.regularizer.loss(variable.value)
        return loss

    def values_of(self, loss: Loss, y: Array) -> Array:
        """Return each sample's loss, computed as the plan's own loss is.

        So a metric and a loss of one name agree: on the logits, where the last
        step is the activation that matches them. To be called after `forward`
        and before `backward`.

        Raises
        ------
        ValueError
            y holds what the loss cannot take.
        """
        bound = self._measured.get(loss)
        if bound is None:
            assert self._y_shape is not None
            loss.check_target(self._y_shape[1:], self.predictions.shape[1:])
            bound = self._measured[loss] = loss.bind(self._last.out, self._last, self._y_shape)
        bound.forward(y)
        if np.isnan(bound.values).any():
            bound.check(y)
        return to_channels_first(bound.values)

    def backward(self, seen: Array, weights: Array | None) -> None:
        """Write all gradients of what `measure` gave; `seen` is from `forward`."""
        assert self._loss is not None
        gradient = self._loss.backward(weights)
        for backward, x in self._backwards:
            gradient = backward(seen if x is None else x, gradient)
        for variable in self._config.penalized:
            assert variable.regularizer is not None
            variable.regularizer.add_gradient(variable.value, variable.gradient)


def _copy_op(x: Array, dtype: np.dtype[np.floating]) -> Op:
    """Make the step of a model that changes nothing."""
    out = np.empty(x.shape, dtype)

    def forward(x: Array) -> Array:
        np.copyto(out, x)
        return out

    return Op(out, forward, lambda x, gradient: gradient)
