"""Keras's module tree: its names are onstage's objects, and what is missing is refused with a remedy."""

import subprocess
import sys
from importlib import import_module

import pytest

import onstage
from onstage import keras

FACES = ["activations", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers"]


@pytest.mark.parametrize("name", FACES)
def test_a_module_holds_the_objects_of_onstage(name):
    tree, own = import_module(f"onstage.keras.{name}"), import_module(f"onstage.{name}")

    assert getattr(keras, name) is tree
    assert all(getattr(tree, each) is getattr(own, each) for each in own.__all__)


def test_every_form_of_the_import_statement_finds_the_same_objects():
    program = (
        "import onstage.keras as keras\n"
        "from onstage.keras import backend as K, Sequential\n"
        "from onstage.keras.callbacks import Callback, CallbackList, EarlyStopping, History\n"
        "from onstage.keras.layers import Dense\n"
        "from onstage.keras.models import load_model\n"
        "from onstage.keras.optimizers.schedules import CosineDecay\n"
        "from onstage.keras.utils import to_categorical\n"
        "import onstage\n"
        "import onstage.callbacks\n"
        "assert Callback is onstage.Callback and History is onstage.History\n"
        "assert EarlyStopping is onstage.callbacks.EarlyStopping\n"
        "assert Sequential is keras.models.Sequential is onstage.Sequential\n"
        "assert keras.optimizers.schedules.CosineDecay is CosineDecay\n"
        "print(K.floatx())\n"
    )

    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)

    assert done.stdout == "float32\n", done.stderr


def test_importing_the_tree_imports_no_other_module():
    program = "import sys, onstage.keras; print(*sorted(n for n in sys.modules if n.startswith('onstage')))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["onstage", "onstage.keras"]


def test_every_installed_callback_is_in_the_tree():
    names = set(dir(onstage.callbacks))

    assert names < set(dir(keras.callbacks))
    assert all(getattr(keras.callbacks, name) is getattr(onstage.callbacks, name) for name in names)
    assert set(dir(keras.callbacks)) - names == {"BaseLogger", "CallbackList"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("Sequentail", r"onstage\.keras has no 'Sequentail'; did you mean 'Sequential'\?"),
        ("Model", "has no 'Model'; train a torch.nn.Module by onstage_torch.TorchModel"),
        ("ops", "use numpy on the arrays"),
        ("tf", "use numpy on the arrays"),
        ("config", r"Sequential\(dtype=…\)"),
        ("layers.Dens", r"layers has no 'Dens'; did you mean 'Dense'\?"),
        ("layers.LSTM", "layers has no 'LSTM'; train a torch.nn.Module"),
        ("models.Model", "models has no 'Model'; train a torch.nn.Module"),
        ("optimizers.SDG", r"did you mean 'SGD'\?"),
        ("optimizers.schedules.CosinDecay", r"did you mean 'CosineDecay'\?"),
        ("callbacks.EarlyStoping", r"did you mean 'EarlyStopping'\?"),
        ("callbacks.OrbaxCheckpoint", "save_in_background=True"),
        ("backend.function", "for layer in model.layers"),
        ("backend.mean", "use numpy on the arrays"),
        ("utils.get_file", "onstage downloads nothing"),
        ("saving.load_weights", "model.load_weights"),
    ],
)
def test_a_missing_name_is_refused_with_the_closest_name_or_a_remedy(names, message):
    *modules, name = names.split(".")
    module = import_module(".".join(["onstage.keras", *modules]))

    with pytest.raises(AttributeError, match=message):
        getattr(module, name)
    with pytest.raises(ImportError, match=message):
        exec(f"from {module.__name__} import {name}")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("from onstage.keras.datasets import mnist", "onstage downloads nothing"),
        ("from onstage.keras.applications import VGG16", "TorchModel"),
        ("from onstage.keras import ops", "use numpy"),
    ],
)
def test_data_sets_networks_and_operations_are_refused_by_the_import(statement, message):
    with pytest.raises(ImportError, match=message):
        exec(statement)


def test_a_missing_name_is_no_attribute_for_hasattr():
    assert not hasattr(keras, "Model")
    assert not hasattr(keras.layers, "LSTM")
    assert not hasattr(keras.callbacks, "EarlyStoping")
