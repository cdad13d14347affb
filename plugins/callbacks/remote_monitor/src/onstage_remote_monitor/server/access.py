"""Guard: access control and rate limits of the server."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from email.message import Message
from http import HTTPStatus
from urllib.parse import urlsplit

_ADDRESSES = 10_000
_FAILED_COSTS = 100
"""Requests that a wrong token counts as."""


class Refusal(Exception):
    """Refusal of a request, with its HTTP status."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """Checks host, origin, token and rate of requests.

    Parameters
    ----------
    hosts
        Host names of the server, besides IP addresses: a foreign page can
        point its own name to this server, but not an IP address.
    token
        None if no token is required.
    rate
        Requests per second from one address, on average.
    """

    def __init__(self, hosts: Iterable[str], token: str | None, rate: float) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._token = None if token is None else token.encode()
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, headers: Message, address: str) -> None:
        """Raise `Refusal` if a request is not allowed."""
        self._take(address, 1)
        host, *others = headers.get_all("Host", [""])
        if others or not self._is_ours(host):
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        if not all(_is_of(origin, host) for origin in headers.get_all("Origin", [])):
            raise Refusal(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server")
        if self._token is not None and not self._is_known(headers.get("Authorization", "")):
            self._take(address, _FAILED_COSTS)
            raise Refusal(HTTPStatus.UNAUTHORIZED, "a token is required")

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _is_known(self, authorization: str) -> bool:
        """Return whether the token is right, as bearer token or as Basic password."""
        assert self._token is not None
        scheme, _, given = authorization.partition(" ")
        secret = given.strip().encode("latin-1", "replace")
        if scheme.lower() == "basic":
            try:
                secret = base64.b64decode(secret, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(secret, self._token)

    def _take(self, address: str, cost: float) -> None:
        """Take from the token bucket of an address, which holds two seconds of `rate`."""
        now = time.monotonic()
        with self._lock:
            left, since = self._buckets.pop(address, (2 * self._rate, now))
            left = min(2 * self._rate, left + (now - since) * self._rate)
            enough = left >= cost
            self._buckets[address] = (left - cost if enough else left, now)
            if len(self._buckets) > _ADDRESSES:
                self._buckets.popitem(last=False)
        if not enough:
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")


def _is_of(origin: str, host: str) -> bool:
    """Return whether a page of an origin comes from a host."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as "http://["
        return False
