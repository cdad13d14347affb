"""Feed hostile files to the loaders.

``python tests/faults/fuzz.py TARGET [INPUTS [SEED]]`` mutates valid files at
random; ``python tests/faults/fuzz.py TARGET --atheris [libFuzzer's options]`` is
guided by coverage and needs the package atheris. TARGET is

``bytes``
    any bytes as a state file, half of them with a valid length and checksum,
``model``
    a valid state file of an invalid model, for `load_model` and `load_weights`,
``backup``
    a valid state file of an invalid backup, for a training that resumes,
``keras``
    a file of Keras with damaged bytes or an invalid configuration.

Each input must load or raise a `StateError`, within a second and 256 MB of
additional memory. Anything else ends the program with a traceback and the seed.
``test_hostile_files.py`` runs a sample.
"""

import contextlib
import copy
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
from onstage_backup_and_restore import BackupAndRestore
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_learning_rate_scheduler import LearningRateScheduler
from onstage_model_checkpoint import ModelCheckpoint
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_swap_ema_weights import SwapEMAWeights
from onstage_tensorboard import TensorBoard

from onstage import Sequential, StateError, layers, load_model, metrics, optimizers, schedules
from onstage.state import storage

SECONDS = 1.0
BYTES = 256 << 20

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) > 0).astype("float32")

# -- hostile values and trees

NUMBERS = [0, 1, -1, 2, 3, 2**31, 2**40, 2**62, 2**63, 2**64, 10**300, 10**400, True, 0.5, -0.0, 1e300]
ODD = [None, [], {}, "", "x", "../../etc/passwd", "os.system", "adam", "relu", "\0", "é" * 99]
ODD += [float("nan"), float("inf"), [1, 2], ["a"], [[]], {"class_name": "os", "config": {}}]
ODD += [{"function": "eval"}, {"class_name": "Dense", "config": {"units": 2**40}}]


def hostile(rng):
    """Return an unexpected value."""
    match rng.randrange(4):
        case 0:
            return rng.choice(NUMBERS)
        case 1:
            return copy.deepcopy(rng.choice(ODD))
        case 2:
            shape = rng.choice([(), (0,), (1,), (3,), (2, 2), (1, 1, 1, 1)])
            return np.full(shape, rng.choice([0, 1, -1])).astype(
                rng.choice(["f4", "f8", "i8", "?", "u1", "f2"])
            )
        case _:
            deep = copy.deepcopy(rng.choice(ODD))
            for _ in range(rng.randrange(30)):
                deep = [deep] if rng.random() < 0.5 else {"config": deep}
            return deep


def places(tree):
    """Yield ``(container, key)`` of every value in a tree."""
    keys = tree if isinstance(tree, dict) else range(len(tree))
    for key in list(keys):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from places(tree[key])


