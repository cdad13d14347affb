"""``onstage order``: list the callbacks of a stage in the order of their calls."""

from __future__ import annotations

import json
from typing import Any

import click
from pluggy import HookImpl

from onstage.bus._manager import Bus
from onstage.cli.local import allow_local
from onstage.cli.output import echo
from onstage.errors import did_you_mean, show_text
from onstage.hookspecs import STAGES
from onstage.registry import _discovery
from onstage.registry._config import Settings, settings
from onstage.registry._distributions import canonicalize_name
from onstage.registry._factory import create_callback
from onstage.registry._hookspecs import installed_stages
from onstage.registry._selection import setting_names
from onstage.reporting._formatting import format_table
from onstage.run import _setup


@click.command()
@click.argument("stage", metavar="STAGE")
@click.argument("callbacks", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--verbose",
    type=click.Choice(["auto", "0", "1", "2"]),
    default="auto",
    help="As in fit; 0 shows no progress bar.",
)
def order(stage: str, callbacks: tuple[str, ...], as_json: bool, verbose: str) -> None:
    """List the callbacks of STAGE in this folder, in the order of their calls.

    STAGE may be one that an installed package adds. CALLBACKS are those passed
    to fit: names, module:Class, or JSON such as '{"csv_logger": {"filename":
    "log.csv"}}'. Callbacks of the settings and always-on plugins are added. No
    model is trained.
    """
    known = (*STAGES, *installed_stages())
    if stage not in known:
        raise click.UsageError(f"{stage!r} is not a stage{did_you_mean(stage, known)} ({', '.join(known)})")
    chosen = settings()
    try:
        given = [_parse(text, chosen) for text in callbacks]
        plugins, _ = _setup.resolve_callbacks(given, verbose if verbose == "auto" else int(verbose), rank=0)
        bus = Bus(plugins)
        bus.find_stage(stage)
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    impls = bus.implementations(stage)
    if stage == "on_teardown":
        impls = impls[::-1]
    header = ("callback", "from", "why")
    rows = [(impl.plugin_name, _origin(impl.plugin), _why(impl, given, chosen)) for impl in impls]
    if as_json:
        echo(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=2))
    elif rows:
        numbered = [(str(n), *row) for n, row in enumerate(rows, start=1)]
        echo(format_table(("", *header), numbered, right=(0,)))
    else:
        echo(f"No callback acts on {stage}.")


def _parse(text: str, chosen: Settings) -> Any:
    """Return a name, a dict from name to options, or the callback that ``module:Class`` names."""
    if not text.startswith("{"):
        return create_callback(text, {}, allow_local(chosen)) if ":" in text else text
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
    named = [one for one in given if isinstance(one, (str, dict))]
    requested = [name for one in named for name in ([one] if isinstance(one, str) else one)]
    if any(plugin is one for one in given) or any(canonicalize_name(name) in names for name in requested):
        return "given"
    if any(canonicalize_name(name) in names for name, _ in chosen.callbacks):
        return f"added by {chosen.sources['callbacks']}"
    for auto in _discovery.installed(_discovery.AUTOUSE, chosen.disable):
        if auto.status == "installed" and auto.load() in (plugin, type(plugin)):
            return f"autouse plugin {auto.name!r}"
    return "part of every run" if type(plugin).__name__ == "History" else "verbose > 0"
