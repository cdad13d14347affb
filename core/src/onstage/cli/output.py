"""The output of the command line: the one place that writes to the terminal."""

from __future__ import annotations

import click

from onstage.errors import show_lines


def echo(text: str) -> None:
    """Print lines, without any character that drives the terminal."""
    click.echo(show_lines(text, limit=1_000_000))
