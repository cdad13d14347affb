"""Op: a piece of a plan, a forward and a backward function over fixed buffers.

Inside a plan the batch axis and the channel axis have changed places: what is
``(batch, height, width, channels)`` outside is ``(channels, height, width, batch)``
inside, and ``(batch, features)`` is ``(features, batch)``. The last axis, along
which the processor is fast, is then the long one for every layer; a bias, a
softmax, a normalisation work along axis 0; and a convolution is one product of
matrices whose patches are copied in long runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from onstage.model import Array

Forward: TypeAlias = Callable[[Array], Array]
"""``forward(x) -> out``: fills and gives the step's own buffer."""

Backward: TypeAlias = Callable[[Array, Array], Array]
"""``backward(x, gradient) -> gradient of x``: x is what `forward` got.

It may use `gradient` as its own buffer. Gradients of weights are written, not
added. Where nobody wants the gradient of x, what it gives means nothing.
"""


class LogSoftmax(NamedTuple):
    """What a softmax keeps for a cross-entropy."""

    shifted: Array
    """The logits less the greatest of each sample: none is positive."""
    total: Array
    """The sums of their exp."""
    guarded: Array
    """`shifted`, flat, between two NaN: what is looked up outside of it is NaN."""
    padded: Array
    """The probabilities, flat, between two values that mean nothing."""


class SigmoidLogits(NamedTuple):
    """What a sigmoid keeps for a binary cross-entropy: its input."""

    logits: Array


@dataclass(frozen=True)
class Op:
    """One piece of a plan.

    Parameters
    ----------
    out
        The buffer that `forward` fills; always the same one.
    reads_out
        Whether `backward` reads `out`, so that the next step must not
        overwrite it.
    with_ones
        `out` and, behind it in memory, one row of ones, if there is one: a
        product with it adds a bias, and gives the bias's gradient.
    logits
        What lets a loss pass by this step: it then works on the logits, where
        no logarithm of 0 can occur, and gives their gradient.
    """

    out: Array
    forward: Forward
    backward: Backward
    reads_out: bool = True
    with_ones: Array | None = None
    logits: LogSoftmax | SigmoidLogits | None = None


@dataclass(frozen=True)
class BindContext:
    """Where in a plan a step will stand.

    Parameters
    ----------
    dtype
        Of the model's weights and values.
    training
        Whether dropout drops and batch statistics count; `backward` is called
        in training only.
    wants_gradient
        Whether something below has weights to train, and so needs the gradient of x.
    may_overwrite
        Whether x may serve as `out`.
    first
        Whether x is the batch as it came: another array, of another memory
        order, in each step. Elsewhere x is always the same buffer.
    x_with_ones
        As `Op.with_ones`, for x.
    """

    dtype: np.dtype[np.floating]
    rng: np.random.Generator
    training: bool
    wants_gradient: bool
    may_overwrite: bool
    first: bool = False
    x_with_ones: Array | None = None


def to_channels_first(values: Array) -> Array:
    """Swap the batch and the channel axis: a view. Its own inverse."""
    return values.swapaxes(0, -1)
