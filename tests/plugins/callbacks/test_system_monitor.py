import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from onstage.callbacks import SystemMonitor
from onstage.testing import check_callback, replay


class Works:
    """Occupies memory and one core for a moment."""

    def on_train_batch_end(self, batch):
        held = np.ones(25_000_000)  # 200 MB
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            held[:1000].sum()


def test_logs_what_psutil_reads():
    before = psutil.Process().memory_info().rss / 1e6

    result = replay([SystemMonitor(interval=0.02), Works()], [{"loss": 1.0}] * 2)

    logs = result.history.history
    assert set(logs) >= {"loss", "cpu_percent", "memory_mb", "memory_percent"}
    assert all(value > before + 150 for value in logs["memory_mb"]), "the highest, which is over by now"
    assert all(0.4 <= value < 60 for value in logs["epoch_seconds"])
    assert all(0 < value <= 100 for value in [*logs["cpu_percent"], *logs["memory_percent"]])


def test_the_thread_ends_with_the_training_and_after_an_error():
    class Fails:
        def on_epoch_end(self):
            raise RuntimeError("deliberate")

    replay(SystemMonitor(), [{"loss": 1.0}])
    with pytest.raises(RuntimeError, match="deliberate"):
        replay([SystemMonitor(), Fails()], [{"loss": 1.0}])

    assert not [thread for thread in threading.enumerate() if thread.name == "onstage-system-monitor"]


def test_gpus_are_left_out_where_there_are_none():
    result = replay(SystemMonitor(gpu=False), [{"loss": 1.0}])

    assert "gpu_percent" not in result.history.history


def test_reads_the_gpus_through_nvidias_library(monkeypatch):
    class Library:
        """Stands in for a driver with two devices, which this machine lacks."""

        nvmlInit = staticmethod(lambda: None)
        nvmlDeviceGetCount = staticmethod(lambda: 2)
        nvmlDeviceGetHandleByIndex = staticmethod(lambda n: n)
        nvmlDeviceGetUtilizationRates = staticmethod(lambda device: SimpleNamespace(gpu=40 + 20 * device))
        nvmlDeviceGetMemoryInfo = staticmethod(lambda device: SimpleNamespace(used=2_000_000))

    monkeypatch.setitem(sys.modules, "pynvml", Library)

    logs = replay(SystemMonitor(), [{"loss": 1.0}]).history.history

    assert (logs["gpu_percent"], logs["gpu_memory_mb"]) == ([50.0], [4.0])


@pytest.mark.parametrize("options", [{"interval": 0}, {"interval": "1"}, {"gpu": 1}])
def test_invalid_arguments_are_refused(options):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} must be"):
        SystemMonitor(**options)


def test_behaves_as_every_callback_must():
    check_callback(SystemMonitor)
