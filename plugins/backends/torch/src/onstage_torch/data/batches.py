"""From what a user passes to ``fit`` to batches of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from onstage.data import (
    as_array,
    as_count,
    as_weights,
    choose_batch_size,
    class_weight_table,
    part_names,
    warn_of_nan,
    weights_of_classes,
)
from onstage.data.batches import Batches
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
) -> Batches:
    """Make batches of arrays, tensors, a dataset, a loader, or any iterable.

    Parameters
    ----------
    x
        Arrays or tensors with one row a sample, or a tuple or dict of them; a
        torch Dataset of samples; or what gives batches: a DataLoader, a list
        or a generator of ``(x, y)``, ``(x, y, sample_weight)`` or x alone.
    y, sample_weight
        For arrays and tensors only; as long as x.
    batch_size
        For arrays, tensors and datasets. None is ``ceil(n / steps)``, or 32
        without `steps`.
    shuffle, rng
        A new order for each epoch. Loaders and iterables keep their own.
    steps
        Batches in an epoch; the next one goes on from there.
    class_weight
        Class number to weight; a class that is missing weighs 1.
    name
        What the user calls x.

    Raises
    ------
    TypeError, ValueError
        It is no data, or its parts don't fit together.
    """
    limit = None if steps is None else as_count(steps, "steps")
    table = None if class_weight is None else class_weight_table(class_weight)
    if table is not None and sample_weight is not None:
        raise ValueError(
            "class_weight and sample_weight can't both be given; multiply them into sample_weight"
        )
    if isinstance(x, Dataset) and not isinstance(x, IterableDataset):
        _refuse(name, x, y=y, sample_weight=sample_weight)
        size = choose_batch_size(_length(x, name), batch_size, limit)
        x = DataLoader(x, size, shuffle=shuffle)
        return LoaderBatches(x, limit=limit, class_weight=table, name=name)
    if _gives_batches(x):
        _refuse(name, x, y=y, sample_weight=sample_weight, batch_size=batch_size)
        return LoaderBatches(x, limit=limit, class_weight=table, name=name)
    parts = _parts(x, y, sample_weight, name)
    size = choose_batch_size(len(next(tree_leaves(parts[0]))), batch_size, limit)
    if table is not None:
        parts = (*parts[:2], _class_weights(parts[1], table, part_names(name)[1]))
    if shuffle and rng is None:
        rng = np.random.default_rng()
    return TensorBatches(parts, batch_size=size, rng=rng if shuffle else None, limit=limit, name=name)


def is_rows(x: object) -> bool:
    """Return whether x is cut into batches here, rather than giving batches or samples itself."""
    return not isinstance(x, Dataset) and not _gives_batches(x)


def _refuse(name: str, x: object, **given: object) -> None:
    for argument, value in given.items():
        if value is not None:
            raise ValueError(
                f"{argument} must be left out where {name} gives batches itself ({type(x).__name__}); "
                "let it give (x, y, sample_weight)"
            )


def _length(dataset: Any, name: str) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        raise TypeError(
            f"{name} must have a length to be cut into batches, got {type(dataset).__name__}; "
            "define __len__, or pass a DataLoader"
        ) from error


def _gives_batches(x: object) -> bool:
    if isinstance(x, Tensor | np.ndarray | Mapping | tuple | str) or hasattr(x, "__array__"):
        return False
    if isinstance(x, list):
        return (
            bool(x)
            and isinstance(x[0], tuple | list | Mapping)
            and any(isinstance(leaf, Tensor | np.ndarray) for leaf in tree_leaves(x[0]))
        )
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _parts(x: Any, y: Any, sample_weight: Any, name: str) -> tuple[Any, Any, Any]:
    names = part_names(name)
    weights = None
    if sample_weight is not None:
        weights = sample_weight if isinstance(sample_weight, Tensor) else as_weights(sample_weight, names[2])
    parts = (_tensors(x, names[0]), _tensors(y, names[1]), _tensors(weights, names[2]))
    n = len(next(tree_leaves(parts[0])))
    for part, each in zip(parts, names, strict=True):
        for leaf in tree_leaves(part):
            if len(leaf) != n:
                raise ValueError(
                    f"{each} must be as long as {names[0]}, got {len(leaf):,} samples against {n:,}"
                )
    return parts


def _tensors(value: Any, name: str) -> Any:
    """Give tensors over the memory of arrays; a tuple or dict is several inputs."""
    if value is None:
        return None
    if isinstance(value, Mapping | tuple) and value:
        several = value.items() if isinstance(value, Mapping) else enumerate(value)
        made = {key: _tensors(each, f"{name}[{key!r}]") for key, each in several}
        return made if isinstance(value, Mapping) else tuple(made.values())
    if isinstance(value, Tensor):
        if not value.dim() or not len(value):
            raise ValueError(f"{name} must hold at least one sample, got shape {tuple(value.shape)}")
        return value
    array = as_array(value, name)
    warn_of_nan(array, name)
    return as_tensor(array)


def _class_weights(y: Any, table: dict[int, float], name: str) -> Tensor:
    """Turn class weights into sample weights, on the device of y."""
    if not isinstance(y, Tensor):
        raise ValueError(f"class_weight needs {name} to be one tensor of class numbers or one-hot rows")
    return as_tensor(weights_of_classes(y.cpu().numpy(), table, name)).to(y.device)
