"""Checks of the constructor's arguments; their messages repeat no secret."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

RUN_HEADER, SEQUENCE_HEADER = "X-Onstage-Run", "X-Onstage-Sequence"
"""Run of the events in a request (``run.attempt``), and the number of the first.

They let a server skip repeated events, and remove those that a resumed run repeats.
"""

LIVE_HEADER, STOP_HEADER = "X-Onstage-Live", "X-Onstage-Stop"
"""Headers of an answer: the server takes heartbeats; the run should stop, and why."""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def validate_root(root: str) -> str:
    """Return the address of a server without a final slash.

    Raises
    ------
    ValueError
        It is not an http or https address, or holds a user or a password. The
        message does not repeat it.
    """
    if not isinstance(root, str):
        raise TypeError(f"root must be a str, got {type(root).__name__}")
    try:
        parts = urlsplit(root)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 0
    except ValueError:
        wrong, parts = True, urlsplit("")
    if "@" in root:
        raise ValueError(
            "root must not hold a user or a password; put a token into an environment variable "
            "and pass its name as token_env"
        )
    if wrong or parts.query or parts.fragment:
        raise ValueError(
            f"root must be an address such as 'http://localhost:9000', got {_kind_of_address(root)}"
        )
    return root.rstrip("/")


def _kind_of_address(root: str) -> str:
    """Return why an address is refused, without its text, which may hold a secret."""
    if not root:
        return "an empty string"
    scheme, separator, rest = root.partition("://")
    if not separator:
        return "one without http:// or https:// before it"
    if scheme.lower() not in ("http", "https"):
        return "one of another protocol"
    if "?" in rest or "#" in rest:
        return "one with a query or a fragment"
    return "one whose host or port is invalid"


def validate_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of the headers; raise ValueError, without the value, if one is invalid."""
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers must be str by str, got another type under {name!r}")
        if not _VISIBLE.fullmatch(name) or not all(
            _VISIBLE.fullmatch(word) for word in value.split(" ") if word
        ):
            raise ValueError(f"headers must be visible characters on one line, got others under {name!r}")
    return dict(headers or {})


def read_token(token_env: str | None) -> str | None:
    """Return the token; raise ValueError if the variable is not set, or holds no token."""
    if token_env is None:
        return None
    token = os.environ.get(token_env)
    if not token:
        raise ValueError(f"token_env must name an environment variable that is set, got {token_env!r}")
    if not _VISIBLE.fullmatch(token):
        raise ValueError(f"the environment variable {token_env!r} must hold visible ASCII characters only")
    return token


def is_loopback(host: str) -> bool:
    """Return whether an address is only reachable from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
