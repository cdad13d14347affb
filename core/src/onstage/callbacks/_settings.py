"""The settings of a callback as text, for its ``repr``; secrets are not in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from inspect import Parameter, signature
from reprlib import Repr
from typing import Any
from urllib.parse import urlsplit

from onstage.callbacks._options import is_secret

_short = Repr()
_short.maxstring = _short.maxother = 80


def format_settings(callback: object) -> str:
    """Return class and settings: ``"EarlyStopping(patience=3)"``.

    Arguments of the constructor are shown that the object keeps under their
    names, if they differ from their defaults. Of a mapping and of an argument
    that may hold a secret (``headers``, ``token``) only the name is shown, of an
    address only the host.
    """
    kept = vars(callback) if hasattr(callback, "__dict__") else {}
    shown = [
        f"{name}={_format(name, kept[name])}"
        for name, default in _parameters(type(callback)).items()
        if name in kept and not _is_default(kept[name], default)
    ]
    return f"{type(callback).__name__}({', '.join(shown)})"


def _parameters(cls: type) -> dict[str, Any]:
    """Return names and defaults of the constructor's arguments, with those that ``**kwargs`` passes on."""
    found: dict[str, Any] = {}
    for owner in cls.__mro__[:-1]:
        if "__init__" not in vars(owner):
            continue
        own = list(signature(vars(owner)["__init__"]).parameters.values())[1:]
        named = (one for one in own if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD))
        found = {**{one.name: one.default for one in named}, **found}
        if not any(one.kind is Parameter.VAR_KEYWORD for one in own):
            break
    return found


def _is_default(value: Any, default: Any) -> bool:
    if value is default or (default is None and isinstance(value, (Mapping, list, tuple)) and not value):
        return True
    if isinstance(value, os.PathLike) and isinstance(default, (str, os.PathLike)):
        return bool(os.fspath(value) == os.fspath(default))
    # Only plain values: comparing arrays has no single answer.
    plain = (str, int, float, tuple, list)
    if not isinstance(value, plain) or not isinstance(default, plain):
        return False
    return bool(value == default)


def _format(name: str, value: Any) -> str:
    if is_secret(name) or isinstance(value, Mapping):
        return "..."
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        return repr(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{'/...' if parts.path.strip('/') else ''}"
        )
    if _is_plain(value):
        return _short.repr(value)
    if isinstance(value, (list, tuple)):
        return _short.repr(value) if all(_is_plain(one) for one in value) else "..."
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__name__)).rpartition(".")[2]
    return f"<{type(value).__name__}>"


def _is_plain(value: Any) -> bool:
    """Return whether a value's ``repr`` is short and holds no address."""
    return (
        value is None
        or isinstance(value, (bool, int, float))
        or (isinstance(value, str) and "://" not in value)
    )
