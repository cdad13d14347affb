"""Soak test: a long training with all built-in callbacks must not leak.

``python tests/faults/soak.py [STEPS]`` trains STEPS steps (a million), prints
memory, descriptors, threads and time for each tenth, and exits with 1 if memory
changed by more than 2 % since the second tenth or a descriptor or thread was
left. Times don't affect the exit code, because they include the machine's other work.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from onstage import Callback, Sequential, layers, optimizers
from onstage.registry._selection import resolve

STEPS_PER_EPOCH = 2_000
BATCH = 8

_SERVER = Path(__file__).parent / "live_server.py"


class MeasuresEpochs(Callback):
    """Records memory, descriptors, threads and microseconds a step after each epoch."""

    def __init__(self):
        self.samples = []

    def on_epoch_begin(self):
        self._began = time.perf_counter()

    def on_epoch_end(self):
        micros = (time.perf_counter() - self._began) / STEPS_PER_EPOCH * 1e6
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append(
            (pages * 4096 / 2**20, len(os.listdir("/proc/self/fd")), threading.active_count(), micros)
        )


def schedule(epoch, learning_rate):
    return 0.001


def callbacks(folder, root):
    return resolve(
        [
            {"terminate_on_nan": {}},
            {"learning_rate_scheduler": {"schedule": schedule}},
            {"reduce_lr_on_plateau": {"monitor": "loss", "patience": 10**6}},
            {"early_stopping": {"monitor": "loss", "patience": 10**6, "restore_best_weights": True}},
            {"swap_ema_weights": {}},
            {"csv_logger": {"filename": folder / "log.csv"}},
            {"model_checkpoint": {"filepath": folder / "saved" / "{epoch}", "max_to_keep": 2}},
            {"tensorboard": {"log_dir": folder / "board", "histogram_freq": 5, "update_freq": 100}},
            {"remote_monitor": {"root": root}},
            {"backup_and_restore": {"backup_dir": folder / "backup", "save_freq": 1_000}},
            {"lambda_callback": {"on_batch_end": lambda batch: None}},
            {"progbar_logger": {}},
        ]
    )


def train(epochs, folder, root):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS_PER_EPOCH * BATCH, 8)).astype("float32")
    y = (x.sum(axis=1, keepdims=True) > 0).astype("float32")
    model = Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(1, "sigmoid"),
        ],
        seed=0,
    )
    model.compile(optimizers.Adam(use_ema=True), "binary_crossentropy", ["accuracy"])
    measures = MeasuresEpochs()
    model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=epochs,
        seed=0,
        verbose=2,
        validation_data=(x[:80], y[:80]),
        callbacks=[*callbacks(folder, root), measures],
    )
    return measures.samples


def level(samples):
    """Print the tenths; return whether all figures stayed level since the second."""
    tenth = max(1, len(samples) // 10)
    print(f"{'epochs':>12} {'MiB':>8} {'files':>6} {'threads':>8} {'µs/step':>8}")
    rows = []
    for first in range(0, tenth * 10, tenth):
        memory, files, threads, micros = zip(*samples[first : first + tenth], strict=True)
        rows.append((statistics.median(memory), max(files), max(threads), statistics.median(micros)))
        epochs, (mebibytes, most, running, step) = f"{first}-{first + tenth - 1}", rows[-1]
        print(f"{epochs:>12} {mebibytes:8.1f} {most:6} {running:8} {step:8.1f}")
    # The first tenth still fills caches, so compare with the second.
    (memory, files, threads, micros), last = rows[1], rows[-1]
    change = last[0] / memory - 1
    print(f"memory {change:+.2%}, a step {last[3] / micros - 1:+.1%} since the second tenth")
    return abs(change) <= 0.02 and (last[1], last[2]) == (files, threads)


def main(steps=1_000_000):
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, _SERVER, f"{folder}/runs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            root = server.stdout.readline().strip()
            began = time.monotonic()
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                samples = train(steps // STEPS_PER_EPOCH, Path(folder), root)
        finally:
            server.communicate()
    print(f"{steps:,} steps in {time.monotonic() - began:.0f} s")
    return 0 if level(samples) else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
