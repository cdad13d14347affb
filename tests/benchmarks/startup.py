"""Start-up time: imports, finding plugins, opening a run with ten callbacks.

``uv run --group bench python tests/benchmarks/startup.py [FOLDER]``

Each import is measured in a process of its own, with bytecode already compiled,
as installed packages have it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import pluggy
from harness import interleaved, machine, show, write

from onstage import Callback, Run, Sequential, layers
from onstage.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from onstage.hookspecs import PROJECT, Stages
from onstage.registry import _discovery
from onstage.testing.site import PluginSite

IMPORTS = {
    "import onstage": "import onstage",
    "from onstage import Run, Callback": "from onstage import Run, Callback",
    "from onstage import Sequential, layers": "from onstage import Sequential, layers",
    "the same, and EarlyStopping": (
        "from onstage import Sequential, layers; from onstage.callbacks import EarlyStopping"
    ),
}
REPEATS = 15

_CHILD = """
from time import perf_counter
began = perf_counter()
import numpy
after = perf_counter()
{statement}
print(after - began, perf_counter() - after)
"""


def imports(cache):
    """Measure each import after numpy's, all taking turns, in milliseconds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = cache
    taken = {name: [] for name in ("import numpy", *IMPORTS)}
    for repeat in range(REPEATS + 1):
        for name, statement in IMPORTS.items():
            program = _CHILD.format(statement=statement)
            printed = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, check=True
            )
            if repeat:  # the first call compiles the bytecode
                numpy, other = map(float, printed.stdout.split())
                taken["import numpy"].append(numpy * 1e3)
                taken[name].append(other * 1e3)
    return {name: {"median": median(times), "best": min(times)} for name, times in taken.items()}


def two_hundred(folder):
    """Write 200 distributions with one plugin each."""
    site = PluginSite(folder)
    for n in range(200):
        module = f"crowd_{n}"
        site.add(
            f"crowd-{n}",
            callbacks={f"crowd_{n:03}": f"{module}:Good"},
            modules={module: "class Good:\n    def on_epoch_end(self): ...\n"},
        )
    return site


def finding(folder):
    """Compare finding 200 plugins with reading their files, and with importlib.metadata."""
    site = two_hundred(folder)

    def only_read():
        for name in os.listdir(folder):
            if name.endswith(".dist-info"):
                Path(folder, name, "entry_points.txt").read_bytes()

    def onstage():
        _discovery.refresh()
        found = _discovery.installed()
        assert len(found) == 200

    def standard():
        found = [
            point
            for dist in importlib.metadata.distributions(path=[str(folder)])
            for point in dist.entry_points
        ]
        assert len(found) == 200

    before = set(sys.modules)
    with site.isolated():
        seconds = interleaved(
            {
                "reading the files alone": only_read,
                "onstage, first time": onstage,
                "importlib.metadata": standard,
            }
        )
        again = interleaved({"onstage, again": _discovery.installed}, repeats=101)
    imported = [name for name in set(sys.modules) - before if name.startswith("crowd")]
    assert not imported, imported
    return {name: taken * 1e3 for name, taken in (seconds | again).items()}


class Own(Callback):
    """A callback that a user wrote."""

    def on_epoch_end(self, epoch, logs=None):
        """Act in one stage."""


def ten(folder):
    """Make ten callbacks, as a real training might have them.

    BackupAndRestore is left out: at the start it writes a file and waits for the disk.
    """
    return [
        EarlyStopping("loss"),
        EarlyStopping("loss", patience=3, restore_best_weights=True),
        ReduceLROnPlateau("loss"),
        LearningRateScheduler(lambda epoch, rate: rate),
        ModelCheckpoint(folder / "model.safetensors"),
        CSVLogger(folder / "log.csv"),
        TensorBoard(folder / "board"),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        Own(),
    ]


PHASES = ["Run(…)", "with run", "on_train_begin"]


def opening(folder):
    """Time the phases of one start with existing callbacks, in seconds."""
    model = Sequential([layers.Input((4,)), layers.Dense(3)], seed=0)
    model.compile("sgd", "mse")
    callbacks = ten(folder)
    times = [perf_counter()]
    run = Run(model, callbacks, metric_names=["loss"])
    times.append(perf_counter())
    with run:
        times.append(perf_counter())
        run.epochs()
        times.append(perf_counter())
    return [after - before for before, after in pairwise(times)]


def registering(folder):
    """Time pluggy alone in seconds: its manager, the specifications, ten callbacks."""
    callbacks = ten(folder)
    began = perf_counter()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Stages)
    for callback in callbacks:
        manager.register(callback)
    return perf_counter() - began


def one_process(folder):
    """Print the times of several starts after the search for plugins, and of pluggy alone."""
    _discovery.installed()
    starts = [opening(folder) for _ in range(21)]
    print(json.dumps([starts, [registering(folder) for _ in range(5)]]))


def starting(folder):
    """Time the first and later starts of a process, and pluggy alone, in milliseconds."""
    program = "import sys, startup; from pathlib import Path; startup.one_process(Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    firsts, laters, alone = [], [], []
    for n in range(REPEATS):
        printed = subprocess.run(
            [sys.executable, "-c", program, str(folder / str(n))],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=True,
        )
        (first, *later), registered = json.loads(printed.stdout)
        firsts.append(first)
        laters += later
        alone += registered
    figures = {
        which: {
            **{
                phase: median(times) * 1e3
                for phase, times in zip(PHASES, zip(*rows, strict=True), strict=True)
            },
            "together": median(map(sum, rows)) * 1e3,
            "best": min(map(sum, rows)) * 1e3,
        }
        for which, rows in (("first in the process", firsts), ("later", laters))
    }
    return figures, {"median": median(alone) * 1e3, "best": min(alone) * 1e3}


def main():
    """Measure, print and write all three."""
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        figures = {"imports": imports(str(folder / "bytecode")), "finding": finding(folder / "site")}
        figures["starting"], figures["pluggy alone"] = starting(folder)
    rows = [(name, taken["median"], taken["best"]) for name, taken in figures["imports"].items()]
    show(
        "imports after numpy's, milliseconds (goal: import onstage at most 25)",
        ["", "median", "best"],
        rows,
    )
    show(
        "finding 200 installed plugins, milliseconds (goal: under 10, once per process)",
        ["", "median"],
        list(figures["finding"].items()),
    )
    show(
        "a run with 10 callbacks starts, milliseconds (goal: under 2)",
        ["", *PHASES, "together", "best"],
        [(which, *taken.values()) for which, taken in figures["starting"].items()],
    )
    alone = figures["pluggy alone"]
    print(f"pluggy alone, registering the same ten: {alone['median']:.3g}, at best {alone['best']:.3g}")
    write("startup", figures)


if __name__ == "__main__":
    main()
