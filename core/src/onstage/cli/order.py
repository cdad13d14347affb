"""``onstage order``: list the callbacks of a stage in the order of their calls."""

from __future__ import annotations

import json
from typing import Any

import click
from pluggy import HookImpl

from onstage.bus._manager import Bus
from onstage.cli.output import echo
from onstage.errors import did_you_mean, show_text
from onstage.hookspecs import STAGES
from onstage.registry import _discovery
from onstage.registry._config import Settings, settings
from onstage.registry._distributions import canonicalize_name
from onstage.registry._selection import setting_names
from onstage.reporting._formatting import format_table
from onstage.run import _setup


@click.command()
@click.argument("stage", metavar="STAGE")
@click.argument("callbacks", nargs=-1)
@click.option(
    "--verbose",
    type=click.Choice(["auto", "0", "1", "2"]),
    default="auto",
    help="As in fit; 0 shows no progress bar.",
)
def order(stage: str, callbacks: tuple[str, ...], verbose: str) -> None:
    """List the callbacks of STAGE in this folder, in the order of their calls.

    CALLBACKS are those passed to fit: names, or JSON such as
    '{"csv_logger": {"filename": "log.csv"}}'. Callbacks of the settings and
    always-on plugins are added. No model is trained.
    """
    if stage not in STAGES:
        raise click.UsageError(f"{stage!r} is not a stage{did_you_mean(stage, STAGES)} ({', '.join(STAGES)})")
    given = [_parse(text) for text in callbacks]
    chosen = settings()
    try:
        plugins, _ = _setup.resolve_callbacks(given, verbose if verbose == "auto" else int(verbose), rank=0)
        bus = Bus(plugins)
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    impls = bus.implementations(stage)
    if stage == "on_teardown":
        impls = impls[::-1]
    rows = [
        (str(n), impl.plugin_name, _origin(impl.plugin), _why(impl, given, chosen))
        for n, impl in enumerate(impls, start=1)
    ]
    if rows:
        echo(format_table(("", "callback", "from", "why"), rows, right=(0,)))
    else:
        echo(f"No callback acts on {stage}.")


def _parse(text: str) -> Any:
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} must be a name or JSON: {show_text(error)}") from error


def _origin(plugin: object) -> str:
    _, distribution, version = _discovery.provenance(plugin)
    return f"{distribution} {version}" if distribution else "-"


def _why(impl: HookImpl, given: list[Any], chosen: Settings) -> str:
    reasons = [_source(impl.plugin, given, chosen)]
    reasons += [flag for flag in ("tryfirst", "trylast", "wrapper", "hookwrapper") if getattr(impl, flag)]
    for relation in ("before", "after"):
        others = getattr(impl.plugin, relation, ()) or ()
        if others:
            reasons.append(f"{relation} {others if isinstance(others, str) else ', '.join(others)}")
    return "; ".join(reasons)


def _source(plugin: object, given: list[Any], chosen: Settings) -> str:
    names = setting_names(plugin)
    requested = [name for one in given for name in ([one] if isinstance(one, str) else one)]
    if any(canonicalize_name(name) in names for name in requested):
        return "given"
    if any(canonicalize_name(name) in names for name, _ in chosen.callbacks):
        return f"added by {chosen.sources['callbacks']}"
    for auto in _discovery.installed(_discovery.AUTOUSE, chosen.disable):
        if auto.status == "installed" and auto.load() in (plugin, type(plugin)):
            return f"autouse plugin {auto.name!r}"
    return "part of every run" if type(plugin).__name__ == "History" else "verbose > 0"
