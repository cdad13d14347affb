"""Read the distributions on the path and their entry points without importing.

``importlib.metadata.entry_points()`` parses the metadata of every installed
distribution: 14 ms for 200 of them. Here only ``entry_points.txt`` is read; name
and version come from the name of the metadata folder. Zip files and custom
finders go through importlib.metadata.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from onstage.errors import show_text

if TYPE_CHECKING:
    import importlib.metadata

    from packaging.version import Version

_MARK = b"[onstage."
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True)
class Distribution:
    """An installed distribution, as its metadata folder describes it."""

    name: str
    """Canonical: lower case, words separated by one hyphen."""
    version: str
    """Empty if it is not in the folder's name and there are no entry points."""
    location: str
    """The dist-info folder, or its substitute."""
    entry_points: tuple[tuple[str, str, str], ...] = ()
    """``(group, name, value)`` of groups that begin with ``onstage.``."""


@dataclass(frozen=True)
class Scan:
    """The distributions on a path, in the order of the path."""

    distributions: dict[str, Distribution]
    """Distributions in use, by name."""
    shadowed: list[tuple[Distribution, Distribution]] = field(default_factory=list)
    """``(hidden, in use)`` pairs: other versions further down the path."""


def canonicalize_name(name: str) -> str:
    """Return the form in which two spellings of a distribution's name are equal.

    ``Onstage.CSV_logger`` and ``onstage-csv-logger`` are one name (PEP 503).
    Equal to `packaging.utils.canonicalize_name`, whose import takes longer than
    the scan of a whole environment.
    """
    return _SEPARATORS.sub("-", name).lower()


def scan(path: Sequence[str] | None = None) -> Scan:
    """Return the distributions on a path; the first of a name is in use.

    Parameters
    ----------
    path
        Folders and zip files; None means ``sys.path`` and custom finders.
    """
    result = Scan({})
    for found in _on_path(sys.path if path is None else path, with_finders=path is None):
        winner = result.distributions.setdefault(found.name, found)
        # An editable install often appears twice, in site-packages and beside its
        # source; only a different version is a leftover.
        if winner is not found and found.entry_points and found.version != winner.version:
            result.shadowed.append((found, winner))
    return result


def _on_path(path: Sequence[str], with_finders: bool) -> Iterator[Distribution]:
    seen = set()
    for entry in path:
        folder = os.path.realpath(entry or os.curdir)
        if folder in seen:
            continue
        seen.add(folder)
        if os.path.isdir(folder):
            yield from _in_folder(folder)
        elif os.path.isfile(folder):
            yield from _from_zip(folder)
    if with_finders:
        yield from _from_custom_finders()


def _in_folder(folder: str) -> Iterator[Distribution]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    same_name: dict[str, list[str]] = {}
    for info in names:
        # pip renames folders that it failed to delete to "~nstage...".
        if info.endswith((".dist-info", ".egg-info")) and info[0] != "~":
            same_name.setdefault(_split(info)[0], []).append(info)
    for infos in same_name.values():
        if len(infos) > 1:  # an upgrade that left the old version behind
            infos.sort(key=_version_key, reverse=True)
        for info in infos:
            yield _read(folder, info)


def _split(info: str) -> tuple[str, str]:
    """Split ``foo_bar-1.0.dist-info`` or ``foo_bar-1.0-py3.11.egg-info``."""
    stem, kind = info[:-10], info[-10:]
    if kind == ".dist-info":
        name, dash, version = stem.rpartition("-")
        return canonicalize_name(name if dash else stem), version if dash else ""
    name, _, version = info[:-9].partition("-")
    return canonicalize_name(name), version.partition("-")[0]


def _version_key(info: str) -> tuple[bool, Version]:
    from packaging.version import InvalidVersion, Version  # imported late: a second version is rare

    try:
        version = Version(_split(info)[1])
    except InvalidVersion:
        version = Version("0.dev0")  # older than every other
    return info.endswith(".dist-info"), version


def _read(folder: str, name: str) -> Distribution:
    info = f"{folder}{os.sep}{name}"
    distribution, version = _split(name)
    entry_points = parse_entry_points(_content(f"{info}/entry_points.txt"))
    if entry_points and not version:
        line = re.search(rb"^Version:\s*(\S+)", _content(f"{info}/PKG-INFO"), re.MULTILINE)
        version = line[1].decode(errors="replace") if line else ""
    return Distribution(show_text(distribution), show_text(version), info, entry_points)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""


def parse_entry_points(content: bytes) -> tuple[tuple[str, str, str], ...]:
    """Return the entry points of onstage's groups in an ``entry_points.txt``.

    Returns
    -------
    tuple
        ``(group, name, value)`` in the order of the file, as `show_text` shows
        them. Extras after the value (``module:attr [extra]``) are dropped, as
        PEP 621 requires.
    """
    if _MARK not in content:
        return ()
    group, found = "", []
    for line in map(str.strip, content.decode(errors="replace").splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group.startswith("onstage.") and line and line[0] not in "#;":
            name, _, value = line.partition("=")
            target = value.partition("[")[0].strip()
            found.append((group, show_text(name.strip()), show_text(target)))
    return tuple(found)


def _from_zip(path: str) -> Iterator[Distribution]:
    from importlib.metadata import distributions

    return map(_convert, distributions(path=[path]))


def _from_custom_finders() -> Iterator[Distribution]:
    """Yield distributions from the finders of frozen programs, build systems, etc."""
    for finder in sys.meta_path:
        if finder is PathFinder or not hasattr(finder, "find_distributions"):
            continue
        from importlib.metadata import DistributionFinder

        yield from map(_convert, finder.find_distributions(DistributionFinder.Context()))


def _convert(found: importlib.metadata.Distribution) -> Distribution:
    entry_points = parse_entry_points((found.read_text("entry_points.txt") or "").encode())
    name, version = show_text(found.metadata["Name"] or ""), show_text(found.version)
    return Distribution(canonicalize_name(name), version, str(found.locate_file("")), entry_points)
