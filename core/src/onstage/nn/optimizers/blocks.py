"""Blocks: the parts of the flat buffers that an optimizer updates at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onstage.model import Array

BLOCK = 65536
"""Number of values updated at once.

Large enough to amortize the overhead of numpy calls, and small enough for all
buffers of a block to stay in the cache during the update.
"""


class Block(NamedTuple):
    """Views of one part of the flat buffers, all of the same length.

    `slots` are in the order of `Optimizer.slots`. `scratch` and `gradients` may
    be overwritten by an update. `part` is the position in the flat buffers.
    """

    weights: Array
    gradients: Array
    slots: tuple[Array, ...]
    scratch: Array
    part: slice


class BlockedBuffers:
    """The flat parameters and slots, split into trained and frozen blocks.

    Parameters
    ----------
    parameters
        Flat, contiguous, of a floating type.
    slices
        Position of each variable. None for a single one.
    slots
        Names of the state kept for each parameter, with initial values.

    Attributes
    ----------
    gradients : Array or None
        Argument of the last `bind`; None if the blocks are out of date.
    trained : list of slice
        Positions of the trained variables.
    spans : list of slice
        The same positions, with adjacent variables merged.
    blocks, frozen_blocks : list of Block
        Blocks of trained and frozen variables, from `bind`.
    """

    def __init__(self, parameters: Array, slices: Sequence[slice] | None, slots: Mapping[str, float]) -> None:
        check_flat(parameters)
        self.parameters = parameters
        self.slots = {name: np.full_like(parameters, value) for name, value in slots.items()}
        self._slices = [slice(0, parameters.size)] if slices is None else list(slices)
        self.gradients: Array | None = None
        self.freeze([False] * len(self._slices))

    def set_slots(self, slots: Mapping[str, float]) -> None:
        """Make the slots that are new, and drop those that are left out."""
        if list(slots) != list(self.slots):
            own = self.slots
            self.slots = {
                name: own[name] if name in own else np.full_like(self.parameters, value)
                for name, value in slots.items()
            }
            self.gradients = None

    def freeze(self, frozen: Sequence[bool]) -> None:
        """Set which variables are frozen, in the order of the slices."""
        pairs = list(zip(self._slices, frozen, strict=True))
        self.trained = [each for each, is_frozen in pairs if not is_frozen]
        self.spans = merge_slices(self.trained)
        self._frozen_spans = merge_slices([each for each, is_frozen in pairs if is_frozen])
        self.gradients = None

    def bind(self, gradients: Array) -> None:
        """Make the blocks for an array of gradients."""
        buffers = self.parameters, gradients, list(self.slots.values())
        self.blocks = split_blocks(*buffers, self.spans)
        self.frozen_blocks = split_blocks(*buffers, self._frozen_spans)
        self.gradients = gradients

    def __getstate__(self) -> dict[str, Any]:
        # Copied blocks would not be views of the copied parameters.
        return self.__dict__ | {"gradients": None, "blocks": [], "frozen_blocks": []}


def check_flat(parameters: Array) -> None:
    """Raise ValueError unless parameters are a flat, contiguous array of floats."""
    if parameters.ndim != 1 or parameters.dtype.kind != "f" or not parameters.flags.c_contiguous:
        raise ValueError(
            "parameters must be one flat, contiguous array of floats, "
            f"got shape {parameters.shape} of {parameters.dtype}"
        )


def split_blocks(
    weights: Array, gradients: Array, slots: Sequence[Array], spans: Sequence[slice]
) -> list[Block]:
    """Split spans of the flat buffers into blocks, which share their scratch.

    Raises
    ------
    ValueError
        If gradients and weights differ in shape or type.
    """
    if gradients.shape != weights.shape or gradients.dtype != weights.dtype:
        raise ValueError(
            f"gradients must have the parameters' shape {weights.shape} and type {weights.dtype}, "
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


def merge_slices(slices: Sequence[slice]) -> list[slice]:
    """Merge adjacent slices, given in ascending order."""
    spans: list[slice] = []
    for each in slices:
        start = spans.pop().start if spans and spans[-1].stop == each.start else each.start
        spans.append(slice(start, each.stop))
    return spans
