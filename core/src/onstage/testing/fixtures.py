"""pytest fixtures for plugin authors.

In a ``conftest.py``::

    from onstage.testing.fixtures import plugin_site
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from onstage.testing.site import PluginSite


@pytest.fixture
def plugin_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSite]:
    """Yield a `PluginSite` on ``sys.path`` that hides installed plugins and settings.

    The current folder is an empty project, ``ONSTAGE_*`` variables are unset,
    and modules imported from the site are removed from ``sys.modules`` at the end.
    """
    site = PluginSite(tmp_path / "site")
    project = tmp_path / "project"
    project.mkdir()
    # An empty table ends the upward search for settings.
    (project / "pyproject.toml").write_text("[tool.onstage]\n", encoding="utf-8")
    monkeypatch.chdir(project)
    for variable in [name for name in os.environ if name.startswith("ONSTAGE_")]:
        monkeypatch.delenv(variable)
    monkeypatch.syspath_prepend(str(site.folder))
    before = set(sys.modules)
    with site.isolated():
        yield site
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
