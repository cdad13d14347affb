"""Guard: who may use the server, and how often; and what its pages may load."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESSES = 10_000
_FAILED_COSTS = 100
"""Requests that a wrong token counts as."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Checks host, origin, token and rate of requests before an app gets them.

    Parameters
    ----------
    app
        The app.
    hosts
        Host names of the server, besides IP addresses: a foreign page can
        point its own name to this server, but not an IP address.
    token
        None if no token is required.
    rate
        Requests per second from one address, on average.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str | None, rate: float) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._token = None if token is None else token.encode()
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            self._check(Headers(scope=scope), (scope.get("client") or ("",))[0])
        except HTTPException as refusal:
            headers = {"Connection": "close", **(refusal.headers or {})}
            answer = JSONResponse({"error": refusal.detail}, refusal.status_code, headers)
            return await answer(scope, receive, guarded)
        return await self._app(scope, receive, guarded)

    def _check(self, headers: Headers, address: str) -> None:
        self._take(address, 1)
        host, *others = headers.getlist("Host") or [""]
        if others or not self._is_ours(host):
            raise HTTPException(421, "this server has another name")
        if not all(_is_of(origin, host) for origin in headers.getlist("Origin")):
            raise HTTPException(403, "pages of other sites may not use this server")
        if self._token is not None and not self._is_known(headers.get("Authorization", "")):
            self._take(address, _FAILED_COSTS)
            remedy = {"WWW-Authenticate": 'Basic realm="onstage", charset="UTF-8"'}
            raise HTTPException(401, "a token is required", remedy)

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
        left, since = self._buckets.pop(address, (2 * self._rate, now))
        left = min(2 * self._rate, left + (now - since) * self._rate)
        enough = left >= cost
        self._buckets[address] = (left - cost if enough else left, now)
        if len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        if not enough:
            raise HTTPException(429, "too many requests", {"Retry-After": "1"})


def _is_of(origin: str, host: str) -> bool:
    """Return whether a page of an origin comes from a host."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as "http://["
        return False
