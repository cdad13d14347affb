"""Op: a forward and a backward function over fixed buffers.

Inside a plan, arrays are channels first: the batch and the channel axis are
swapped, so ``(batch, height, width, channels)`` becomes ``(channels, height,
width, batch)`` and ``(batch, features)`` becomes ``(features, batch)``. The
contiguous axis is then the long one for every layer; biases, softmax and
normalization work along axis 0; and a convolution is one matrix product whose
patches are copied in long runs. An op may keep another order in memory, as the
rows of an embedding; see `Layer.any_order`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from onstage.model import Array
from onstage.nn.execution.workspace import Workspace

Forward: TypeAlias = Callable[[Array], Array]
"""``forward(x) -> out``: fills and returns the op's own buffer."""

Backward: TypeAlias = Callable[[Array, Array], Array]
"""``backward(x, gradient) -> gradient of x``: x is the argument of `forward`.

It may overwrite `gradient`. Gradients of weights are written, not added. If the
gradient of x is not needed, the returned value is undefined.
"""


class LogSoftmax(NamedTuple):
    """Intermediate values of a softmax, for a cross-entropy."""

    shifted: Array
    """Logits minus the maximum of each sample, so none is positive."""
    total: Array
    """Sum of exp(shifted) of each sample."""
    guarded: Array
    """`shifted`, flat, between two NaN: a lookup out of range yields NaN."""
    padded: Array
    """Probabilities, flat, between two unused values."""


class SigmoidLogits(NamedTuple):
    """Input of a sigmoid, for a binary cross-entropy."""

    logits: Array


@dataclass(frozen=True)
class Op:
    """One operation of a plan.

    Parameters
    ----------
    out
        Buffer that `forward` fills; always the same one.
    reads_out
        Whether `backward` reads `out`, so that the next op must not
        overwrite it.
    with_ones
        `out` and, after it in memory, one row of ones, if present: a product
        with it adds a bias and computes the bias's gradient.
    logits
        Lets a loss skip this op: it then works on the logits, where no
        logarithm of 0 can occur, and computes their gradient.
    """

    out: Array
    forward: Forward
    backward: Backward
    reads_out: bool = True
    with_ones: Array | None = None
    logits: LogSoftmax | SigmoidLogits | None = None


@dataclass(frozen=True)
class BindContext:
    """Position of an op within a plan.

    Parameters
    ----------
    dtype
        Type of the model's weights and values.
    training
        Whether dropout and batch statistics are active; `backward` is called
        in training only.
    needs_gradient
        Whether a layer below has weights to train, which needs the gradient
        of x.
    may_overwrite
        Whether x may be used as `out`.
    first
        Whether x is the user's batch, which may be a different array in
        another memory order at each step. Otherwise x is always the same
        buffer.
    x_with_ones
        `Op.with_ones` of the op that computed x.
    workspace
        The memory of the buffers.
    """

    dtype: np.dtype[np.floating]
    rng: np.random.Generator
    training: bool
    needs_gradient: bool
    may_overwrite: bool
    first: bool = False
    x_with_ones: Array | None = None
    workspace: Workspace = field(default_factory=Workspace)

    def empty(self, shape: Sequence[int | None], dtype: DTypeLike | None = None) -> Array:
        """Return a buffer for values that no later step reads; by default of the model's type."""
        return self.workspace.empty(shape, self.dtype if dtype is None else dtype)


def to_channels_first(values: Array) -> Array:
    """Return a view with batch and channel axis swapped; its own inverse."""
    return values.swapaxes(0, -1)
