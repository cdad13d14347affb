"""The checks of the constructor's arguments; none of them repeats a secret."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

RUN_HEADER, SEQUENCE_HEADER = "X-Onstage-Run", "X-Onstage-Sequence"
"""Whose events a request holds (``run.attempt``), and the number of the first.

By them a server leaves out what it has, and takes back what a resumed run repeats.
"""

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def checked_root(root: str) -> str:
    """Check a server's address.

    Raises
    ------
    ValueError
        It is no http or https address, or has a user or a password in it. The
        message doesn't repeat it.
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
            "and give its name as token_env"
        )
    if wrong or parts.query or parts.fragment:
        raise ValueError("root must be an address such as 'http://localhost:9000', got another kind of text")
    return root.rstrip("/")


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Copy headers; raises ValueError, without the value, where one can't be sent."""
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers must be str by str, got another type under {name!r}")
        if not _VISIBLE.fullmatch(name) or not all(
            _VISIBLE.fullmatch(word) for word in value.split(" ") if word
        ):
            raise ValueError(f"headers must be visible characters on one line, got others under {name!r}")
    return dict(headers or {})


def read_token(token_env: str | None) -> str | None:
    """Read the token; raises ValueError when the variable isn't set, or holds no token."""
    if token_env is None:
        return None
    token = os.environ.get(token_env)
    if not token:
        raise ValueError(f"token_env must name an environment variable that is set, got {token_env!r}")
    if not _VISIBLE.fullmatch(token):
        raise ValueError(f"the environment variable {token_env!r} must hold visible ASCII characters only")
    return token


def is_loopback(host: str) -> bool:
    """Whether an address leads to this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
