"""A tracker's run as a training fills it, and models for it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from onstage.testing import FakeModel

# A tracker's package is not installed without the tracker.
collect_ignore = [
    folder.name
    for folder in Path(__file__).parent.iterdir()
    if folder.is_dir() and find_spec(f"onstage_{folder.name}") is None
]

LOGS = [
    {"loss": 0.9, "accuracy": 0.25, "val_loss": 1.0},
    {"loss": 0.5, "accuracy": 0.5, "val_loss": 0.75},
    {"loss": 0.25, "accuracy": 0.75, "val_loss": 0.5},
]


@pytest.fixture
def logs():
    """Return the logs of three epochs; all their numbers are exact in float32 but 0.9."""
    return [dict(one) for one in LOGS]


@pytest.fixture
def model():
    return FakeModel(learning_rate=0.125)