def mutate(tree, rng):
    """Return a copy of a tree with one to three values changed."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        everywhere = list(places(tree))
        if not everywhere:
            break
        container, key = rng.choice(everywhere)
        other, other_key = rng.choice(everywhere)
        match rng.randrange(6):
            case 0 | 1:
                container[key] = hostile(rng)
            case 2:
                container.pop(key)
            case 3:
                container[key] = copy.deepcopy(other[other_key])
            case 4 if isinstance(container, list):
                container.insert(key, copy.deepcopy(container[key]))
            case 4:
                container[rng.choice(["epoch", "units", "name", "x", "$tensor", ""])] = hostile(rng)
            case 5 if type(container[key]) in (int, float):
                container[key] = rng.choice(NUMBERS)
            case 5 if isinstance(container[key], np.ndarray):
                container[key] = container[key].reshape(-1)[: rng.randrange(9)]
    return tree


def mutate_bytes(content, rng):
    """Return a copy with bytes changed, cut, doubled or replaced by a number."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(damaged) + 1)
        piece = damaged[at : at + rng.randint(0, 40)]
        match rng.randrange(5):
            case 0:
                damaged[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del damaged[at : at + len(piece)]
            case 2:
                damaged[at:at] = piece
            case 3:
                damaged[at : at + len(piece)] = rng.randbytes(len(piece))
            case 4:
                damaged[at:at] = rng.choice(
                    [b"[", b"{", b'"', b"9" * 20, b"-1", b"null", b"1e400", b"\\u0000", b'"$tensor"']
                )
    return bytes(damaged)


def seal(content):
    """Correct header length and checksum, so that the loader reads the contents."""
    end = content.rfind(b"}}") + 2
    while content[end : end + 1] == b" ":
        end += 1
    header, data = content[8:end], content[end:]
    length = struct.pack("<Q", len(header))
    blank = header[:27] + b"0" * 64 + header[91:]
    digest = hashlib.sha256(length + blank + data).hexdigest().encode()
    return length + header[:27] + digest + header[91:] + data


# -- targets: each takes a random generator and returns whether the input was loaded


class Bytes:
    """State files of arbitrary bytes."""

    def __init__(self, folder):
        self.path = folder / "state"
        state = {"epoch": 3, "names": ["é", None, True, float("inf")], "w": np.eye(3), "i": np.arange(4)}
        storage.save(self.path, state)
        self.content = self.path.read_bytes()

    def __call__(self, rng):
        content = mutate_bytes(self.content, rng)
        return self.load(seal(content) if rng.random() < 0.5 else content)

    def load(self, content):
        self.path.write_bytes(content)
        return isinstance(storage.load(self.path), dict)


def saved_models(folder):
    """Yield the saved states of models with all kinds of layers."""
    made = [
        [layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(1)],
        [layers.Reshape((2, 2)), layers.Flatten(), layers.Dense(1, "sigmoid", kernel_regularizer="l2")],
    ]
    given = [
        (optimizers.Adam(schedules.ExponentialDecay(0.1, 10, 0.9), use_ema=True), "mse", ["mae"]),
        (optimizers.SGD(0.1, momentum=0.9), "binary_crossentropy", ["accuracy", metrics.AUC()]),
    ]
    for chain, (optimizer, loss, measured) in zip(made, given, strict=True):
        model = Sequential([layers.Input((4,)), *chain], seed=0)
        model.compile(optimizer, loss, measured)
        model.fit(X, Y, verbose=0)
        for save in (model.save, model.save_weights):
            save(folder / "model")
            yield storage.load(folder / "model")


class Model:
    """Valid state files of invalid models."""

    def __init__(self, folder):
        self.path = folder / "model"
        self.states = list(saved_models(folder))

    def __call__(self, rng):
        try:
            storage.save(self.path, mutate(rng.choice(self.states), rng))
        except (TypeError, ValueError):
            return False  # a file cannot hold it
        if rng.random() < 0.2:
            Sequential([layers.Input((4,)), layers.Dense(1)]).load_weights(self.path)
            return True
        model = load_model(self.path)
        if model.input_shape[1:] == (4,):
            model.predict(X, verbose=0)
        return True


class Backup:
    """Valid state files of invalid backups."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "backup" / "backup.safetensors"
        with contextlib.suppress(InterruptedError):
            self.train(kill=True)
        self.state = storage.load(self.path)

    def train(self, kill=False):
        def killer(batch):
            raise InterruptedError

        model = Sequential([layers.Input((4,)), layers.Dense(2), layers.Dense(1)], seed=0)
        model.compile(optimizers.Adam(use_ema=True), "mse", ["mae"])
        callbacks = [
            EarlyStopping(patience=2, restore_best_weights=True),
            ReduceLROnPlateau(),
            SwapEMAWeights(),
            LearningRateScheduler(lambda batch: 0.1, on="batch"),
            CSVLogger(self.folder / "log.csv"),
            ModelCheckpoint(self.folder / "{epoch}-{loss:.3f}", max_to_keep=1),
            TensorBoard(self.folder / "board"),
            BackupAndRestore(self.folder / "backup", 1, double_checkpoint=False, delete_checkpoint=False),
        ]
        callbacks += [
            type("Killer", (), {"on_epoch_begin": lambda self, epoch: epoch and killer(0)})()
        ] * kill
        model.fit(X, Y, batch_size=3, epochs=3, validation_split=0.4, seed=0, verbose=0, callbacks=callbacks)

    def __call__(self, rng):
        try:
            storage.save(self.path, mutate(self.state, rng))
        except (TypeError, ValueError):
            return False
        (self.folder / "log.csv").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "board", ignore_errors=True)
        self.train()
        return True


class Keras:
    """Files of Keras: damaged archives, damaged HDF5 in intact archives, invalid configurations."""

    def __init__(self, folder):
        self.path = folder / "model.keras"
        next(saved_models(folder))
        self.model = load_model(folder / "model")
        self.model.save(self.path)
        self.content = self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            self.parts = {name: archive.read(name) for name in ("config.json", "model.weights.h5")}

    def __call__(self, rng):
        parts = dict(self.parts)
        match rng.randrange(4):
            case 0:
                self.path.write_bytes(mutate_bytes(self.content, rng))
                return self.load()
            case 1:
                self.path.write_bytes(mutate_bytes(parts["model.weights.h5"], rng))
                self.model.load_weights(self.path)
                return True
            case 2:
                parts["model.weights.h5"] = mutate_bytes(parts["model.weights.h5"], rng)
            case 3:
                tree = mutate(json.loads(parts["config.json"]), rng)
                parts["config.json"] = json.dumps(tree, default=np.ndarray.tolist).encode()
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
        return self.load()

    def load(self):
        model = load_model(self.path)
        if model.input_shape[1:] == (4,):
            model.predict(X, verbose=0)
        return True


TARGETS = {"bytes": Bytes, "model": Model, "backup": Backup, "keras": Keras}

# -- the bounds, and the loop


def expired(signum, frame):
    raise TimeoutError(f"neither loaded nor refused within {SECONDS} s")


def bound():
    """Limit the memory of the process to ``BYTES`` more than it has now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def attempt(target, rng):
    """Return whether one input loads; StateError counts as refused, other errors pass through."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return target(rng)
    except StateError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def at_random(target, inputs, seed):
    began, taken = time.monotonic(), 0
    for number in range(seed, seed + inputs):
        try:
            taken += attempt(target, random.Random(number))
        except BaseException:
            print(f"input {number} of {type(target).__name__}:", file=sys.stderr)
            raise
    seconds = time.monotonic() - began
    print(f"{inputs} inputs in {seconds:.0f} s: {taken} loaded, the others refused")


def functions_of_onstage():
    """Yield the functions to instrument; instrumenting all of Python would take minutes."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0].startswith("onstage"):
            own = [value for value in vars(module).values() if getattr(value, "__module__", "") == name]
            classes = [value for value in own if isinstance(value, type)]
            for value in [*own, *(method for each in classes for method in vars(each).values())]:
                if isinstance(value, types.FunctionType):
                    yield value


def by_coverage(target, options):
    import atheris

    class Chosen(random.Random):
        """Draws from the fuzzer's bytes, so that the fuzzer can steer."""

        def __init__(self, data):
            super().__init__(0)
            self.data = atheris.FuzzedDataProvider(data)

        def random(self):
            return self.data.ConsumeIntInRange(0, 2**32 - 1) / 2**32

        def getrandbits(self, k):
            return int.from_bytes(self.data.ConsumeBytes(-(-k // 8)), "little") & ((1 << k) - 1)

    for function in functions_of_onstage():
        atheris.instrument_func(function)
    # libFuzzer limits memory: `bound` would count the memory of its coverage tables.
    atheris.Setup(
        [sys.argv[0], f"-rss_limit_mb={2 * BYTES >> 20}", *options],
        lambda data: attempt(target, Chosen(data)),
    )
    atheris.Fuzz()


def main():
    name, *rest = sys.argv[1:]
    warnings.simplefilter("ignore")
    os.fsync = lambda descriptor: None  # there is no power failure to survive
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        os.chdir(folder)
        target = TARGETS[name](Path(folder))
        signal.signal(signal.SIGALRM, expired)
        if rest[:1] == ["--atheris"]:
            by_coverage(target, rest[1:])
        else:
            bound()
            at_random(target, *map(int, [*rest, 1000, 0][: max(2, len(rest))]))


if __name__ == "__main__":
    main()
