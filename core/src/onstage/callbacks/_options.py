"""The options of callbacks as plain values, for records of a run; secrets are not in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from onstage.registry import _discovery
from onstage.registry._factory import signature_of

_SECRET = re.compile(
    "token|header|secret|password|passwd|credential|auth|cookie|webhook|(^|_)keys?$", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


def is_secret(name: str) -> bool:
    """Return whether an argument of this name may hold a secret: ``token``, ``api_key``."""
    return _SECRET.search(name) is not None


def plain_options(plugin: object) -> dict[str, Any]:
    """Return the constructor's arguments that a plugin stores under their names.

    Only strings, numbers and booleans; without secrets, and without the user
    and password of an address.
    """
    signature = signature_of(cast(Callable[..., object], type(plugin)))
    names = signature.parameters if signature else ()
    kept = {name: getattr(plugin, name, None) for name in names if not is_secret(name)}
    return {
        name: _CREDENTIALS.sub("", value) if isinstance(value, str) else value
        for name, value in kept.items()
        if isinstance(value, (str, int, float, bool))
    }


def describe_plugins(named: list[tuple[str, object]]) -> list[dict[str, Any]]:
    """Return name, distribution, version and options of each plugin, in order."""
    record = []
    for name, plugin in named:
        _, distribution, version = _discovery.provenance(plugin)
        record.append(
            {"name": name, "distribution": distribution, "version": version, "options": plain_options(plugin)}
        )
    return record
