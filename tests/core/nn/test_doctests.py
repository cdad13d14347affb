import doctest
from importlib import import_module
from pathlib import Path

import pytest

import onstage.nn

ROOT = Path(onstage.nn.__file__).parent
MODULES = [
    "onstage.metric_names",
    *(
        ".".join(("onstage.nn", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in sorted(ROOT.rglob("*.py"))
        if ">>>" in path.read_text(encoding="utf-8")
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_print_the_output_they_show(name):
    failed, attempted = doctest.testmod(import_module(name))

    assert failed == 0
    assert attempted > 0
