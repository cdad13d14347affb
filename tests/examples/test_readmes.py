"""All Python blocks of every README and of the documentation run, in order.

A page whose blocks need more than the development tools begins with
``<!-- requires: torch, lightning -->``. ``py`` marks a block that continues a
program of the reader, and is not run.
"""

import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTATION = ROOT / "core/docs"
TUTORIAL = [DOCUMENTATION / "tutorial" / name for name in ("train.md", "callback.md")]  # one program
PAGES = [
    [ROOT / "README.md"],
    [ROOT / "core/README.md"],
    TUTORIAL,
    *(
        [page]
        for page in sorted(DOCUMENTATION.rglob("*.md"))
        if page not in TUTORIAL and "```python" in page.read_text()
    ),
    *([readme] for readme in sorted(ROOT.glob("plugins/*/*/README.md"))),
]


@pytest.mark.parametrize("pages", PAGES, ids=lambda pages: str(pages[0].relative_to(ROOT)))
def test_python_blocks_run(pages, tmp_path, monkeypatch):
    text = "\n".join(page.read_text() for page in pages)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    if required := re.search(r"<!-- requires: (.*) -->", text):
        for module in required[1].split(", "):
            pytest.importorskip(module)
        if "mlflow" in required[1]:
            warnings.simplefilter("ignore")  # of its database's library
    if pages[0].parent.name == "torch":
        pytest.importorskip("torch")
    if pages[0].parents[1].name in ("hosts", "trackers"):  # not installed without its trainer or tracker
        pytest.importorskip(f"onstage_{pages[0].parent.name}", exc_type=ImportError)
        warnings.simplefilter("ignore")  # they warn of slow settings, and of their own future
    assert blocks, "a README must show its package in use"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # not the user's
    module = ModuleType("readme")  # in sys.modules, so that its classes can be pickled
    vars(module).update(_names_of_the_reader())
    monkeypatch.setitem(sys.modules, "readme", module)

    for block in blocks:
        exec(compile(block, str(pages[0]), "exec"), vars(module))


def _names_of_the_reader():
    """Return the names that READMEs assume: a compiled model, its data, a loop's loader and step."""
    from onstage import Sequential, layers

    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int64")
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return {
        "model": model,
        "x": x,
        "y": y,
        "loader": [(x[:32], y[:32]), (x[32:], y[32:])],
        "step": lambda batch: float(batch[0].mean() ** 2),
    }
