import doctest
from importlib import import_module
from pathlib import Path

import pytest

import onstage

ROOT = Path(onstage.__file__).parent
MODULES = [
    ".".join(("onstage", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(ROOT.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8") and not path.is_relative_to(ROOT / "nn")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_print_the_output_they_show(name):
    failed, attempted = doctest.testmod(import_module(name))

    assert failed == 0
    assert attempted > 0
