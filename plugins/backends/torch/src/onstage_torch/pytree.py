"""Nested inputs and outputs: a tensor, or tuples, lists and dicts of tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onstage.model import Array


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the tree with a function applied to each leaf; None stays None."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return _mapping_like(tree, {key: map_leaves(function, item) for key, item in tree.items()})
    if isinstance(tree, tuple | list):
        return _sequence_like(tree, [map_leaves(function, item) for item in tree])
    return function(tree)


def _mapping_like(example: Any, items: dict[Any, Any]) -> Any:
    """Return a mapping of the example's own type, whose values attributes may show too."""
    if type(example) is dict or not isinstance(example, MutableMapping):
        return items
    made = copy.copy(example)
    for key, item in items.items():
        made[key] = item
    return made


def _sequence_like(example: Any, items: list[Any]) -> Any:
    named = hasattr(example, "_fields")  # a namedtuple takes its items as arguments
    return type(example)(*items) if named else type(example)(items)


def tree_leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves that are not None, in order."""
    if isinstance(tree, Mapping):
        tree = tuple(tree.values())
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from tree_leaves(item)
    elif tree is not None:
        yield tree


def detach(tree: Any) -> Any:
    """Return the tree with its tensors detached from their graph."""
    if isinstance(tree, Tensor):  # The usual case.
        return tree.detach()
    return map_leaves(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


def sample_count(tree: Any) -> int:
    """Return the number of samples in a batch: the length of its first tensor that has axes."""
    if isinstance(tree, Tensor):
        return tree.shape[0] if tree.ndim else 1
    return next((len(leaf) for leaf in tree_leaves(tree) if getattr(leaf, "ndim", 0)), 1)


def to_array(tensor: Tensor) -> Array:
    """Return a copy of a tensor as a numpy array, as `array_view` converts it."""
    return np.array(array_view(tensor), copy=True)


def to_arrays(tree: Any) -> Any:
    """Return the tree with copies of its tensors as numpy arrays."""
    return map_leaves(lambda leaf: to_array(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def array_view(tensor: Tensor) -> Array:
    """Return a tensor as a numpy array, on its own memory if possible; bfloat16 as float32.

    Raises
    ------
    TypeError
        If it is a DTensor: a part is in each process, and joining the parts
        here would wait for processes that may not read theirs.
    """
    if hasattr(tensor, "full_tensor"):
        raise TypeError(
            "weights must be whole in each process to be read or saved here, got a DTensor that is sharded "
            "over several; use torch.distributed.checkpoint, or the save method of Accelerate or Fabric, "
            "in a callback with ranks = 'all'"
        )
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:  # numpy lacks it.
        tensor = tensor.float()
    array: Array = tensor.cpu().numpy()
    return array


def concat(outputs: list[Any]) -> Any:
    """Return the outputs of all batches, joined leaf by leaf.

    Arrays whose other axes differ from batch to batch, such as padded
    sequences, become a list of one array for each sample.
    """
    first = outputs[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        return {key: concat([each[key] for each in outputs]) for key in first}
    if isinstance(first, tuple | list):
        return _sequence_like(first, [concat(list(parts)) for parts in zip(*outputs, strict=True)])
    if not np.ndim(first):
        return np.stack(outputs)
    if any(np.shape(each)[1:] != np.shape(first)[1:] for each in outputs):
        return [row for each in outputs for row in each]
    return np.concatenate(outputs)
