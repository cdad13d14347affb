"""All Python blocks of every README run, in order."""

import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
READMES = [
    ROOT / "README.md",
    ROOT / "core/README.md",
    ROOT / "core/docs/hosts.md",
    ROOT / "core/docs/keras.md",
    *sorted(ROOT.glob("plugins/*/*/README.md")),
]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_python_blocks_run(readme, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    if readme.parent.name == "torch":
        pytest.importorskip("torch")
    if readme.is_relative_to(ROOT / "plugins/hosts"):  # not installed without its trainer
        pytest.importorskip(f"onstage_{readme.parent.name}", exc_type=ImportError)
        warnings.simplefilter("ignore")  # trainers warn of slow settings, and of their own future
    assert blocks, "a README must show its package in use"
    monkeypatch.chdir(tmp_path)
    module = ModuleType("readme")  # in sys.modules, so that its classes can be pickled
    vars(module).update(_names_of_the_reader())
    monkeypatch.setitem(sys.modules, "readme", module)

    for block in blocks:
        exec(compile(block, str(readme), "exec"), vars(module))


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
