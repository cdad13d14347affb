"""Arguments of a call of a layer or a model: arrays, and what only stands for one."""

from __future__ import annotations

from typing import NamedTuple

from onstage.data import as_array
from onstage.model import Array


class TensorSpec(NamedTuple):
    """Shape, type and name of a model's input or output; it holds no values."""

    shape: tuple[int | None, ...]
    """None for the batch axis, then the lengths of the others."""
    dtype: str
    name: str


def as_values(x: object) -> Array:
    """Return the argument of a call as an array of numbers.

    Raises
    ------
    TypeError
        If it stands for values that are still to come, as in a graph of layers.
    """
    if isinstance(x, TensorSpec) or hasattr(x, "compute_output_shape"):
        raise TypeError(
            f"a layer must be called on an array of numbers, got {x!r:.80}; onstage's numpy backend trains "
            "Sequential models: pass the layers as a list, Sequential([Input(...), Dense(...)]). For graphs "
            "with branches, train a torch module with onstage_torch.TorchModel"
        )
    return as_array(x, "x")
