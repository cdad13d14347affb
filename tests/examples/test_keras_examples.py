"""The examples for users of Keras print the same numbers in both libraries; one line differs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
EXAMPLES = Path(__file__).parents[2] / "examples"
CHANGED = "import onstage.keras as keras"
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def run(path, folder, *options):
    done = subprocess.run(
        [sys.executable, *options, path],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["keras_guide", "keras_digits", "keras_vignette"])
def test_an_example_prints_the_same_with_the_import_of_keras(name, tmp_path):
    pytest.importorskip("keras")
    text = (EXAMPLES / f"{name}.py").read_text()
    assert text.count(CHANGED) == 1
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "program.py").write_text(text.replace(CHANGED, "import keras"))

    expected = run(theirs / "program.py", theirs)
    seen = run(EXAMPLES / f"{name}.py", tmp_path, "-W", "error")

    assert NUMBER.sub("#", seen) == NUMBER.sub("#", expected)
    numbers = [[float(each) for each in NUMBER.findall(printed)] for printed in (seen, expected)]
    # Rounding grows over the 25 epochs of the digits, of whose test images one is 0.0025.
    tolerance = 5e-3 if name == "keras_digits" else 1e-3
    assert numbers[0] == pytest.approx(numbers[1], rel=tolerance, abs=tolerance)


def test_the_digits_are_read_better_than_promised(tmp_path):
    pytest.importorskip("h5py")

    printed = run(EXAMPLES / "keras_digits.py", tmp_path, "-W", "error")

    accuracies = [float(each) for each in re.findall(r"accuracy (0\.\d+) on 397 images", printed)]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.94
