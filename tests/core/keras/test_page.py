"""The page for users of Keras names everything in the module tree."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from onstage import keras

PAGE = (Path(__file__).parents[3] / "core/docs/keras.md").read_text()
HEADINGS = {name for line in re.findall("^### (.*)", PAGE, re.MULTILINE) for name in line.split(", ")}


@pytest.mark.parametrize("module", ["backend", "callbacks", "models", "saving", "utils"])
def test_the_page_has_the_names_of_a_module(module):
    names = import_module(f"onstage.keras.{module}").__all__
    missing = [name for name in names if f"`{name}`" not in PAGE and name not in HEADINGS]

    # "…" stands for the names that go with register_keras_serializable.
    assert set(missing) <= {"CustomObjectScope", "get_registered_name", "get_registered_object"}


def test_the_page_has_the_modules_and_classes_of_the_tree():
    assert [name for name in keras.__all__ if f"`{name}`" not in PAGE and name != "__version__"] == []


def test_the_page_has_every_builtin_callback():
    builtin = [
        name for name in dir(keras.callbacks) if name not in ("BaseLogger", "Callback", "CallbackList")
    ]

    assert [name for name in builtin if name not in HEADINGS] == []
