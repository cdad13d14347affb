"""Ignore warnings of Keras and torch about themselves; all others stay errors."""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"))
        item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"))
        item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning:keras"))
