"""Transport: one POST at a time, to one address, that another thread can abort."""

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
from urllib3.exceptions import ProtocolError

from onstage.errors import show_error, show_text
from onstage_remote_monitor.client.spool_file import Entry
from onstage_remote_monitor.validation import (
    LIVE_HEADER,
    RUN_HEADER,
    SEQUENCE_HEADER,
    STOP_HEADER,
    is_loopback,
)

_ANSWER = 1 << 16
"""Bytes of an answer that are read, so that its connection can be reused."""
_LATER = {401, 403, 404, 405, 408, 425, 429}
"""Statuses that can be fixed at the server; others from 400 to 499 are the event's own fault."""


class Outcome(NamedTuple):
    """Result of a POST."""

    kind: Literal["sent", "refused", "later"]
    """``refused``: these events will never be accepted; ``later``: try again."""
    cause: str = ""
    wait: float = 0.0
    """Seconds that the server asks for."""
    stop: str = ""
    """Reason for which the server asks the run to stop."""


_LATE = Outcome("later", "the answer took too long")


class Transport:
    """Posts events to one address.

    Redirects are not followed, certificates are verified, cookies and netrc
    are not used, and on loopback no proxy either.

    Parameters
    ----------
    url
        Address without credentials.
    headers
        Sent with each request.
    token
        Sent in the header ``Authorization``; stored nowhere else.
    field
        Form field that holds the events; None: they are the JSON body.
    timeout
        Seconds for the connection, and for each wait for an answer; a request
        takes three times as long at most.

    Attributes
    ----------
    reached
        Whether the server has ever answered, or accepted a request.
    takes_heartbeats
        Whether its last answer said that it takes requests without events.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], token: str | None, field: str | None, timeout: float
    ) -> None:
        self.reached = self.takes_heartbeats = False
        self._url = url
        self._field = field
        self._timeout = timeout
        self._began: float | None = None
        self._aborted = False
        self._adapter = _Adapter()
        self._session = requests.Session()
        self._session.headers.update(headers)
        self._session.auth = _authorization(token)
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)

    def post(self, entries: Sequence[Entry], many: bool) -> Outcome:
        """Send events, as a JSON list if `many`, and return the outcome."""
        text = f"[{','.join(entry.text for entry in entries)}]" if many else entries[0].text
        return self._post(entries[0].run, entries[0].sequence, text)

    def beat(self, run: str, sequence: int) -> Outcome:
        """Send no events, as a sign that the run goes on; `sequence` is that of its next one."""
        return self._post(run, sequence, "[]")

    def _post(self, run: str, sequence: int, text: str) -> Outcome:
        headers = {RUN_HEADER: run, SEQUENCE_HEADER: str(sequence)}
        body: Any = {self._field: text}
        if self._field is None:
            headers["Content-Type"] = "application/json"
            body = text.encode()
        self._aborted, self._began = False, time.monotonic()
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                self.reached = True
                self.takes_heartbeats = LIVE_HEADER in answer.headers
                next(answer.iter_content(_ANSWER), None)
                # A status line that was cut off parses like a whole one.
                return _LATE if self._aborted else _outcome(answer)
        except (requests.RequestException, OSError) as error:
            self.reached |= self._aborted or _is_after_connect(error)
            return _LATE if self._aborted else Outcome("later", f"{type(error).__name__}: {_short(error)}")
        except Exception as error:  # about these events: they would block all later ones
            return Outcome("refused", show_error(error))
        finally:
            self._began = None

    def abort_late(self, after: float | None = None) -> None:
        """Abort a request that takes too long; called from another thread.

        The timeouts of requests bound each wait, not the whole: a server that
        sends a byte now and then would hold the thread for hours.

        Parameters
        ----------
        after
            Seconds since it began; three times the timeout by default.
        """
        began, connection = self._began, self._adapter.connection
        limit = 3 * self._timeout if after is None else after
        if began is None or time.monotonic() - began <= limit:
            return
        if isinstance(reached := getattr(connection, "sock", None), socket.socket):
            self._aborted = True
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which dismantles the socket under its reader.
                socket.socket.shutdown(reached, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._adapter.connection is not None:
            self._adapter.connection.close()  # now: urllib3 waits for the garbage collector
        self._session.close()


def _outcome(answer: requests.Response) -> Outcome:
    status = answer.status_code
    if 200 <= status < 300:
        return Outcome("sent", stop=show_text(answer.headers.get(STOP_HEADER, "")))
    cause = f"the server answered {status} {show_text(answer.reason)}"
    if 300 <= status < 400:
        return Outcome("later", f"{cause}; redirects are not followed, pass the address that it leads to")
    if status < 500 and status not in _LATER:
        return Outcome("refused", cause)
    wait = answer.headers.get("Retry-After", "")
    return Outcome("later", cause, float(wait) if wait.isdecimal() else 0.0)


def _is_after_connect(error: Exception) -> bool:
    return isinstance(error, requests.ReadTimeout) or isinstance(next(iter(error.args), None), ProtocolError)


def _short(error: Exception) -> str:
    """Return the innermost reason: urllib3's text repeats address and objects."""
    reason: Any = error
    while (inner := getattr(reason, "reason", None)) is not None or (
        inner := reason.args[0] if reason.args and isinstance(reason.args[0], Exception) else None
    ) is not None:
        if not isinstance(inner, Exception):
            break
        reason = inner
    return show_text(str(reason).split(": ", 1)[-1])


def _authorization(token: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return a function that adds the token; without any function, requests reads netrc."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorize


class _Adapter(HTTPAdapter):
    """Keeps the connection in use, whose socket another thread can shut down."""

    def __init__(self) -> None:
        self.connection: Any = None
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)

        def connection(*args: Any, **kwargs: Any) -> Any:
            self.connection = type(pool).ConnectionCls(*args, **kwargs)
            return self.connection

        pool.ConnectionCls = connection
        return pool
