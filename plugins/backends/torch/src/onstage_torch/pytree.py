"""Nested inputs: a tensor, or tuples, lists and dicts of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onstage.model import Array


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to what is no container; None stays None."""
    if tree is None:
        return None
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, item) for key, item in tree.items()}
    if isinstance(tree, tuple | list):
        return _sequence_like(tree, [map_leaves(function, item) for item in tree])
    return function(tree)


def _sequence_like(example: Any, items: list[Any]) -> Any:
    named = hasattr(example, "_fields")  # a namedtuple takes its parts one by one
    return type(example)(*items) if named else type(example)(items)


def tree_leaves(tree: Any) -> Iterator[Any]:
    """Give what is no container and not None, in order."""
    if isinstance(tree, Mapping):
        tree = tuple(tree.values())
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from tree_leaves(item)
    elif tree is not None:
        yield tree


def detached(tree: Any) -> Any:
    """Cut outputs off their graph; the tensor itself is the usual case."""
    if isinstance(tree, Tensor):
        return tree.detach()
    return map_leaves(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


def sample_count(tree: Any) -> int:
    """Count the samples of a batch: the length of the first tensor in it."""
    if isinstance(tree, Tensor):
        return tree.shape[0] if tree.ndim else 1
    first = next(tree_leaves(tree), None)
    return 1 if first is None or not getattr(first, "ndim", 0) else len(first)


def to_array(tensor: Tensor) -> Array:
    """Copy a tensor to numpy, as `array_view` gives it."""
    return np.array(array_view(tensor), copy=True)


def array_view(tensor: Tensor) -> Array:
    """Give a tensor as numpy's, on its own memory where that can be; bfloat16 as float32."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:  # numpy lacks it.
        tensor = tensor.float()
    array: Array = tensor.cpu().numpy()
    return array


def concat(outputs: list[Any]) -> Any:
    """Join the outputs of batches, leaf by leaf."""
    first = outputs[0]
    if isinstance(first, Mapping):
        return {key: concat([each[key] for each in outputs]) for key in first}
    if isinstance(first, tuple | list):
        return _sequence_like(first, [concat(list(parts)) for parts in zip(*outputs, strict=True)])
    return np.concatenate(outputs) if np.ndim(first) else np.stack(outputs)
