"""Cost of writing and sending to the step loop: in a background thread, and inline.

``uv run --group bench python tests/benchmarks/background.py [FOLDER]``

The loop's steps are matrix products; ``OPENBLAS_NUM_THREADS=1`` restricts them
to one core and leaves another to the threads. The time includes the steps and
the stages between them. An epoch is long enough for a thread to finish writing
a save.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import requests
from harness import machine, show, write
from onstage_tensorboard import event_log

from onstage import Callback, ModelView, Run
from onstage.callbacks import ModelCheckpoint, RemoteMonitor, TensorBoard

MEGABYTES = 100
WARM_UP = 2
"""Epochs in which a callback opens its files, and takes the memory that it keeps."""
TURNS = 15
REST = event_log._INTERVAL + 0.2
"""Seconds for a thread to end its work before another training's turn."""

_SERVER = Path(__file__).parents[1] / "sink_server.py"


class InlineLog(event_log.EventLog):
    """TensorBoard's files, written by the caller instead of a thread."""

    def add(self, run, make, *args, heavy=False):
        """Make and write an event immediately."""
        self._write([(run, make, args)])


class InlineTensorBoard(TensorBoard):
    """TensorBoard with its events made and written in the stage."""

    def __init__(self, log_dir, **options):
        super().__init__(log_dir, **options)
        self._log = InlineLog(self.log_dir)


class InlineMonitor(Callback):
    """Posts each event in the stage, over one connection."""

    def __init__(self, root):
        self.root = root

    def on_train_begin(self):
        """Open the connection."""
        self.session = requests.Session()

    def on_train_batch_end(self, batch, logs):
        """Post a batch's logs."""
        self.session.post(self.root, data=json.dumps({"batch": batch, **logs}), timeout=3).raise_for_status()

    def on_teardown(self):
        """Close the connection."""
        self.session.close()


def epochs_of(callbacks, steps, weights, side):
    """Train by side x side matrix products; yield each epoch's seconds, stages included."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, side, side), np.float32)
    out = np.empty_like(a)
    view = ModelView(get_weights=lambda: weights, get_state=lambda: {"weights": weights})
    with Run(view, callbacks, epochs=WARM_UP + TURNS, steps=steps, metric_names=["loss"]) as run:
        began = perf_counter()
        for _ in run.epochs():
            for _ in run.batches(range(steps)):
                np.dot(a, b, out)
                run.log(loss=1.0, samples=1)
            yield perf_counter() - began
            began = perf_counter()


def delays(name, made, steps, weights, events, side):
    """Return the milliseconds that an event delays the loop, inline and in a thread.

    Three trainings take turns, an epoch each.

    Parameters
    ----------
    made
        Maps ``inline`` and ``beside`` to a function that makes the callback for a folder.
    events
        Number of events (saves, batches) in an epoch.
    side
        Side of the matrices. The longer a step, the harder a delay is to tell from noise.
    """
    taken = {"without": [], "inline": [], "beside": []}
    with tempfile.TemporaryDirectory(dir=os.environ.get("ONSTAGE_BENCH_DIR")) as folder:
        callbacks = {which: [made[which](Path(folder, which))] if which in made else [] for which in taken}
        trainings = {which: epochs_of(callbacks[which], steps, weights, side) for which in taken}
        for turn in range(WARM_UP + TURNS):
            for which, training in trainings.items():
                seconds = next(training)
                time.sleep(REST)
                if turn >= WARM_UP:
                    taken[which].append(seconds)
        for training in trainings.values():
            training.close()
    each = {}
    for which in made:
        more = [after - before for after, before in zip(taken[which], taken["without"], strict=True)]
        each[which] = median(more) / events * 1e3
    share = each["beside"] / each["inline"]
    return {"name": name, "loop": median(taken["without"]), "ms": each, "share": share, "seconds": taken}


def measure(port):
    """Yield the figures of one tool after another."""
    small = [np.zeros((10, 10), np.float32)]
    large = [np.random.default_rng(n).random((5, 2**20), np.float32) for n in range(MEGABYTES // 20)]
    yield delays(
        f"ModelCheckpoint, {MEGABYTES} MB, a save",
        {
            "inline": lambda folder: ModelCheckpoint(folder / "model"),
            "beside": lambda folder: ModelCheckpoint(folder / "model", save_in_background=True),
        },
        *(1000, large, 1, 320),
    )
    yield delays(
        "TensorBoard, a batch's scalars",
        {
            "inline": lambda folder: InlineTensorBoard(folder, write_graph=False, update_freq=1),
            "beside": lambda folder: TensorBoard(folder, write_graph=False, update_freq=1),
        },
        *(20_000, small, 20_000, 128),
    )
    yield delays(
        f"TensorBoard, histograms of {MEGABYTES} MB",
        {
            "inline": lambda folder: InlineTensorBoard(folder, write_graph=False, histogram_freq=1),
            "beside": lambda folder: TensorBoard(folder, write_graph=False, histogram_freq=1),
        },
        *(1000, large, 1, 320),
    )
    root = f"http://127.0.0.1:{port}"
    yield delays(
        "RemoteMonitor, a batch",
        {
            "inline": lambda folder: InlineMonitor(root),
            "beside": lambda folder: RemoteMonitor(root, events="all", send_as_json=True),
        },
        *(2000, small, 2000, 320),
    )


def main():
    """Measure, print and write."""
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    server = subprocess.Popen(
        [sys.executable, _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        figures = list(measure(int(server.stdout.readline())))
    finally:
        server.terminate()
        server.wait()
    show(
        "delay of the step loop, milliseconds (goal: beside at most 5 % of inline)",
        ["each", "inline", "beside", "share"],
        [(f["name"], f["ms"]["inline"], f["ms"]["beside"], f"{f['share']:.1%}") for f in figures],
    )
    write("background", figures)


if __name__ == "__main__":
    main()
