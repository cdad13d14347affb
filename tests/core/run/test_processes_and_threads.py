"""A bus can be sent to a worker process, and concurrent trainings are independent."""

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onstage import Bus, Callback, Run, Sequential, hookspec, layers

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Collects(Callback):
    def __init__(self, name):
        self.name = name
        self.epochs = []

    def on_epoch_end(self, epoch, logs):
        self.epochs.append((self.name, epoch, logs["loss"]))


class OwnStages:
    @hookspec
    def on_sample_drawn(self, sample, run=None):
        """Fire for each sample."""


class Draws(Callback):
    seen = ()

    def on_sample_drawn(self, sample):
        self.seen = (*self.seen, sample)


def use_in_worker(packed):
    bus = pickle.loads(packed)
    bus.hook.on_epoch_end(epoch=4, logs={"loss": 0.5})
    bus.hook.on_sample_drawn(sample=1)
    return [(name, vars(plugin)) for name, plugin in bus.plugins()]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_bus_can_be_sent_to_a_worker_process():
    bus = Bus([Collects("a"), Collects("b")])
    bus.add_hookspecs(OwnStages)
    bus.register(Draws(), "draws")

    # fork: a spawned worker cannot import this file by its name.
    with multiprocessing.get_context("fork").Pool(1) as pool:
        plugins = pool.apply(use_in_worker, (pickle.dumps(bus),))

    assert plugins == [
        ("draws", {"seen": (1,)}),
        ("Collects", {"name": "a", "epochs": [("a", 4, 0.5)]}),
        ("Collects-2", {"name": "b", "epochs": [("b", 4, 0.5)]}),
    ]
    assert [name for name, _ in bus.plugins()] == ["draws", "Collects", "Collects-2"]


def fit(seed, callbacks=()):
    model = Sequential([layers.Dense(4, "tanh"), layers.Dropout(0.3), layers.Dense(1)], seed=seed)
    model.compile("adam", "mse")
    model.fit(X, Y, epochs=15, batch_size=8, verbose=0, seed=seed, callbacks=callbacks)
    return [weight.tobytes() for weight in model.get_weights()]


def test_trainings_in_threads_are_independent_and_repeatable_to_the_bit():
    alone = [fit(seed) for seed in range(4)]
    callbacks = [Collects(seed) for seed in range(4)]
    start = threading.Barrier(4)

    def together(seed):
        start.wait()
        return fit(seed, [callbacks[seed]])

    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(together, range(4)))

    assert at_once == alone
    for seed, callback in enumerate(callbacks):
        assert [(name, epoch) for name, epoch, _ in callback.epochs] == [(seed, n) for n in range(15)]


def test_a_rank_above_zero_keeps_only_callbacks_for_all_ranks():
    class OnAll(Collects):
        ranks = "all"

    class OnZero(Collects):
        ranks = "zero"

    class Model:
        stop_training = False
        rank = 1

    run = Run(Model(), callbacks=[OnAll("a"), OnZero("z")], verbose=1)

    assert [name for name, _ in run.bus.plugins()] == ["OnAll", "History"]
