"""Every installed callback passes the conformance checks."""

import pytest

from onstage.registry import _discovery
from onstage.registry._selection import resolve
from onstage.testing import CHECKS, FakeModel


def schedule(epoch, learning_rate):
    return learning_rate / 2


OPTIONS = {
    "backup_and_restore": lambda folder: {"backup_dir": folder / "backup"},
    "csv_logger": lambda folder: {"filename": folder / "log.csv"},
    "learning_rate_scheduler": lambda folder: {"schedule": schedule},
    "model_checkpoint": lambda folder: {"filepath": folder / "{epoch}.safetensors"},
    "remote_monitor": lambda folder: {"root": "http://127.0.0.1:9"},  # no server listens there
    "tensorboard": lambda folder: {"log_dir": folder / "logs"},
    "time_limit": lambda folder: {"seconds": 3600.0},
}
"""Required options, and paths outside the current folder."""

MODELS = {"swap_ema_weights": lambda: FakeModel(use_ema=True)}

NAMES = [plugin.name for plugin in _discovery.installed()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_every_installed_callback_passes(name, check, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = OPTIONS.get(name, lambda folder: {})(tmp_path)

    check(lambda: resolve([{name: options}])[0], MODELS.get(name, FakeModel))
