"""``onstage live``: run the server until Ctrl-C."""

from __future__ import annotations

import contextlib
import sqlite3

import click
from onstage_remote_monitor.validation import read_token


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9000, show_default=True, help="0 picks a free one.")
@click.option(
    "--store", default=".onstage-live", show_default=True, metavar="DIR", help="Directory of the runs."
)
@click.option("--token-env", metavar="NAME", help="Environment variable that holds the token.")
@click.option("--allow-host", metavar="NAME", multiple=True, help="Further host name of this server.")
@click.option(
    "--steer/--no-steer",
    default=None,
    help="Let the page stop, edit and delete runs; by default only if this machine alone reaches it.",
)
@click.option(
    "--keep-days", type=click.FloatRange(0), metavar="N", help="Delete runs not updated for N days."
)
@click.option("--keep-runs", type=click.IntRange(0), metavar="N", help="Delete the oldest runs above N.")
def live(
    host: str,
    port: int,
    store: str,
    token_env: str | None,
    allow_host: tuple[str, ...],
    steer: bool | None,
    keep_days: float | None,
    keep_runs: int | None,
) -> None:
    """Show all trainings on a live page, and keep them."""
    from onstage_live.server import Server  # imported late: help needs no server

    try:
        server = Server(
            host,
            port,
            store=store,
            token=read_token(token_env),
            hosts=allow_host,
            steer=steer,
            keep_days=keep_days,
            keep_runs=keep_runs,
        )
    except (ValueError, OSError, RuntimeError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"The page is at {server.url}/, the runs are in {server.store}")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
