"""Request handler of the server: one object for each connection."""

from __future__ import annotations

import contextlib
import json
import re
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from onstage_remote_monitor.server.access import Guard, Refusal
from onstage_remote_monitor.server.event_store import EventStore
from onstage_remote_monitor.validation import RUN_HEADER, SEQUENCE_HEADER

_PAGE = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_SUBSCRIBE = "/subscribe/epoch/end/"
_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})?")
_EVENTS_AT_ONCE = 1000
_HEARTBEAT = 10.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Owner(Protocol):
    """The server as the handler of a connection sees it."""

    guard: Guard
    hub: EventStore
    path: str
    field: str
    max_body: int


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "onstage", ""
    timeout = 30
    disable_nagle_algorithm = True
    server: Any
    """The socket server; its ``owner`` is an `Owner`."""

    def handle_one_request(self) -> None:
        """Answer one request; the server aborts one that takes longer than a minute."""
        self.server.connections.wait(self.connection, 2 * self.timeout)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer with the page, its parts, or the stream of events."""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # an unread body would be parsed as a request
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Accept events."""
        self._guarded(self._post)

    @property
    def _owner(self) -> Owner:
        owner: Owner = self.server.owner
        return owner

    def _guarded(self, answer: Any) -> None:
        try:
            self._owner.guard.check(self.headers, self.client_address[0])
            answer()
        except Refusal as refusal:
            self.close_connection = True  # an unread body would be parsed as a request
            extra = {"Connection": "close"}
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                extra["WWW-Authenticate"] = 'Basic realm="onstage", charset="UTF-8"'
            if refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
                extra["Retry-After"] = "1"
            self._answer(refusal.status, f"{refusal}\n".encode(), **extra)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _get(self) -> None:
        path = self._url_path()
        self.server.connections.serve(self.connection, endless=path == _SUBSCRIBE)
        if path == _SUBSCRIBE:
            self._stream()
        elif path == "/health/":
            self._answer(HTTPStatus.OK, b"OK\n")
        elif path in _PAGE:
            name, kind = _PAGE[path]
            self._answer(HTTPStatus.OK, (files(__package__) / "page" / name).read_bytes(), kind)
        else:
            raise Refusal(HTTPStatus.NOT_FOUND, "not found")

    def _post(self) -> None:
        if self._url_path() != self._owner.path:
            raise Refusal(HTTPStatus.NOT_FOUND, f"events must be posted to {self._owner.path}")
        run, sequence = self.headers.get(RUN_HEADER), self.headers.get(SEQUENCE_HEADER, "0")
        if run is not None and not (_RUN.fullmatch(run) and sequence.isdecimal() and len(sequence) < 16):
            raise Refusal(HTTPStatus.BAD_REQUEST, f"{RUN_HEADER} or {SEQUENCE_HEADER} is wrong")
        events = _events_of(self._text())
        self.server.connections.serve(self.connection)
        try:
            self._owner.hub.publish(events, run, int(sequence) if run is not None else 0)
        except RecursionError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the JSON is nested too deeply") from error
        self._answer(HTTPStatus.OK, b"OK\n")

    def _url_path(self) -> str:
        try:
            return urlsplit(self.path).path
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the address is wrong") from error

    def _text(self) -> str:
        """Return the JSON: the body, or a form field in it."""
        length, *others = self.headers.get_all("Content-Length", [""])
        if others:  # a proxy may have read the other one
            raise Refusal(HTTPStatus.BAD_REQUEST, "Content-Length must be given once")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required")
        if len(length) > 12 or int(length) > self._owner.max_body:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body must have at most {self._owner.max_body} bytes",
            )
        try:
            text = self._read(int(length)).decode()
            if self.headers.get_content_type() == "application/json":
                return text
            fields = parse_qs(text, strict_parsing=True, max_num_fields=10)
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the body must be JSON or a form, in UTF-8") from error
        if len(fields.get(self._owner.field, ())) != 1:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"the form must have the field {self._owner.field!r} once")
        return fields[self._owner.field][0]

    def _read(self, length: int) -> bytes:
        deadline = time.monotonic() + self.timeout
        body = b""
        while len(body) < length:
            part = self.rfile.read1(length - len(body))
            if not part or time.monotonic() > deadline:
                raise Refusal(HTTPStatus.BAD_REQUEST, "the body ended early")
            body += part
        return body

    def _stream(self) -> None:
        """Send the events so far, then each new one, until the reader disconnects."""
        hub = self._owner.hub
        position = hub.start()
        self.close_connection = True
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream", "Connection": "close"})
        while found := hub.read(position, _EVENTS_AT_ONCE, _HEARTBEAT):
            news, position = found
            self.wfile.write(b"".join(one.as_message() for one in news) or b":\n\n")

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", **extra: str
    ) -> None:
        names = {name.replace("_", "-"): value for name, value in extra.items()}
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body)), **names})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (_HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer an invalid HTTP request in plain text."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._answer(HTTPStatus(code), f"{HTTPStatus(code).phrase}\n".encode(), Connection="close")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: addresses may hold private data."""


def _events_of(text: str) -> list[dict[str, Any]]:
    try:
        # NaN is not JSON, but Keras sends it.
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid JSON") from error
    events = content if isinstance(content, list) else [content]
    if len(events) > _EVENTS_AT_ONCE or not all(isinstance(event, dict) for event in events):
        raise Refusal(HTTPStatus.BAD_REQUEST, "events must be JSON objects, at most 1000 in a list")
    return events
