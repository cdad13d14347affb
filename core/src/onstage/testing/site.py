"""A folder of little distributions, written as pip would install them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from onstage.registry import _discovery
from onstage.registry._distributions import canonicalize_name


class PluginSite:
    """Installs distributions into a folder of its own: real files, no mocks.

    Parameters
    ----------
    folder
        Made where it doesn't exist. Put it on ``sys.path`` to import from it;
        the fixture `onstage.testing.fixtures.plugin_site` has done so.
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
        modules: Mapping[str, str] | None = None,
        source: Path | None = None,
    ) -> Path:
        """Install a distribution.

        Parameters
        ----------
        distribution, version
            As in its pyproject.toml.
        callbacks, autouse, commands
            Entry-point name to ``module:attribute``, one mapping for each
            group: ``onstage.callbacks``, ``onstage.autouse``, ``onstage.cli``.
        modules
            Module name to its source text; ``a.b`` becomes ``a/b.py``.
        source
            Where the modules lie instead of in the folder: an editable install.

        Returns
        -------
        Path
            Its ``.dist-info`` folder.
        """
        stem = canonicalize_name(distribution).replace("-", "_")
        info = self.folder / f"{stem}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        (info / "RECORD").write_text("", encoding="utf-8")
        groups = {_discovery.CALLBACKS: callbacks, _discovery.AUTOUSE: autouse, _discovery.COMMANDS: commands}
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
        """See only the plugins of this folder, in a with block."""
        with _discovery.override_path([str(self.folder)]):
            yield
