"""Server: receives the events of `RemoteMonitor`, and shows them on a page."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from typing import Any, Self

from onstage_remote_monitor.server.access import Guard
from onstage_remote_monitor.server.connections import Connections
from onstage_remote_monitor.server.event_store import EventStore, Received
from onstage_remote_monitor.server.request_handler import Handler
from onstage_remote_monitor.validation import is_loopback

_LOG = logging.getLogger(__name__)
_CONNECTIONS = 128
_SHORTEST_TOKEN = 16


class Server:
    """Receives events at ``/publish/epoch/end/``, and shows their curves at ``/``.

    Use it in a ``with`` statement, which runs it in a thread, or call
    `serve_forever`. Events are kept in memory only.

    Parameters
    ----------
    host
        Address to listen on. Any other than loopback requires a token.
    port
        0 picks a free one; see `url`.
    token
        Bearer token of the senders, and password in a browser; at least 16
        characters.
    hosts
        Further host names of the server, for example behind a proxy.
    path, field
        Path that events are posted to, and form field that holds them.
    history
        Number of events to keep, in 64 MiB at most.
    max_body
        Maximum size of a request, in bytes.
    rate
        Requests per second from one address, on average.

    Raises
    ------
    ValueError
        The server would be open to the network without a token.
    OSError
        The port is in use.

    Examples
    --------
    >>> with Server(port=0) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9000,
        *,
        token: str | None = None,
        hosts: Iterable[str] = (),
        path: str = "/publish/epoch/end/",
        field: str = "data",
        history: int = 10_000,
        max_body: int = 1 << 20,
        rate: float = 2000.0,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ValueError(
                f"token must be set for a server at {host!r}, which other machines can reach; "
                "or leave host at '127.0.0.1'"
            )
        if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii()):
            raise ValueError(
                f"token must be at least {_SHORTEST_TOKEN} ASCII characters, got {len(token)}; "
                "secrets.token_hex() makes one"
            )
        self.path, self.field, self.max_body = path, field, max_body
        self.hub = EventStore(history)
        self.guard = Guard(["localhost", host, *hosts], token, rate)
        kind = _SixServer if ":" in host else _FourServer
        self._http = kind((host, port), self)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Address of the page; ``root`` of a `RemoteMonitor`."""
        host, port = self._http.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @property
    def events(self) -> list[Received]:
        """Stored events, oldest first: ``(run, sequence, event)``."""
        return self.hub.events()

    def serve_forever(self) -> None:
        """Serve until another thread calls `close`, or Ctrl-C."""
        self._http.serve_forever(poll_interval=0.1)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, name="onstage-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self.close()

    def close(self) -> None:
        """Close all connections and the server."""
        self.hub.close()
        self._http.connections.abort_all()
        self._http.server_close()
        if self._thread is not None:
            self._thread.join()


class _FourServer(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], owner: Server) -> None:
        self.owner = owner
        self.connections = Connections(_CONNECTIONS)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks up the machine's name, sometimes for seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, address_option(), 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.connections.add(request):
            with contextlib.suppress(OSError):
                request.sendall(
                    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.remove(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that goes away
            _LOG.exception("a request failed")

    def service_actions(self) -> None:
        """Close the connections that take too long."""
        self.connections.abort_late()


class _SixServer(_FourServer):
    address_family = socket.AF_INET6


def address_option() -> int:
    """Return the socket option with which a port can be bound again after a restart.

    On POSIX SO_REUSEADDR, which still refuses a port in use. On Windows it would
    let another program take the port over, which SO_EXCLUSIVEADDRUSE prevents.
    """
    return getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
