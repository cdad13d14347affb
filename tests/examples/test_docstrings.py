"""The examples in the docstrings of the core and of the plugins run and print what they show."""

import doctest
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "core/src", *sorted(ROOT.glob("plugins/*/*/src"))]
WITH_LIBRARIES = {
    f"onstage_{path.name}" for group in ("hosts", "trackers") for path in ROOT.glob(f"plugins/{group}/*")
}
MODULES = [
    ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    for source in SOURCES
    for path in sorted(source.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_print_the_output_they_show(name, tmp_path, monkeypatch):
    if name.startswith("onstage_torch"):
        pytest.importorskip("torch")
    if name.partition(".")[0] in WITH_LIBRARIES:  # not installed without its trainer or tracker
        pytest.importorskip(name.partition(".")[0], exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    import_module(name)

    failed, attempted = doctest.testmod(sys.modules[name])

    assert failed == 0
    assert attempted > 0
