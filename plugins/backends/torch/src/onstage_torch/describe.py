"""The repr of a model: module, optimizer, and the settings that differ from their defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import torch


def format_settings(constructor: Callable[..., Any], arguments: Mapping[str, Any]) -> list[str]:
    """Return ``name=value`` for the arguments of a constructor that differ from their defaults.

    As texts, so that the model keeps no reference to them. Without the module
    and the optimizer, which `format_model` shows as they are now.
    """
    return [
        f"{name}={_format(arguments[name])}"
        for name, parameter in signature(constructor).parameters.items()
        if name not in ("self", "module", "optimizer", "device")
        and not _is_default(arguments[name], parameter.default)
    ]


def format_model(model: Any, settings: Iterable[str]) -> str:
    """Return class, module, number of weights, optimizers with their rates, and the settings."""
    weights = sum(parameter.numel() for parameter in model.module.parameters())
    parts = [f"module={type(model.module).__name__}", f"weights={weights:,}"]
    for name, optimizer in model.optimizers.items():
        rates = dict.fromkeys(f"{float(group['lr']):g}" for group in optimizer.param_groups if "lr" in group)
        label = "optimizer" if len(model.optimizers) == 1 else name
        parts.append(f"{label}={type(optimizer).__name__}(lr={', '.join(rates)})")
    return f"<{type(model).__name__} {' '.join([*parts, *settings, f'device={str(model.device)!r}'])}>"


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (str, int, float)) and bool(value == default))


def _format(value: Any) -> str:
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_format, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name!r}: {_format(one)}' for name, one in value.items())}}}"
    if isinstance(value, torch.dtype):
        return str(value)
    name = getattr(value, "__qualname__", None) or type(value).__name__
    return str(name).rpartition(".")[2]
