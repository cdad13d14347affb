"""The packages of this repository, as fixtures."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for session.py

ROOT = Path(__file__).parents[2]
FOLDERS = {path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/*/pyproject.toml"))}
PLUGINS = sorted(FOLDERS)


def pytest_generate_tests(metafunc):
    if "plugin" in metafunc.fixturenames:
        metafunc.parametrize("plugin", PLUGINS)


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def plugins():
    return PLUGINS


@pytest.fixture(scope="session")
def folder_of():
    """Return a function from a plugin's name to its folder, ``plugins/<group>/<name>``."""
    return FOLDERS.__getitem__


@pytest.fixture(scope="session")
def pyproject():
    return lambda folder: tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def imports():
    return _imports


def _imports(path, *, for_types=False):
    """Return the modules that a file imports; with `for_types` also those under TYPE_CHECKING.

    ``from a import b`` counts as ``a.b``, whether or not that is a module.
    """
    found = set()
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports must be absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found
