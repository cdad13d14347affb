"""``python -m onstage_remote_monitor``: run the server until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib

from onstage_remote_monitor.server import Server
from onstage_remote_monitor.validation import read_token


def main(arguments: list[str] | None = None) -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m onstage_remote_monitor",
        description="Receive the events of RemoteMonitor and draw their curves on a page.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, only this machine)"
    )
    parser.add_argument("--port", type=int, default=9000, help="0 picks a free one (default: 9000)")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable that holds the token")
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", default=[], help="further host name of this server"
    )
    given = parser.parse_args(arguments)
    try:
        server = Server(given.host, given.port, token=read_token(given.token_env), hosts=given.allow_host)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"RemoteMonitor's page is at {server.url}/", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.close()


if __name__ == "__main__":
    main()
