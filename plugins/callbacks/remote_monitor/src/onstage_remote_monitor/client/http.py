"""Transport: one POST at a time, to one address, that can be broken off."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from onstage_remote_monitor.client.disk_queue import Entry
from onstage_remote_monitor.validation import RUN_HEADER, SEQUENCE_HEADER, is_loopback

_ANSWER = 1 << 16
"""Bytes of an answer that are read, so that its connection serves again."""
_LATER = {401, 403, 404, 405, 408, 425, 429}
"""Statuses that somebody can put right; with others from 400 to 499 the event itself is at fault."""


class Outcome(NamedTuple):
    """What came of a POST."""

    kind: Literal["sent", "refused", "later"]
    """``refused``: these events will never be taken; ``later``: try again."""
    cause: str = ""
    wait: float = 0.0
    """Seconds that the server asks for."""


_LATE = Outcome("later", "the answer took too long")


class Transport:
    """Posts events to one address.

    Redirects are not followed, certificates are verified, cookies and netrc
    are not used, and on loopback no proxy either.

    Parameters
    ----------
    url
        Without credentials.
    headers
        Sent with each request.
    token
        Goes into the header ``Authorization``; kept nowhere else.
    field
        Events are the form's field of this name; None: they are the JSON body.
    timeout
        Seconds for the connection, and for each wait for an answer; a request
        takes three times as long at most.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], token: str | None, field: str | None, timeout: float
    ) -> None:
        self._url = url
        self._field = field
        self._timeout = timeout
        self._began: float | None = None
        self._broken_off = False
        self._socket: socket.socket | None = None
        self._session = requests.Session()
        self._session.headers.update(headers)
        self._session.auth = _authorization(token)
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._connected))

    @property
    def reached(self) -> bool:
        """Whether there ever was a connection."""
        return self._socket is not None

    def _connected(self, connection: socket.socket) -> None:
        self._socket = connection

    def post(self, entries: Sequence[Entry], many: bool) -> Outcome:
        """Send events, a JSON list of them if `many`; gives what came of it."""
        text = f"[{','.join(entry.text for entry in entries)}]" if many else entries[0].text
        headers = {RUN_HEADER: entries[0].run, SEQUENCE_HEADER: str(entries[0].sequence)}
        body: Any = {self._field: text}
        if self._field is None:
            headers["Content-Type"] = "application/json"
            body = text.encode()
        self._broken_off, self._began = False, time.monotonic()
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                next(answer.iter_content(_ANSWER), None)
                # A status line that was cut off reads like a whole one.
                return _LATE if self._broken_off else _outcome(answer)
        except (requests.RequestException, OSError) as error:
            if self._broken_off:
                return _LATE
            return Outcome("later", f"{type(error).__name__}: {_short(error)}")
        finally:
            self._began = None

    def break_off(self, after: float | None = None) -> None:
        """End a request that takes too long; called from another thread.

        Parameters
        ----------
        after
            Seconds since it began; None: three times the timeout.
        """
        began = self._began
        limit = 3 * self._timeout if after is None else after
        if began is not None and time.monotonic() - began > limit and self._socket is not None:
            self._broken_off = True
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: it takes the socket apart under its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _outcome(answer: requests.Response) -> Outcome:
    status = answer.status_code
    if 200 <= status < 300:
        return Outcome("sent")
    cause = f"the server answered {status} {answer.reason}"
    if 300 <= status < 400:
        return Outcome("later", f"{cause}; redirects are not followed, give the address it leads to")
    if status < 500 and status not in _LATER:
        return Outcome("refused", cause)
    wait = answer.headers.get("Retry-After", "")
    return Outcome("later", cause, float(wait) if wait.isdecimal() else 0.0)


def _short(error: Exception) -> str:
    """Give the innermost reason: urllib3's own text repeats address and objects."""
    reason: Any = error
    while (inner := getattr(reason, "reason", None)) is not None or (
        inner := reason.args[0] if reason.args and isinstance(reason.args[0], Exception) else None
    ) is not None:
        if not isinstance(inner, Exception):
            break
        reason = inner
    return str(reason).split(": ", 1)[-1][:200]


def _authorization(token: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Add the token. Without one too there is this function, or requests looks into netrc."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


class _Adapter(HTTPAdapter):
    """Tells of each socket that is connected."""

    def __init__(self, connected: Callable[[socket.socket], None]) -> None:
        self._connected = connected
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._tell(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._tell(manager)
        return manager

    def close(self) -> None:
        """Close the connections now: urllib3 waits for the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # a mapping that can't be iterated
                manager.pools[key].close()
        super().close()

    def _tell(self, manager: Any) -> None:
        connected = self._connected

        def told(pool: Any) -> Any:
            class Connection(pool.ConnectionCls):  # type: ignore[misc]  # a class made of another
                def connect(self) -> None:
                    super().connect()
                    connected(self.sock)

            return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

        manager.pool_classes_by_scheme = {
            scheme: told(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
        }
