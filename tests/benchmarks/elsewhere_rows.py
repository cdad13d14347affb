"""The rows of `elsewhere.py`: contestants, of which the one named "onstage" is ours."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import elsewhere_networks as networks
import numpy as np
import pluggy

from onstage import Callback, Run, Sequential, layers
from onstage.callbacks import CSVLogger
from onstage.hookspecs import PROJECT, Stages
from onstage.optimizers import Adam
from onstage.state import storage

Work = Callable[[], Any]


class Row(NamedTuple):
    """A row of the table: its goal, and the function that measures its contestants."""

    goal: str
    measure: Callable[[], dict[str, float]]


def in_turns(contestants: dict[str, Work], repeats: int = 15, clock: Any = process_time) -> dict[str, float]:
    """Return the lower quartile of the milliseconds of each contestant."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 2):
        for name, work in contestants.items():
            begun = clock()
            work()
            if turn > 1:
                taken[name].append((clock() - begun) * 1e3)
    return {name: sorted(times)[len(times) // 4] for name, times in taken.items()}


def step(name: str) -> dict[str, float]:
    return in_turns(networks.contestants(name), repeats=9)


def conv_memory() -> dict[str, float]:
    """Return the peak above the start of a process that trains three batches and a short one."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import resource, elsewhere_networks as n;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024;"
        "w = n.contestants('two convolutions')[sys.argv[2]]; before = peak(); w(); w(); "
        "print(peak() - before)"
    )
    folder = str(Path(__file__).parent)
    figures = {}
    for name in networks.contestants("two convolutions"):
        done = subprocess.run([sys.executable, "-c", code, folder, name], capture_output=True, text=True)
        figures[name] = float(done.stdout)
    return figures


def second_core() -> dict[str, float]:
    """Return the wall time on all cores as "onstage", and that on one core."""
    work = networks.contestants("two convolutions")["onstage"]
    cores = os.sched_getaffinity(0)

    def pinned() -> None:
        os.sched_setaffinity(0, {min(cores)})
        work()
        os.sched_setaffinity(0, cores)

    return in_turns({"onstage": work, "one core": pinned}, repeats=5, clock=perf_counter)


def small_model() -> tuple[Sequential, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    model = Sequential([layers.Input((20,)), layers.Dense(16, "relu"), layers.Dense(3, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model, rng.random((32, 20), dtype=np.float32), rng.integers(3, size=32)


def predict() -> dict[str, float]:
    model, x, y = small_model()
    contestants: dict[str, Work] = {"onstage": lambda: model.predict(x, verbose=0)}
    try:
        from sklearn.neural_network import MLPClassifier
    except ImportError:
        return in_turns(contestants, 200)
    peer = MLPClassifier([16], max_iter=1).fit(x, y)
    return in_turns(contestants | {"scikit-learn": lambda: peer.predict_proba(x)}, 200)


def fit() -> dict[str, float]:
    """Return the fixed cost of a fit: without its one step."""
    model, x, y = small_model()
    model.fit(x, y, verbose=0)
    accumulator = model.new_accumulator()
    figures = in_turns(
        {
            "onstage": lambda: model.fit(x, y, verbose=0),
            "step": lambda: model.train_step((x, y, None), accumulator),
        },
        200,
    )
    return {"onstage": figures["onstage"] - figures["step"]}


def files(megabytes: int, work: str, clock: Any) -> dict[str, float]:
    count = megabytes * 10**6 // 10 // 4
    state = {f"w{n}": np.random.default_rng(n).random(count, dtype=np.float32) for n in range(10)}
    with tempfile.TemporaryDirectory() as folder:
        own, peer = f"{folder}/own", f"{folder}/peer"
        contestants = {"onstage": partial(storage.save, own, state)}
        if work == "load":
            storage.save(own, state)
            contestants = {"onstage": partial(storage.load, own)}
        try:
            from safetensors.numpy import load_file, save_file
        except ImportError:
            return in_turns(contestants, 5, clock)
        save_file(state, peer)

        def save_to_disk() -> None:
            save_file(state, peer)
            with open(peer, "rb") as file:
                os.fsync(file.fileno())

        if work == "load":
            contestants["safetensors"] = partial(load_file, peer)
        else:
            contestants |= {
                "safetensors": partial(save_file, state, peer),
                "safetensors, fsync": save_to_disk,
            }
        return in_turns(contestants, 5, clock)


def log(reads: bool) -> dict[str, float]:
    """Return the milliseconds of 1 000 steps of an own loop, beside others without or with a reader."""

    class Reads(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logs["loss"]

    data = list(range(1000))

    def ours() -> None:
        with Run(None, [Reads()] if reads else []) as run:
            for _ in run.steps(data):
                run.log(loss=0.5)

    contestants: dict[str, Work] = {"onstage": ours}
    if reads:
        contestants["pluggy by hand"] = partial(_pluggy_by_hand, Reads(), data)
    with suppress(ImportError):
        contestants["Ignite"] = _ignite(reads, data)
    with suppress(ImportError):
        if not reads:
            contestants["tqdm"] = _tqdm(data)
    return in_turns(contestants, 60)


def _pluggy_by_hand(callback: Callback, data: list[int]) -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Stages)
    manager.register(callback)
    for batch in data:
        manager.hook.on_train_batch_end(batch=batch, logs={"loss": 0.5}, run=None)


def _ignite(reads: bool, data: list[int]) -> Work:
    from ignite.engine import Engine, Events

    def work() -> None:
        engine = Engine(lambda engine, batch: 0.5)
        if reads:
            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.state.output)
        engine.run(data)

    return work


def _tqdm(data: list[int]) -> Work:
    from tqdm import tqdm

    def work() -> None:
        with open(os.devnull, "w") as sink, tqdm(data, file=sink) as shown:
            for _ in shown:
                pass

    return work


def adam() -> dict[str, float]:
    weights, gradients = (np.random.default_rng(n).random(5_000_000, dtype=np.float32) for n in (0, 1))
    optimizer = Adam()
    optimizer.build(weights)
    contestants: dict[str, Work] = {
        "onstage": lambda: optimizer.apply(gradients),
        "copy of the buffers alone": lambda: [np.copyto(weights, gradients) for _ in range(3)],
    }
    try:
        import torch
    except ImportError:
        return in_turns(contestants)
    parameter = torch.nn.Parameter(torch.rand(5_000_000))
    parameter.grad = torch.rand(5_000_000)
    peer = torch.optim.Adam([parameter], fused=True)
    return in_turns({"onstage": contestants["onstage"], "torch fused": peer.step})


def csv_row() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        logger = CSVLogger(f"{folder}/own.csv")
        logger.on_train_begin()
        values = {"loss": 0.123, "accuracy": 0.5, "val_loss": 0.2, "val_accuracy": 0.4}

        def by_hand() -> None:
            with open(f"{folder}/hand.csv", "a", newline="") as file:
                csv.writer(file).writerow([1, *values.values()])
                file.flush()
                os.fsync(file.fileno())

        figures = in_turns(
            {"onstage": lambda: logger.on_epoch_end(1, values), "csv and fsync": by_hand}, 100, perf_counter
        )
        logger.on_teardown()
        return figures


# -- rows that nobody asked for


def callbacks(number: int) -> dict[str, float]:
    class Counts(Callback):
        def on_train_batch_end(self, batch: int) -> None:
            self.count = batch

    model, x, y = small_model()
    x, y = np.tile(x, (50, 1)), np.tile(y, 50)
    own = [Counts() for _ in range(number)]
    return in_turns(
        {
            "onstage": lambda: model.fit(x, y, verbose=0, callbacks=own),
            "without": lambda: model.fit(x, y, verbose=0),
        }
    )


def validated() -> dict[str, float]:
    """Compare epochs of one step, each with a validation, with the steps alone."""
    model, x, y = small_model()
    return in_turns(
        {
            "onstage": lambda: model.fit(x, y, epochs=50, validation_data=(x, y), verbose=0),
            "without": lambda: model.fit(x, y, epochs=50, verbose=0),
        }
    )


def memmap() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        x, y = np.random.default_rng(0).random((20_000, 200), dtype=np.float32), np.zeros(20_000, int)
        np.save(f"{folder}/x.npy", x)
        mapped = np.load(f"{folder}/x.npy", mmap_mode="r")
        model = Sequential([layers.Dense(10, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return in_turns(
            {
                "onstage": lambda: model.fit(mapped, y, batch_size=128, verbose=0),
                "array in memory": lambda: model.fit(x, y, batch_size=128, verbose=0),
            },
            9,
        )


def resume() -> dict[str, float]:
    """Compare the reading of a run of 10 000 epochs with the reading of its file alone."""
    model, x, y = small_model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"

        class Saves(Callback):
            def on_train_end(self) -> None:
                storage.save(path, self.run.state_dict())

        class Loads(Callback):
            def on_train_begin(self) -> None:
                self.run.load_state_dict(storage.load(path))

        model.fit(x, y, epochs=10_000, verbose=0, callbacks=[Saves()])
        return in_turns(
            {
                "onstage": lambda: model.fit(x, y, epochs=10_000, verbose=0, callbacks=[Loads()]),
                "its file alone": lambda: storage.load(path),
            },
            9,
        )


ROWS: dict[str, Row] = {
    "Embedding(20 000, 64), 100 tokens, mean, Adam, batch 64": Row("1.1", partial(step, "words")),
    "peak memory of two convolutions of 64, batch 128, MB": Row("1.5", conv_memory),
    "two convolutions of 64, batch 128: all cores against one": Row("0.62", second_core),
    "predict of one batch": Row("0.2 ms", predict),
    "fit without its step": Row("0.4 ms", fit),
    **{
        f"{work} {size} MB, {name}": Row("1.5", partial(files, size, work, clock))
        for work, size in (("save", 100), ("load", 100), ("load", 1000))
        for name, clock in (("CPU", process_time), ("wall", perf_counter))
    },
    "32-wide MLP, SGD, batch 32, by hand": Row("1.2", partial(step, "small 32")),
    "32-wide MLP, SGD, batch 128, by hand": Row("1.2", partial(step, "small 128")),
    "1 000 steps of an own loop with run.log": Row("1.2 ms", partial(log, False)),
    "the same, with a callback that reads": Row("2.5 ms", partial(log, True)),
    "Adam, 5 million parameters": Row("1.5", adam),
    "CSVLogger, a row, wall": Row("1.1", csv_row),
    "Embedding, Conv1D, maximum, half of the tokens padding": Row("-", partial(step, "padded text")),
    "Conv1D 64, 5 of 200 steps, batch 64": Row("-", partial(step, "series")),
    "784-256-10, batch 4 096": Row("-", partial(step, "large batch")),
    "64-10 000, sparse labels, batch 256": Row("-", partial(step, "many outputs")),
    "a label for each of 50 tokens, 100 classes": Row("-", partial(step, "labels of tokens")),
    "BatchNormalization, Dropout, 256 wide, batch 128": Row("-", partial(step, "regularized")),
    "validation after every step": Row("-", validated),
    "twenty callbacks in every batch": Row("-", partial(callbacks, 20)),
    "a memmap": Row("-", memmap),
    "resume after 10 000 epochs": Row("-", resume),
}
