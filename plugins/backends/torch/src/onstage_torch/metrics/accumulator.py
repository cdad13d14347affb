"""The metrics of one stage, accumulated on the device of the tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from onstage.errors import StateError
from onstage.logs import LazyLogs, Logs
from onstage.model import State
from onstage_torch.metrics.kernels import accumulator_dtype
from onstage_torch.metrics.metric import MetricAdapter, ObjectMetric
from onstage_torch.pytree import detach, to_array

Sum: TypeAlias = tuple[float | Tensor, float | Tensor]
"""A sum and its weight; or a metric's whole state, and 0."""


class TorchMetricAccumulator:
    """Loss and metrics since a stage began; see `onstage.model.MetricAccumulator`.

    On a GPU the sums are tensors, converted to numbers when they are read:
    until then nothing waits for the device. No sum is changed in place, so
    that the result of `logs` keeps its values. On the CPU, where nothing has
    to be waited for, the sums are plain numbers.

    Parameters
    ----------
    metrics
        Metrics besides the loss.
    device
        Device of the tensors.
    when_over
        Function that `finish` calls with this object.
    rank
        Number of this process. Only rank 0's sums are saved and restored:
        after a resume within an epoch, metrics cover rank 0's samples before
        the checkpoint and all ranks' samples after it.

    Attributes
    ----------
    samples, loss
        Number of samples, and the sum of their losses.
    sums
        One for each metric.
    trained
        Whether a training step has added to them.
    """

    def __init__(
        self,
        metrics: Sequence[MetricAdapter],
        device: torch.device,
        when_over: Callable[[TorchMetricAccumulator], None] = lambda accumulator: None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._names = [each.name for each in metrics]
        self._new_objects = {
            each.name: partial(each.new_object, device, world)
            for each in metrics
            if isinstance(each, ObjectMetric)
        }
        metrics = [each for each in metrics if not isinstance(each, ObjectMetric)]
        self._metrics = metrics
        self._detaches = bool(self._new_objects) or any(each.differentiable for each in metrics)
        self._device = device
        self._on_host = device.type == "cpu"
        self._when_over = when_over
        self._rank = rank
        self.trained = False
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        device = self._device
        self.samples: float = 0
        zero = 0.0 if self._on_host else torch.zeros((), dtype=accumulator_dtype(device), device=device)
        self.loss: float | Tensor = zero
        self.sums: list[Sum] = [(zero, 0.0) for _ in self._metrics]
        self.objects = {name: make() for name, make in self._new_objects.items()}
        self._batch: tuple[float | Tensor, list[Sum]] = (zero, [])

    def add(self, loss: Tensor, samples: int, outputs: Any, targets: Any, weights: Tensor | None) -> None:
        """Add a batch: its mean loss, and the contributions of its metrics."""
        self.samples += samples
        if self._on_host:
            mean: float | Tensor = loss.item()
            self.loss += mean * samples
        else:
            mean = loss.detach()
            self.loss = torch.add(self.loss, mean, alpha=samples)
        self._batch = (mean, self._add_metrics(outputs, targets, weights) if self._names else [])

    def _add_metrics(self, outputs: Any, targets: Any, weights: Tensor | None) -> list[Sum]:
        if outputs is None:
            raise ValueError("step must return (loss, outputs) for metrics, got a loss alone")
        if self._detaches:
            outputs = detach(outputs)
        partials: list[Sum] = []
        for number, each in enumerate(self._metrics):
            total: float | Tensor
            total, weight = each.measure(outputs, targets, weights if each.weighted else None)
            if self._on_host and total.ndim == 0:
                total = total.item()
                if isinstance(weight, Tensor):
                    weight = weight.item()
            partials.append((total, weight))
            old, old_weight = self.sums[number]
            self.sums[number] = (old + total, old_weight + weight)
        for each_object in self.objects.values():
            each_object.update(outputs, targets)
        return partials

    def logs(self) -> Logs:
        """Return the means so far; a snapshot, converted when it is first read."""
        if not self.samples:
            return {}
        loss, samples, sums = self.loss, self.samples, list(self.sums)
        values = {name: each.snapshot() for name, each in self.objects.items()}
        return LazyLogs(lambda: self._read(loss, samples, sums, values))

    def batch_logs(self) -> Logs:
        """Return the last batch's own values."""
        mean, partials = self._batch
        values = {name: each.of_last_batch for name, each in self.objects.items()}
        return LazyLogs(lambda: self._read(mean, 1, partials, values))

    def _read(
        self,
        loss: float | Tensor,
        samples: float,
        sums: list[Sum],
        of_objects: Mapping[str, Callable[[], float]],
    ) -> dict[str, float]:
        """Return numbers for sums, waiting for the device once."""
        numbers = iter(_to_host([loss, *(part for pair in sums for part in pair)]))
        values = {"loss": float(next(numbers)) / samples}
        for each, _ in zip(self._metrics, sums, strict=False):
            values[each.name] = each.result(next(numbers), float(next(numbers)))
        values |= {name: compute() for name, compute in of_objects.items()}
        return {name: values[name] for name in ("loss", *self._names)} if of_objects else values

    def finish(self) -> None:
        """End the stage: the sums are final."""
        self._when_over(self)

    def pack(self) -> Tensor:
        """Return all sums as one vector, to be summed over processes."""
        parts = [self.loss, self.samples, *(part for pair in self.sums for part in pair)]
        dtype = accumulator_dtype(self._device)
        return torch.cat([torch.as_tensor(p, dtype=dtype, device=self._device).reshape(-1) for p in parts])

    def unpack(self, packed: Tensor) -> None:
        """Replace the sums by those of a vector that `pack` made."""
        self.loss, self.samples = packed[0], float(packed[1])
        position = 2
        for number, (total, _) in enumerate(self.sums):
            shape = total.shape if isinstance(total, Tensor) else ()
            end = position + int(np.prod(shape))
            self.sums[number] = (packed[position:end].reshape(shape), packed[end])
            position = end + 1

    def state_dict(self) -> State:
        """Return the sums, for a run that is resumed within an epoch."""
        return {
            "trained": self.trained,
            "samples": self.samples,
            "loss": _to_state(self.loss),
            "sums": [[_to_state(total), _to_state(weight)] for total, weight in self.sums],
            "objects": {name: each.state_dict() for name, each in self.objects.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`.

        Raises
        ------
        StateError
            If it was saved with other metrics.
        """
        if len(state["sums"]) != len(self._metrics) or set(state["objects"]) != set(self.objects):
            saved = len(state["sums"]) + len(state["objects"])
            raise StateError(
                f"the saved epoch has {saved} metrics, this model {len(self._names)}; "
                "resume with the same metrics"
            )
        self.trained = state["trained"]
        if self._rank:
            return
        self.samples, self.loss = state["samples"], self._from_state(state["loss"])
        self.sums = [(self._from_state(total), self._from_state(weight)) for total, weight in state["sums"]]
        for name, each in self.objects.items():
            each.load_state_dict(state["objects"][name])

    def _from_state(self, value: Any) -> float | Tensor:
        return torch.tensor(value, device=self._device) if isinstance(value, np.ndarray) else float(value)


def _to_state(value: float | Tensor) -> Any:
    return to_array(value) if isinstance(value, Tensor) else value


def _to_host(values: list[float | Tensor]) -> list[Any]:
    """Return tensors as float64 arrays, copied to the host in one transfer."""
    tensors = [value.detach() for value in values if isinstance(value, Tensor)]
    if not tensors:
        return values
    dtype = accumulator_dtype(tensors[0].device)
    flat = torch.cat([each.reshape(-1).to(dtype) for each in tensors]).cpu().numpy().astype(np.float64)
    parts = iter(np.split(flat, np.cumsum([each.numel() for each in tensors])[:-1]))
    return [next(parts).reshape(value.shape) if isinstance(value, Tensor) else value for value in values]
