"""Public modules can be imported by every form of the import statement."""

import subprocess
import sys
from importlib import import_module

import pytest

import onstage

MODULES = [name for name in onstage.__all__ if name in onstage._MODULES]


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_is_one_object_however_it_is_imported(name):
    imported = import_module(f"onstage.{name}")

    assert getattr(onstage, name) is imported
    assert set(imported.__all__) <= set(dir(imported))


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"callbacks", "keras", "testing"}))
def test_a_public_module_exports_the_objects_of_the_numpy_backend(name):
    public, own = import_module(f"onstage.{name}"), import_module(f"onstage.nn.{name}")

    assert all(getattr(public, each) is getattr(own, each) for each in own.__all__)


def test_classes_and_modules_are_imported_by_their_dotted_names():
    program = (
        "from onstage.layers import Dense\n"
        "from onstage.optimizers import SGD\n"
        "import onstage.losses\n"
        "print(Dense(1).units, SGD(0.5).learning_rate, onstage.losses.Huber().delta)\n"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.split() == ["1", "0.5", "1.0"]


def test_every_public_name_exists():
    assert all(hasattr(onstage, name) for name in onstage.__all__)
