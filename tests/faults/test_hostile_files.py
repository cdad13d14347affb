"""Untrusted files load or are refused; none runs code, imports a module or allocates memory at will.

Runs a sample of ``fuzz.py``; ``ONSTAGE_FUZZ_INPUTS`` sets its size, see the
README beside this file.
"""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from onstage import Sequential, StateError, layers, load_model
from onstage.state import storage

INPUTS = int(os.environ.get("ONSTAGE_FUZZ_INPUTS", "4000"))
SCRIPT = Path(__file__).with_name("fuzz.py")

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="limits the time of each input by a signal"
)


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("onstage_fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder():
    # In memory if possible: the tests write thousands of files.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "inputs"),
    [("bytes", INPUTS), ("model", INPUTS // 4), ("backup", INPUTS // 40), ("keras", INPUTS // 4)],
)
def test_hostile_files_load_or_are_refused(fuzz, name, inputs, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    if name == "keras":
        pytest.importorskip("h5py")
    before = signal.signal(signal.SIGALRM, fuzz.expired)
    monkeypatch.setattr(fuzz, "SECONDS", 10)  # CI machines are slow
    target = fuzz.TARGETS[name](folder)

    taken = sum(fuzz.attempt(target, random.Random(number)) for number in range(inputs))

    signal.signal(signal.SIGALRM, before)
    assert 0 < taken < inputs, "some mutations must load and some must be refused"


_UNDER_AUDIT = """
import importlib.util, json, os, random, sys, warnings
from pathlib import Path

spec = importlib.util.spec_from_file_location("fuzz", sys.argv[1])
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)
from onstage import StateError, load_model
from onstage.state import storage

warnings.simplefilter("ignore")
os.fsync = lambda descriptor: None
folder = Path(sys.argv[2])
states = list(fuzz.saved_models(folder))
paths = []
for number in range(int(sys.argv[3])):
    rng = random.Random(number)
    state = fuzz.mutate(rng.choice(states), rng) if number else states[0]
    names = [(container, key) for container, key in fuzz.places(state) if key == "class_name"]
    if number % 2 and names:
        container, key = rng.choice(names)
        container[key] = rng.choice(["os.system", "subprocess.Popen", "antigravity", "builtins.eval"])
    try:
        storage.save(folder / str(number), state)
        paths.append(str(folder / str(number)))
    except (TypeError, ValueError):
        pass

def load_all():
    refused = 0
    for path in paths:
        try:
            load_model(path)
        except StateError:
            refused += 1
    return refused

load_all()  # late imports happen here
events, watching = set(), True

def hook(event, arguments):
    if watching and event not in ("builtins.id", "object.__getattr__"):  # queries without effect
        # Opening its own path is the only effect that a file may have.
        what = str(arguments[0]) if event in ("open", "import") else ""
        events.add((event, "" if what in paths else what))

modules = set(sys.modules)
sys.addaudithook(hook)
refused = load_all()
watching = False
modules = sorted(set(sys.modules) - modules)
print(json.dumps({"events": sorted(events), "modules": modules, "files": len(paths), "refused": refused}))
"""


def test_loading_only_opens_the_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_AUDIT, str(SCRIPT), str(tmp_path), "300"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert 0 < seen["refused"] < seen["files"]
    assert seen["modules"] == []
    assert seen["events"] == [["open", ""]]


def _saved(path, change):
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(path)
    state = storage.load(path)
    change(state)
    storage.save(path, state)
    return path


def _deep(depth):
    config = {"class_name": "Dense", "config": {"units": 2}}
    for _ in range(depth):
        config = {"class_name": "Dense", "config": {"units": config}}
    return [config]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["layers"][0]["config"].update(units=2**62),
        lambda state: state["layers"][0]["config"].update(units=10**9),
        lambda state: state.update(input_shape=[10**9]),
        lambda state: state.update(input_shape=[10**4] * 8),
        lambda state: state.update(layers=_deep(25)),
        lambda state: state.update(layers=state["layers"] * 2_001),
        lambda state: state["layers"][0].update(
            class_name="Embedding", config={"input_dim": 10**8, "output_dim": 10**8}
        ),
        lambda state: state["layers"][0]["config"].update(
            kernel_initializer={"class_name": "Orthogonal", "config": {}}, units=10**7
        ),
        lambda state: state["compile"].update(
            metrics=[{"class_name": "AUC", "config": {"num_thresholds": 10**12}}]
        ),
        lambda state: state.update({"dense/kernel": np.zeros((10**9, 0)), "dense/bias": np.zeros(0)}),
    ],
)
def test_a_model_allocates_memory_in_proportion_to_its_file(tmp_path, change):
    path = _saved(tmp_path / "model", change)

    tracemalloc.start()
    with pytest.raises(StateError):
        load_model(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 60 * path.stat().st_size + 300_000


def test_two_thousand_layers_are_refused_within_a_minute(tmp_path):
    dropout = {"class_name": "Dropout", "config": {"rate": 0.5}}
    path = _saved(tmp_path / "model", lambda state: state.update(layers=[dropout] * 2_000))
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("loading took more than a minute"))
    signal.alarm(60)

    with pytest.raises(StateError, match="saved weights must have the shapes"):
        load_model(path)

    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
