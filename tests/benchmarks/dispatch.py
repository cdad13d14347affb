"""Cost of a pair of batch events: compiled, a plain loop of bound methods, pluggy.

``uv run --group bench python tests/benchmarks/dispatch.py [FOLDER]``
"""

from __future__ import annotations

import pluggy
from harness import interleaved, machine, show, write

from onstage import Callback, Run
from onstage.hookspecs import PROJECT, Stages, hookimpl

PAIRS = 1_000
REPEATS = 201


class Active(Callback):
    """Acts in both batch stages."""

    @hookimpl
    def on_train_batch_begin(self, batch, logs=None):
        pass

    @hookimpl
    def on_train_batch_end(self, batch, logs=None):
        pass


class Idle(Callback):
    """Acts in no batch stage."""

    def on_epoch_end(self, epoch, logs=None):
        pass


def compiled(run, logs):
    stages = run.bus.stages

    def work():
        for batch in range(PAIRS):
            emit = stages.on_train_batch_begin
            if emit is not None:
                emit(batch, logs, run)
            emit = stages.on_train_batch_end
            if emit is not None:
                emit(batch, logs, run)

    return work


def plain(callbacks, logs):
    begins = [callback.on_train_batch_begin for callback in callbacks]
    ends = [callback.on_train_batch_end for callback in callbacks]

    def work():
        for batch in range(PAIRS):
            for method in begins:
                method(batch, logs)
            for method in ends:
                method(batch, logs)

    return work


def through_pluggy(callbacks, logs):
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Stages)
    for callback in callbacks:
        manager.register(callback)
    hook = manager.hook

    def work():
        for batch in range(PAIRS):
            hook.on_train_batch_begin(batch=batch, logs=logs, run=None)
            hook.on_batch_begin(batch=batch, logs=logs, run=None)
            hook.on_train_batch_end(batch=batch, logs=logs, run=None)
            hook.on_batch_end(batch=batch, logs=logs, run=None)

    return work


def empty_loop():
    for _ in range(PAIRS):
        pass


def main():
    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    rows, figures = [], []
    for active, idle in [(0, 0), (0, 10), (1, 0), (10, 0), (10, 10), (30, 0)]:
        callbacks = [Active() for _ in range(active)]
        run = Run(callbacks=[*callbacks, *(Idle() for _ in range(idle))])
        logs = {"loss": 0.5}
        seconds = interleaved(
            {
                "empty": empty_loop,
                "compiled": compiled(run, logs),
                "plain": plain(callbacks, logs),
                "pluggy": through_pluggy(callbacks, logs),
            },
            repeats=REPEATS,
        )
        ns = {name: (taken - seconds["empty"]) / PAIRS * 1e9 for name, taken in seconds.items()}
        ratio = ns["compiled"] / ns["plain"] if active else float("nan")
        rows.append((f"{active} active, {idle} idle", ns["plain"], ns["compiled"], ratio, ns["pluggy"]))
        figures.append({"active": active, "idle": idle, "ns": ns, "ratio": ratio})
    show(
        "a pair of batch events, nanoseconds (goals: 10 active at most 1.15 x plain; none at most 60 ns)",
        ["callbacks", "plain loop", "compiled", "ratio", "pluggy"],
        rows,
    )
    write("dispatch", figures)


if __name__ == "__main__":
    main()
