"""An error in any stage of a training with all built-in callbacks leaves nothing open."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from onstage import Sequential, layers, optimizers
from onstage.hookspecs import STAGES
from onstage.registry import _discovery
from onstage.registry._selection import resolve

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc"),
    pytest.mark.filterwarnings("ignore::onstage.OnstageWarning"),
]

ERRORS = [ValueError, KeyboardInterrupt, SystemExit, MemoryError]
RAISING_STAGES = [stage for stage in STAGES if stage not in ("on_exception", "on_teardown")]
X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) > 0).astype("float32")

_SERVER = Path(__file__).parent / "live_server.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    # In a process of its own, because this one counts its descriptors.
    command = [sys.executable, _SERVER, str(tmp_path_factory.mktemp("runs"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip()
    process.communicate()


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def schedule(epoch, learning_rate):
    return learning_rate


def every_callback(folder, root):
    options = {
        "backup_and_restore": {"backup_dir": folder / "backup", "save_freq": 2},
        "csv_logger": {"filename": folder / "log.csv"},
        "early_stopping": {"restore_best_weights": True, "patience": 9},
        "lambda_callback": {"on_epoch_end": lambda epoch: None},
        "learning_rate_scheduler": {"schedule": schedule},
        "model_checkpoint": {"filepath": folder / "saved" / "{epoch}", "save_in_background": True},
        "live": {"root": root, "retries": 0, "flush_timeout": 2.0},
        "remote_monitor": {"root": root, "events": "all", "retries": 0, "flush_timeout": 2.0},
        "tensorboard": {
            "log_dir": folder / "board",
            "histogram_freq": 1,
            "update_freq": 1,
            "profile_batch": 2,
        },
        "time_limit": {"seconds": 3600.0},
    }
    names = [plugin.name for plugin in _discovery.installed() if plugin.distribution.startswith("onstage-")]
    assert set(options) < set(names)
    # A range test ends the training and gives the weights back, which the others must not see.
    return resolve([{name: options.get(name, {})} for name in names if name != "lr_finder"])


def new_model():
    model = Sequential(
        [layers.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(1)], seed=0
    )
    model.compile(optimizers.Adam(use_ema=True), "mse", ["mae"])
    return model


def fire_all_stages(model, callbacks):
    options = {"callbacks": callbacks, "batch_size": 4, "verbose": 0}
    model.fit(X, Y, epochs=2, validation_split=0.3, seed=0, **options)
    model.evaluate(X, Y, **options)
    model.predict(X, **options)


class Bomb:
    """Raises once in a stage; the second time, if the stage fires more than once."""

    def __init__(self, stage, error):
        self.calls = 0
        self.error = error
        self.first = 1 if stage in ("on_train_begin", "on_train_end") or "predict" in stage else 2
        setattr(self, stage, self.explode)

    def explode(self):
        self.calls += 1
        if self.calls == self.first:
            raise self.error


def still_open():
    gc.collect()
    descriptors = [
        os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if exists(name)
    ]
    return sorted(descriptors), sorted(thread.name for thread in threading.enumerate())


def exists(name):
    return os.path.islink(f"/proc/self/fd/{name}")


@pytest.fixture(scope="module")
def warm(server, tmp_path_factory):
    """Descriptors and threads that late imports of the first training leave open."""
    fire_all_stages(new_model(), every_callback(tmp_path_factory.mktemp("warm"), server))
    return still_open()


@pytest.mark.parametrize(
    "kind", [ERRORS[0], *(pytest.param(error, marks=pytest.mark.slow) for error in ERRORS[1:])]
)
@pytest.mark.parametrize("stage", RAISING_STAGES)
def test_an_error_leaves_nothing_open_and_the_callbacks_usable(stage, kind, warm, server, tmp_path, capsys):
    model, callbacks, error = new_model(), every_callback(tmp_path, server), kind("by design")
    bomb = Bomb(stage, error)

    with pytest.raises(kind) as caught:
        fire_all_stages(model, [*callbacks[:6], bomb, *callbacks[6:]])

    assert caught.value is error
    assert len(error.__notes__) == 1, error.__notes__
    assert still_open() == warm
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    fire_all_stages(model, callbacks)
    assert model.history.epoch == [0, 1]
    assert still_open() == warm


def test_an_unreachable_server_leaves_nothing_open(warm, tmp_path, capsys):
    error = ValueError("by design")

    with pytest.raises(ValueError, match="by design"):
        fire_all_stages(
            new_model(), [*every_callback(tmp_path, "http://127.0.0.1:9"), Bomb("on_test_end", error)]
        )

    assert still_open() == warm
