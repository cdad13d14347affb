"""The folder of the tracker of these tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for lines_tracker.py


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return the file of the tracker, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "lines.jsonl"
