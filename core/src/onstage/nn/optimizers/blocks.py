"""The stretches in which an optimizer goes over the flat buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from onstage.model import Array

BLOCK = 65536
"""Values that are updated at once.

Enough that the cost of a call of numpy is lost among them, and few enough that
all buffers of a block stay in the cache while the formula goes over them.
"""


class Block(NamedTuple):
    """A stretch of the flat buffers: views of one length.

    `slots` come in the order of `Optimizer.slots`. `scratch` and
    `gradients` may be written to and mean nothing afterwards. `part` is
    where the stretch lies.
    """

    weights: Array
    gradients: Array
    slots: tuple[Array, ...]
    scratch: Array
    part: slice


def check_flat(parameters: Array) -> None:
    """Raise ValueError unless it is one flat, contiguous array of floats."""
    if parameters.ndim != 1 or parameters.dtype.kind != "f" or not parameters.flags.c_contiguous:
        raise ValueError(
            "parameters must be one flat, contiguous array of floats, "
            f"got shape {parameters.shape} of {parameters.dtype}"
        )


def split_blocks(
    weights: Array, gradients: Array, slots: Sequence[Array], spans: Sequence[slice]
) -> list[Block]:
    """Cut stretches of flat buffers into blocks, which share their scratch.

    Raises
    ------
    ValueError
        The gradients are not of the weights' shape and type.
    """
    if gradients.shape != weights.shape or gradients.dtype != weights.dtype:
        raise ValueError(
            f"gradients must be of shape {weights.shape} and {weights.dtype} as the parameters, "
            f"got {gradients.shape} and {gradients.dtype}"
        )
    scratch = np.empty(min(BLOCK, weights.size), weights.dtype)
    blocks = []
    for span in spans:
        for start in range(span.start, span.stop, BLOCK):
            part = slice(start, min(start + BLOCK, span.stop))
            own = tuple(slot[part] for slot in slots)
            blocks.append(Block(weights[part], gradients[part], own, scratch[: part.stop - start], part))
    return blocks


def join(slices: Sequence[slice]) -> list[slice]:
    """Join slices, in ascending order, where one ends as the next begins."""
    spans: list[slice] = []
    for each in slices:
        start = spans.pop().start if spans and spans[-1].stop == each.start else each.start
        spans.append(slice(start, each.stop))
    return spans
