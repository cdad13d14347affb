"""Checks of the environment for ``onstage doctor``: missing packages, a pinned BLAS kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

import onstage
from onstage.errors import show_error, show_text
from onstage.registry._distributions import canonicalize_name

_KERNELS = {
    "": (
        "KATMAI",
        "COPPERMINE",
        "NORTHWOOD",
        "PRESCOTT",
        "BANIAS",
        "CORE2",
        "PENRYN",
        "DUNNINGTON",
        "NEHALEM",
    ),
    "avx": ("SANDYBRIDGE", "BULLDOZER", "PILEDRIVER", "STEAMROLLER"),
    "avx2": ("HASWELL", "EXCAVATOR", "ZEN"),
    "avx512f": ("SKYLAKEX", "COOPERLAKE", "SAPPHIRERAPIDS"),
}
"""Kernels of OpenBLAS by the processor's flag that they need, from the slowest to the fastest."""


def problems_of_requirements(distribution: str, found: metadata.Distribution) -> Iterator[str]:
    """Yield the requirements of a distribution on onstage's packages that are not met."""
    for text in found.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            yield f"{distribution} has the invalid requirement {show_text(text)!r}: {show_error(error)}"
            continue
        if problem := _problem_of(requirement):
            yield f"{distribution} requires {show_text(text)}, {problem}"


def problems_of_bundle() -> Iterator[str]:
    """Yield what is missing of the packages that the distribution ``onstage`` installs."""
    try:
        bundle = metadata.distribution("onstage")
    except metadata.PackageNotFoundError:  # only the core is installed
        return
    yield from problems_of_requirements("onstage", bundle)


def _problem_of(requirement: Requirement) -> str:
    name = canonicalize_name(requirement.name)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    if name == "onstage-core":
        return "" if admits_core(requirement) else f"installed is {onstage.__version__}"
    if not name.startswith("onstage-"):
        return ""  # pip's part: `pip check` finds those
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return f"which is not installed: pip install {name}"
    return ""


def admits_core(requirement: Requirement, version: str = onstage.__version__) -> bool:
    """Return whether a requirement on the core admits the installed version.

    A pre-release counts as the release that it precedes: whoever has installed
    1.0rc1 wants to try it with the plugins for 1.0.
    """
    applies = requirement.marker is None or requirement.marker.evaluate()
    return not applies or requirement.specifier.contains(Version(version).base_version, prereleases=True)


def problems_of_blas(cpuinfo: Path = Path("/proc/cpuinfo")) -> Iterator[str]:
    """Yield a problem if OPENBLAS_CORETYPE pins a kernel for processors older than this one.

    Parameters
    ----------
    cpuinfo
        Linux's list of the processor's flags; without it nothing is known.
    """
    pinned = os.environ.get("OPENBLAS_CORETYPE", "").upper()
    levels = list(_KERNELS)
    level = next((levels.index(flag) for flag in levels if pinned in _KERNELS[flag]), None)
    if level is None or not cpuinfo.exists():
        return
    flags = cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    able = max(n for n, flag in enumerate(levels) if not flag or flag in flags)
    if level < able:
        yield (
            f"OPENBLAS_CORETYPE={show_text(pinned)} makes numpy use a kernel for older processors than this "
            f"one, which has {levels[able]}; unset it, unless results must equal those of the older ones"
        )
