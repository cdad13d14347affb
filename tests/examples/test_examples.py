"""The examples run as a user would run them, and print the promised results."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Output and folder of one run of digits.py."""
    folder = tmp_path_factory.mktemp("digits")
    return run("digits.py", folder), folder


def test_digits_reaches_its_accuracy_and_writes_its_files(digits):
    printed, folder = digits

    accuracy = float(re.search(r"test accuracy (\d\.\d+) on 359 images", printed).group(1))
    assert accuracy >= 0.97
    epochs = int(re.search(r"(\d+) epochs;", printed).group(1))
    with open(folder / "runs/digits/log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(epochs))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(rows[0])
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert (folder / "runs/digits/best.safetensors").stat().st_size > 10_000
    assert "\x1b" not in printed


@pytest.mark.slow
def test_digits_is_repeatable_to_the_last_digit(digits, tmp_path):
    again = run("digits.py", tmp_path)

    assert again.splitlines()[-3:-1] == digits[0].splitlines()[-3:-1]


def test_the_vignette_lowers_the_rate_and_collects_160_losses(tmp_path):
    printed = run("keras_vignette.py", tmp_path).splitlines()

    rates = [float(rate) for rate in printed[0].removeprefix("learning rates:").split()]
    assert rates[:2] == [0.01, 0.001]
    assert printed[1].startswith("160 losses: ")
