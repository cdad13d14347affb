"""Server: the app in a thread, or in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import uvicorn
from onstage_remote_monitor.validation import is_loopback
from uvicorn.protocols.http.h11_impl import H11Protocol

from onstage_live.access import Guard
from onstage_live.app import Api
from onstage_live.store import Store
from onstage_live.stream import Hub

_SHORTEST_TOKEN, _CONNECTIONS, _PATIENCE = 16, 4000, 30


class Server:
    """Receives the events of trainings, keeps them, and shows them on a page.

    Use it in a ``with`` statement, which runs it in a thread, or call
    `serve_forever`.

    Parameters
    ----------
    host
        Address to listen on. Any other than loopback requires a token.
    port
        0 picks a free one; see `url`.
    store
        Directory of the runs; used by one server at a time.
    token
        Bearer token of the senders, and password in a browser; at least 16
        characters.
    hosts
        Further host names of the server, for example behind a proxy.
    steer
        Whether the page may stop, edit and delete runs; by default only if the
        server can be reached from this machine alone.
    keep_days, keep_runs
        Delete runs that were last updated before that many days, or the oldest
        above that number, unless they are pinned; None keeps all.
    max_body
        Maximum size of a request, in bytes.
    rate
        Requests per second from one address, on average.

    Raises
    ------
    ValueError
        The server would be open to the network without a token.
    RuntimeError
        Another server uses the store.
    OSError
        The port is in use, or the store can't be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as store, Server(port=0, store=store) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9000,
        *,
        store: str | os.PathLike[str] = ".onstage-live",
        token: str | None = None,
        hosts: Iterable[str] = (),
        steer: bool | None = None,
        keep_days: float | None = None,
        keep_runs: int | None = None,
        max_body: int = 1 << 20,
        rate: float = 2000.0,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ValueError(
                f"token must be set for a server at {host!r}, which other machines can reach "
                "(on the command line: --token-env NAME); or leave host at '127.0.0.1'"
            )
        if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii()):
            raise ValueError(
                f"token must be at least {_SHORTEST_TOKEN} ASCII characters, got {len(token)}; "
                "secrets.token_hex() makes one"
            )
        hosts = list(hosts)
        self.steer = is_loopback(host) and not hosts if steer is None else steer
        self.store = Path(store)
        self._socket = _listen(host, port)
        self._address: tuple[str, int] = self._socket.getsockname()[:2]
        try:
            is_new = not self.store.exists()
            self._store = Store(self.store)
            if is_new:  # a folder of its own, and nobody's source
                (self.store / ".gitignore").write_text("*\n")
        except BaseException:
            self._socket.close()
            raise
        self._hub = Hub(self._store, keep_days, keep_runs)
        app = Api(self._store, self._hub, steer=self.steer, max_body=max_body).app()
        guarded = Guard(app, ["localhost", host, *hosts], token, rate)
        self._uvicorn = _Uvicorn(guarded, self._hub)
        self._thread: threading.Thread | None = None
        self._is_serving = False

    @property
    def url(self) -> str:
        """Address of the page; ``root`` of a `RemoteMonitor`."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve_forever(self) -> None:
        """Serve until another thread calls `close`, or Ctrl-C, which raises KeyboardInterrupt."""
        self._is_serving = True
        try:
            asyncio.run(self._uvicorn.serve(sockets=[self._socket]))
        finally:
            self._is_serving = False
            self._release()

    def _release(self) -> None:
        self._socket.close()
        self._store.close()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, name="onstage-live", daemon=True)
        self._thread.start()
        while not self._uvicorn.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and the server."""
        self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
        if not self._is_serving:
            self._release()


class _Connection(H11Protocol):
    """A connection that is closed if it sends no whole request head in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _await_request(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self.loop.call_later(_PATIENCE, self._abort_if_waiting)

    def _abort_if_waiting(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class _Uvicorn(uvicorn.Server):
    """Uvicorn with the hub's work beside it, whose streams end before uvicorn waits for them."""

    def __init__(self, app: Any, hub: Hub) -> None:
        config = uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_PATIENCE,
            timeout_graceful_shutdown=3,
        )
        super().__init__(config)
        self._hub = hub
        self._work: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._work = asyncio.create_task(self._hub.work())
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close()
        await super().shutdown(sockets)
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On POSIX SO_REUSEADDR still refuses a port in use. On Windows it would let
        # another program take the port over, which SO_EXCLUSIVEADDRUSE prevents.
        listening.setsockopt(
            socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1
        )
        listening.bind((host, port))
        listening.listen(1024)
    except BaseException as error:
        listening.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            remedy = f"port {port} of {host} is in use; take another, or 0 for a free one"
            raise OSError(error.errno, remedy) from error
        raise
    return listening
