"""Memory of training: from arrays, from a file under a limit, over a thousand trainings.

``uv run --group bench python tests/benchmarks/memory.py [FOLDER]``

Each row is a process of its own. Figures are Linux's resident memory and its
peak, so the program runs only on Linux.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from harness import machine, show, write

from onstage import Sequential, layers
from onstage.callbacks import EarlyStopping

MB = 2**20


def model_for(features, hidden=()):
    """Make a classifier of 10 classes."""
    stack = [layers.Input((features,)), *hidden, layers.Dense(10, "softmax")]
    model = Sequential(stack, seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def status(key):
    """Return an entry of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {key}")


def reset_peak():
    """Reset the peak of the resident memory to its present value."""
    Path("/proc/self/clear_refs").write_text("5")


# -- each of these runs in a process of its own and returns its figures

SAMPLES, FEATURES = 1_000_000, 100
OPTIONS = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "validation_split": {"validation_split": 0.2},
    "class_weight": {"class_weight": {0: 2.0}},
    "sample_weight": {"sample_weight": np.ones(SAMPLES, np.float32)},
}


def arrays(which):
    """Train on 400 MB of x; return the data's megabytes, and those that fit adds at its peak."""
    x = np.random.default_rng(0).random((SAMPLES, FEATURES), np.float32)
    y = np.arange(SAMPLES) % 10
    model = model_for(FEATURES)
    model.fit(x[:500], y[:500], 250, verbose=0)  # BLAS allocates its buffers once
    data = x.nbytes + y.nbytes
    reset_peak()
    before = status("VmRSS")
    model.fit(x, y, 500, verbose=0, **OPTIONS[which])
    added = status("VmHWM") - before
    return {"data": data / MB, "added": added / MB, "share": added / data}


def limited(times):
    """Train from a file `times` larger than the memory limit; None sets no limit."""
    features = 256
    model = model_for(features)
    model.fit(np.ones((9, features)), np.ones(9, int), verbose=0)
    limit = status("VmData") + 16 * MB
    rows = int(times) * limit // (4 * features)
    with tempfile.TemporaryDirectory() as folder:
        x = np.memmap(Path(folder, "x"), np.float32, "w+", shape=(rows, features))
        y = np.memmap(Path(folder, "y"), np.uint8, "w+", shape=rows)
        x[:] = np.random.default_rng(0).random((1, features), np.float32)
        x = np.memmap(Path(folder, "x"), np.float32, "r", shape=(rows, features))
        # RLIMIT_AS would count the mapped file, which takes addresses but no memory.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        began = perf_counter()
        model.fit(x, y, 1024, verbose=0)
        seconds = perf_counter() - began
        fits = True
        try:
            np.array(x)
        except MemoryError:
            fits = False
        return {
            "limit": limit / MB,
            "file": x.nbytes / MB,
            "taken": status("VmData") / MB,
            "copy fits": fits,
            "seconds": seconds,
        }


def repeated(new_models):
    """Train 1 000 times; return the objects and kilobytes added since the first 100."""
    x, y = np.ones((8, 3), np.float32), np.zeros(8, np.int64)
    model = model_for(3)
    figures = []
    for times in (100, 250, 250, 250, 250):
        for _ in range(times):
            trained = model_for(3) if new_models == "yes" else model
            trained.fit(x, y, verbose=0, callbacks=EarlyStopping("loss", restore_best_weights=True))
        gc.collect()
        figures.append((len(gc.get_objects()), status("VmRSS") / 1024))
    return [(objects - figures[0][0], kb - figures[0][1]) for objects, kb in figures[1:]]


def in_a_process(function, argument):
    """Run one of the functions above in a process of its own."""
    program = f"import json, memory; print(json.dumps(memory.{function.__name__}({argument!r})))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main():
    """Measure, print and write all three."""
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    figures = {
        "arrays": {which: in_a_process(arrays, which) for which in OPTIONS},
        "limited": {times: in_a_process(limited, times) for times in (1, 4, 16)},
        "repeated": {new: in_a_process(repeated, new) for new in ("no", "yes")},
    }
    show(
        "peak of fit on arrays, MB (goal: the data and at most 10 % more)",
        ["fit", "data alone", "fit adds", "share"],
        [(which, f["data"], f["added"], f"{f['share']:.1%}") for which, f in figures["arrays"].items()],
    )
    show(
        "training from a memmap under RLIMIT_DATA, MB (goal: a file of 4 x the limit)",
        ["file / limit", "limit", "file", "taken", "a copy fits", "seconds an epoch"],
        [
            (f"{times} x", f["limit"], f["file"], f["taken"], "yes" if f["copy fits"] else "no", f["seconds"])
            for times, f in figures["limited"].items()
        ],
    )
    show(
        "1 000 trainings, more than after the first 100 (goal: none)",
        ["", *(f"{n} objects, kB" for n in (250, 500, 750, 1000))],
        [
            (
                "a new model each" if new == "yes" else "one model",
                *(f"{objects}, {kb:.0f}" for objects, kb in counts),
            )
            for new, counts in figures["repeated"].items()
        ],
    )
    write("memory", figures)


if __name__ == "__main__":
    main()
