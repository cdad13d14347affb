"""A folder of small distributions, written as pip would install them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from onstage.registry import _discovery
from onstage.registry._distributions import canonicalize_name
from onstage.registry._plugin import AUTOUSE, CALLBACKS, COMMANDS, HOOKSPECS, HOSTS


class PluginSite:
    """Installer of small distributions into a folder of its own: real files, no mocks.

    Parameters
    ----------
    folder
        Created if missing. Put it on ``sys.path`` to import from it; the fixture
        `onstage.testing.fixtures.plugin_site` does so.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(
        self,
        distribution: str,
        version: str = "1.0",
        *,
        callbacks: Mapping[str, str] | None = None,
        autouse: Mapping[str, str] | None = None,
        commands: Mapping[str, str] | None = None,
        hosts: Mapping[str, str] | None = None,
        hookspecs: Mapping[str, str] | None = None,
        modules: Mapping[str, str] | None = None,
        source: Path | None = None,
    ) -> Path:
        """Install a distribution.

        Parameters
        ----------
        distribution, version
            As in its pyproject.toml.
        callbacks, autouse, commands, hosts, hookspecs
            Entry-point name to ``module:attribute``, one mapping for each group:
            ``onstage.callbacks``, ``onstage.autouse``, ``onstage.cli``, ``onstage.hosts``,
            ``onstage.hookspecs``.
        modules
            Module name to its source text; ``a.b`` becomes ``a/b.py``.
        source
            Folder of the modules if not the site itself, as in an editable install.

        Returns
        -------
        Path
            The ``.dist-info`` folder.
        """
        stem = canonicalize_name(distribution).replace("-", "_")
        info = self.folder / f"{stem}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "RECORD").write_text("", encoding="utf-8")
        groups = {
            CALLBACKS: callbacks,
            AUTOUSE: autouse,
            COMMANDS: commands,
            HOSTS: hosts,
            HOOKSPECS: hookspecs,
        }
        sections = [
            "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
            for group, entries in groups.items()
            if entries
        ]
        if sections:
            (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
        if source is not None:
            (self.folder / f"_editable_{stem}.pth").write_text(f"{source}\n", encoding="utf-8")
        for name, text in (modules or {}).items():
            path = (source or self.folder) / f"{name.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        _discovery.refresh()
        return info

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """Hide all plugins but those of this folder, in a with block."""
        with _discovery.override_path([str(self.folder)]):
            yield
