"""ExecutionPlan: forward and backward pass of one batch shape, over fixed buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onstage.model import Array
from onstage.nn.execution.ops import Backward, BindContext, Op, to_channels_first
from onstage.nn.execution.workspace import Workspace
from onstage.nn.layers import Layer, Variable
from onstage.nn.losses import BoundLoss, Loss


class PlanConfig(NamedTuple):
    """Settings shared by all plans of a model."""

    layers: Sequence[Layer]
    dtype: np.dtype[np.floating]
    rng: np.random.Generator
    loss: Loss | None
    penalized: Sequence[Variable]
    """Trainable variables with a regularizer."""
    workspace: Workspace
    """Memory of the plans, of which one runs at a time."""


class ExecutionPlan:
    """Forward and backward pass of one batch shape, over buffers allocated once.

    Parameters
    ----------
    x
        First batch; later batches have its shape.
    y_shape
        Shape of the targets; None for a plan that only predicts.
    training
        Whether `backward` will be called.

    Attributes
    ----------
    predictions : Array
        Shape ``(batch, ...)``, a view of the last buffer, valid until the next
        `forward` or `backward` of any plan of the model.
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
        self._bound_losses: dict[Loss, BoundLoss] = {}
        self._loss: BoundLoss | None = None
        self._unchecked = True
        if config.loss is not None and y_shape is not None:
            self._loss = config.loss.bind(ops[-1].out, ops[-1], y_shape)
            self._values = self._loss.values.reshape(-1)
            self._ones = np.ones_like(self._values)
        end = -1 if self._loss is not None and self._loss.skips_last else None
        inputs: list[Array | None] = [None, *(op.out for op in ops)]
        # No gradient is needed below the first trained weights.
        self._backwards: list[tuple[Backward, Array | None]] = [
            (op.backward, x) for op, x in zip(ops, inputs[:-1], strict=True)
        ][trained:end][::-1]

    def _bind(self, training: bool) -> tuple[list[Op], int]:
        """Return all ops, and the number of ops before the first trained weights."""
        self._config.workspace.begin_plan()
        x = to_channels_first(self._cast)
        ops: list[Op] = []
        trained: int | None = None
        with_ones: Array | None = None
        for layer in self._config.layers:
            if ops and not (x.flags.c_contiguous or layer.any_order):
                ops.append(self._copy_op(x))
                x, with_ones = ops[-1].out, None
            context = BindContext(
                self._config.dtype,
                self._config.rng,
                training,
                trained is not None,
                may_overwrite=bool(ops) and not ops[-1].reads_out,
                first=not ops,
                x_with_ones=with_ones,
                workspace=self._config.workspace,
            )
            if trained is None and layer.trainable and layer.weights:
                trained = len(ops)
            for op in layer.bind(x, context):
                # An in-place op leaves the row of ones after its buffer unchanged.
                with_ones = with_ones if op.out is x else op.with_ones
                x = op.out
                ops.append(op)
        if not ops or not x.flags.c_contiguous:
            ops.append(self._copy_op(x))
        return ops, len(ops) if trained is None else trained

    def _copy_op(self, x: Array) -> Op:
        """Make an op that copies x into channels-first order."""
        out = self._config.workspace.empty(x.shape, self._config.dtype)

        def forward(x: Array) -> Array:
            np.copyto(out, x)
            return out

        return Op(out, forward, lambda x, gradient: gradient, reads_out=False)

    def forward(self, x: Array) -> Array:
        """Compute `predictions`; return x as the first op received it."""
        if x.dtype != self._input_dtype:
            np.copyto(self._cast, x, casting="unsafe")
            x = self._cast
        seen = out = x.swapaxes(0, -1)
        for forward in self._forwards:
            out = forward(out)
        return seen

    def measure(self, y: Array, weights: Array | None) -> float:
        """Return the mean loss of the predictions plus the regularization penalties.

        Raises
        ------
        ValueError
            If y holds invalid values, such as class numbers out of range; or, in
            the first batch, if the loss takes probabilities and gets logits.
        """
        assert self._loss is not None
        self._loss.forward(y)
        if self._unchecked:
            self._loss.check_predictions()
            self._unchecked = False
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

    def sample_losses(self, loss: Loss, y: Array) -> Array:
        """Return each sample's loss, computed in the same way as the plan's own loss.

        A metric and a loss of the same name therefore agree: both work on the
        logits if the last op is the matching activation. Call it after
        `forward` and before `backward`.

        Raises
        ------
        ValueError
            If y holds invalid values, such as class numbers out of range.
        """
        bound = self._bound_losses.get(loss)
        if bound is None:
            assert self._y_shape is not None
            loss.check_target(self._y_shape[1:], self.predictions.shape[1:])
            bound = self._bound_losses[loss] = loss.bind(self._last.out, self._last, self._y_shape)
        bound.forward(y)
        if np.isnan(bound.values).any():
            bound.check(y)
        return to_channels_first(bound.values)

    def backward(self, seen: Array, weights: Array | None) -> None:
        """Write all gradients of the loss of `measure`; `seen` is from `forward`."""
        assert self._loss is not None
        gradient = self._loss.backward(weights)
        for backward, x in self._backwards:
            gradient = backward(seen if x is None else x, gradient)
        for variable in self._config.penalized:
            assert variable.regularizer is not None
            variable.regularizer.add_gradient(variable.value, variable.gradient)
