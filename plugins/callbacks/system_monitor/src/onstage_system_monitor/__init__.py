"""SystemMonitor: log the duration of an epoch and the use of processor, memory and GPU."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import Any, ClassVar

import psutil

from onstage import Callback, Logs
from onstage.validation import validate_bool, validate_float

__all__ = ["SystemMonitor"]


class SystemMonitor(Callback):
    """Log the duration of an epoch and the use of processor, memory and GPU, sampled by a thread.

    Add to the logs of each epoch: ``epoch_seconds`` (validation included),
    ``cpu_percent`` (mean, of all cores together,
    100 for all busy), ``memory_mb`` (highest, of this process, resident, in
    10^6 bytes), ``memory_percent`` (highest, of the machine). With NVIDIA's
    library (``pip install "onstage-system-monitor[gpu]"``) also ``gpu_percent``
    (mean over devices) and ``gpu_memory_mb`` (highest, of all devices together).

    Parameters
    ----------
    interval
        Seconds between samples, >= 0.01.
    gpu
        Whether to look for GPUs.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    """

    adds_logs: ClassVar[tuple[str, ...] | None] = (
        "epoch_seconds",
        "cpu_percent",
        "memory_mb",
        "memory_percent",
        "gpu_percent",
        "gpu_memory_mb",
    )
    ranks = "zero"
    on_error = "disable"

    def __init__(self, interval: float = 1.0, gpu: bool = True) -> None:
        self.interval = validate_float("interval", interval, 0.01)
        self.gpu = validate_bool("gpu", gpu)
        self._sampler: _Sampler | None = None
        self._began = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start the thread."""
        self._sampler = _Sampler(self.interval, self.gpu)
        self._sampler.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin the samples of the epoch."""
        self._began = time.perf_counter()
        if self._sampler is not None:
            self._sampler.take()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the values of the epoch to the logs."""
        if self._sampler is not None and logs is not None:
            logs.update(epoch_seconds=time.perf_counter() - self._began, **_summary(self._sampler.take()))

    def on_teardown(self) -> None:
        """Stop the thread."""
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings, not the thread."""
        return {**super().__getstate__(), "_sampler": None}


class _Sampler(threading.Thread):
    """Takes samples until it is stopped."""

    def __init__(self, interval: float, gpu: bool) -> None:
        super().__init__(name="onstage-system-monitor", daemon=True)
        self._interval, self._done = interval, threading.Event()
        self._process = psutil.Process()
        self._gpus = _Gpus() if gpu else None
        self._lock = threading.Lock()
        self._samples: list[dict[str, float]] = []
        psutil.cpu_percent()  # the first call returns 0: it has nothing to compare with

    def run(self) -> None:
        while not self._done.wait(self._interval):
            self._add()

    def _add(self) -> None:
        sample = self._sample()
        with self._lock:
            self._samples.append(sample)

    def take(self) -> list[dict[str, float]]:
        """Return the samples since the last call, one at least."""
        self._add()
        with self._lock:
            samples, self._samples = self._samples, []
        return samples

    def stop(self) -> None:
        self._done.set()
        self.join()

    def _sample(self) -> dict[str, float]:
        sample = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_mb": self._process.memory_info().rss / 1e6,
            "memory_percent": psutil.virtual_memory().percent,
        }
        if self._gpus is not None and self._gpus.devices:
            sample.update(self._gpus.sample())
        return sample


def _summary(samples: list[dict[str, float]]) -> dict[str, float]:
    """Return means of what is used, and the highest of what is occupied."""
    summary = {}
    for name in samples[-1]:
        values = [sample[name] for sample in samples]
        mean = name in ("cpu_percent", "gpu_percent")
        summary[name] = sum(values) / len(values) if mean else max(values)
    return summary


class _Gpus:
    """The NVIDIA devices; none without the library or a driver."""

    def __init__(self) -> None:
        self.devices: list[Any] = []
        try:
            self._nvml = import_module("pynvml")
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            self.devices = [self._nvml.nvmlDeviceGetHandleByIndex(n) for n in range(count)]
        except Exception:  # ImportError, or the library's own, for example without a driver
            return

    def sample(self) -> dict[str, float]:
        """Return the use of the devices now."""
        used = [
            (self._nvml.nvmlDeviceGetUtilizationRates(device).gpu, self._nvml.nvmlDeviceGetMemoryInfo(device))
            for device in self.devices
        ]
        return {
            "gpu_percent": sum(percent for percent, _ in used) / len(used),
            "gpu_memory_mb": sum(memory.used for _, memory in used) / 1e6,
        }
