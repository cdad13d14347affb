"""Batches of tensors from the data that a user passes to ``fit``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from onstage.data import (
    as_array,
    as_sample_weights,
    choose_batch_size,
    class_weight_to_sample_weights,
    name_parts,
    parse_class_weight,
    reject_array_arguments,
    warn_if_nan,
)
from onstage.data.batches import Batches
from onstage.validation import validate_optional_int
from onstage_torch.data.device import as_tensor
from onstage_torch.data.loaders import LoaderBatches
from onstage_torch.data.tensors import TensorBatches
from onstage_torch.pytree import tree_leaves


def make_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
    rng: np.random.Generator | None = None,
    steps: int | None = None,
    class_weight: object = None,
    name: str = "x",
    pinned: bool = False,
) -> Batches:
    """Return batches of arrays, tensors, a dataset, a loader, or any iterable.

    Parameters
    ----------
    x
        Arrays or tensors with one row a sample, or a tuple or dict of them; a
        torch Dataset of samples; or a source of batches: a DataLoader, a list
        or a generator of ``(x, y)``, ``(x, y, sample_weight)`` or x alone.
    y, sample_weight
        For arrays and tensors only; as long as x.
    batch_size
        For arrays, tensors and datasets. None is ``ceil(n / steps)``, or 32
        without `steps`. With several processes it is the size for all of them
        together with arrays and tensors, for each of them with a dataset.
    shuffle, rng
        A new order for each epoch. Loaders and iterables keep their own.
    steps
        Batches in an epoch; the next epoch continues after them.
    class_weight
        Class number to weight; a class that is missing weighs 1.
    name
        User's name of x.
    pinned
        As in `TensorBatches`; loaders have ``pin_memory``.

    Raises
    ------
    TypeError, ValueError
        If x is not data, or its parts don't fit together.
    """
    limit = validate_optional_int("steps", steps, 1)
    table = parse_class_weight(class_weight, sample_weight)
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset):
        reject_array_arguments(name, x, y=y, sample_weight=sample_weight)
        size = choose_batch_size(_length(x, name), batch_size, limit)
        loader: DataLoader[Any] = DataLoader(x, size, shuffle=shuffle)
        sized_by_steps = batch_size is None and limit is not None
        return LoaderBatches(
            loader, limit=limit, class_weight=table, name=name, sized_by_steps=sized_by_steps
        )
    if _yields_batches(x):
        reject_array_arguments(name, x, y=y, sample_weight=sample_weight, batch_size=batch_size)
        return LoaderBatches(x, limit=limit, class_weight=table, name=name)
    parts = _as_parts(x, y, sample_weight, name)
    size = choose_batch_size(len(next(tree_leaves(parts[0]))), batch_size, limit)
    if table is not None:
        parts = (*parts[:2], _sample_weights(parts[1], table, name_parts(name)[1]))
    if shuffle and rng is None:
        rng = np.random.default_rng()
    rng = rng if shuffle else None
    return TensorBatches(parts, batch_size=size, rng=rng, limit=limit, name=name, pinned=pinned)


def is_rows(x: object) -> bool:
    """Return whether x holds rows that are cut into batches here."""
    return not isinstance(x, Dataset) and not _yields_batches(x)


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise TypeError(
            f"{name} must have a length to be cut into batches, got {type(dataset).__name__}; "
            "define __len__, or pass a DataLoader"
        ) from error


def _yields_batches(x: object) -> bool:
    if isinstance(x, Tensor | np.ndarray | Mapping | tuple | str) or hasattr(x, "__array__"):
        return False
    if isinstance(x, list):
        return (
            bool(x)
            and isinstance(x[0], tuple | list | Mapping)
            and any(isinstance(leaf, Tensor | np.ndarray) for leaf in tree_leaves(x[0]))
        )
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _as_parts(x: Any, y: Any, sample_weight: Any, name: str) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight as tensors of equal length."""
    names = name_parts(name)
    weights = sample_weight
    if weights is not None and not isinstance(weights, Tensor):
        weights = as_sample_weights(weights, names[2])
    parts = (_as_tensors(x, names[0]), _as_tensors(y, names[1]), _as_tensors(weights, names[2]))
    n = len(next(tree_leaves(parts[0])))
    for part, each in zip(parts, names, strict=True):
        for leaf in tree_leaves(part):
            if len(leaf) != n:
                raise ValueError(
                    f"{each} must be as long as {names[0]}, got {len(leaf):,} samples against {n:,}"
                )
    return parts


def _as_tensors(value: Any, name: str) -> Any:
    """Return tensors on the memory of arrays; a tuple or dict is several inputs."""
    if value is None:
        return None
    if isinstance(value, Mapping | tuple) and value:
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        tensors = {key: _as_tensors(each, f"{name}[{key!r}]") for key, each in items}
        return tensors if isinstance(value, Mapping) else tuple(tensors.values())
    if isinstance(value, Tensor):
        if not value.dim() or not len(value):
            raise ValueError(f"{name} must hold at least one sample, got shape {tuple(value.shape)}")
        return value
    array = as_array(value, name)
    warn_if_nan(array, name)
    return as_tensor(array)


def _sample_weights(y: Any, table: dict[int, float], name: str) -> Tensor:
    """Return the sample weights that class weights amount to, on the device of y."""
    if not isinstance(y, Tensor):
        raise ValueError(f"class_weight needs {name} to be one tensor of class numbers or one-hot rows")
    return as_tensor(class_weight_to_sample_weights(y.cpu().numpy(), table, name)).to(y.device)
