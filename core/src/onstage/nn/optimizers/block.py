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


def cut(weights: Array, gradients: Array, slots: Sequence[Array]) -> list[Block]:
    """Cut flat buffers of one length into blocks, which share their scratch.

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
    for start in range(0, weights.size, BLOCK):
        part = slice(start, min(start + BLOCK, weights.size))
        own = tuple(slot[part] for slot in slots)
        blocks.append(Block(weights[part], gradients[part], own, scratch[: part.stop - start], part))
    return blocks
