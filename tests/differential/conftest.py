"""The folder's modules import each other by name, from pytest as from the command line."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # Keras and torch warn about themselves; our own warnings stay errors.
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"))
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"))
            item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning:keras"))
