"""What decides how a torch model trains, as plain data: to compare with a saved run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from onstage.model import State
from onstage_torch.pytree import tree_leaves

_PLAIN = (bool, int, float, str)


def of_optimizers(optimizers: Mapping[str, torch.optim.Optimizer], schedulers: Mapping[str, Any]) -> State:
    """Return the class and the options of each optimizer, and the class of each scheduler."""
    return {
        "optimizer": {
            name: {
                "class_name": type(each).__name__,
                "groups": [_plain_items(group) for group in each.param_groups],
            }
            for name, each in optimizers.items()
        },
        "scheduler": {name: type(each).__name__ for name, each in schedulers.items()},
    }


def of_loss(loss: Any) -> Any:
    """Return the name of a loss; that of a module with its options."""
    if loss is None or isinstance(loss, str):
        return loss
    if isinstance(loss, torch.nn.Module):
        options = {name: value for name, value in vars(loss).items() if not name.startswith("_")}
        return {"class_name": type(loss).__name__, **_plain_items(options)}
    if isinstance(loss, partial):
        return {"class_name": of_loss(loss.func), **_plain_items(loss.keywords)}
    return getattr(loss, "__qualname__", type(loss).__name__)


def of_rows(parts: Any) -> str:
    """Return a digest of the first and the last row of tensors, in a nest of any kind."""
    digest = hashlib.sha256()
    for leaf in tree_leaves(parts):
        for rows in (leaf[:1], leaf[-1:]):
            # Cloned: a column that was expanded has a stride of 0, which `contiguous` keeps.
            copied = rows.detach().cpu().clone(memory_format=torch.contiguous_format)
            digest.update(copied.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def of_source(source: object) -> str | None:
    """Return the digest of the rows of a loader of a TensorDataset; None for other data.

    Only of these are the rows known without a call that may draw random
    numbers or take long.
    """
    dataset = getattr(source, "dataset", None)
    return of_rows(dataset.tensors) if isinstance(dataset, TensorDataset) else None


def _plain_items(options: Mapping[str, Any]) -> State:
    return {name: _plain(value) for name, value in options.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN) or (isinstance(value, Tensor) and value.dim() == 0)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, Tensor) else value
