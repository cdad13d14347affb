"""The metrics of one stage, added up where the tensors are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from onstage.errors import StateError
from onstage.logs import LazyLogs, Logs
from onstage.model import State
from onstage_torch.metrics.kernels import accumulator_dtype
from onstage_torch.metrics.metric import MetricAdapter, ObjectMeasure
from onstage_torch.pytree import detached, to_array

Sum: TypeAlias = tuple[float | Tensor, float | Tensor]
"""A sum and its weight; or a metric's whole state, and 0."""


class TorchMetricAccumulator:
    """Loss and metrics since a stage began; see `onstage.model.Totals`.

    On a GPU the sums are tensors, and become numbers when somebody looks: until
    then nothing waits for the device. No sum is changed in place, so that what
    `logs` hands out keeps those of its moment. On the CPU, where there is
    nothing to wait for, they are plain numbers.

    Parameters
    ----------
    measures
        The metrics besides the loss.
    device
        Where the tensors are.
    when_over
        Called with these totals by `finish`.
    rank
        Of this process. Saved sums are those of process 0, so that it alone
        takes them up: an epoch of several processes that is resumed in its
        middle has the metrics of the samples that process 0 saw until then,
        and of all that came after.

    Attributes
    ----------
    samples, loss
        How many samples came, and the sum of their losses.
    sums
        One for each metric.
    trained
        Whether a training step has added to them.
    """

    def __init__(
        self,
        measures: Sequence[MetricAdapter],
        device: torch.device,
        when_over: Callable[[TorchMetricAccumulator], None] = lambda accumulator: None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._names = [each.name for each in measures]
        self.objects = {
            each.name: each.new_object(device, world) for each in measures if isinstance(each, ObjectMeasure)
        }
        measures = [each for each in measures if not isinstance(each, ObjectMeasure)]
        self._measures = measures
        self._cut = bool(self.objects) or any(each.differentiable for each in measures)
        self._device = device
        self._on_host = device.type == "cpu"
        self._when_over = when_over
        self._rank = rank
        self.samples: float = 0
        zero = 0.0 if self._on_host else torch.zeros((), dtype=accumulator_dtype(device), device=device)
        self.loss: float | Tensor = zero
        self.sums: list[Sum] = [(zero, 0.0) for _ in measures]
        self._batch: tuple[float | Tensor, list[Sum]] = (zero, [])
        self.trained = False

    def add(self, loss: Tensor, samples: int, outputs: Any, targets: Any, weights: Tensor | None) -> None:
        """Count a batch, by its mean loss and what its metrics are made of."""
        self.samples += samples
        if self._on_host:
            mean: float | Tensor = loss.item()
            self.loss += mean * samples
        else:
            mean = loss.detach()
            self.loss = torch.add(self.loss, mean, alpha=samples)
        self._batch = (mean, self._add_metrics(outputs, targets, weights) if self._names else [])

    def _add_metrics(self, outputs: Any, targets: Any, weights: Tensor | None) -> list[Sum]:
        if self._cut:
            outputs = detached(outputs)
        addends: list[Sum] = []
        for number, each in enumerate(self._measures):
            total: float | Tensor
            total, weight = each.measure(outputs, targets, weights if each.weighted else None)
            if self._on_host and total.ndim == 0:
                total = total.item()
                if isinstance(weight, Tensor):
                    weight = weight.item()
            addends.append((total, weight))
            old, old_weight = self.sums[number]
            self.sums[number] = (old + total, old_weight + weight)
        for each_object in self.objects.values():
            each_object.update(outputs, targets)
        return addends

    def logs(self) -> Logs:
        """Give the means so far; a snapshot, read when it is first looked at."""
        if not self.samples:
            return {}
        loss, samples, sums = self.loss, self.samples, list(self.sums)
        values = {name: each.snapshot() for name, each in self.objects.items()}
        return LazyLogs(lambda: self._read(loss, samples, sums, values))

    def batch_logs(self) -> Logs:
        """Give the last batch's own values."""
        mean, addends = self._batch
        values = {name: each.of_last_batch for name, each in self.objects.items()}
        return LazyLogs(lambda: self._read(mean, 1, addends, values))

    def _read(
        self,
        loss: float | Tensor,
        samples: float,
        sums: list[Sum],
        of_objects: Mapping[str, Callable[[], float]],
    ) -> dict[str, float]:
        """Turn sums into numbers, waiting for the device once."""
        numbers = iter(_fetched([loss, *(part for pair in sums for part in pair)]))
        values = {"loss": float(next(numbers)) / samples}
        for each, _ in zip(self._measures, sums, strict=False):
            values[each.name] = each.result(next(numbers), float(next(numbers)))
        values |= {name: compute() for name, compute in of_objects.items()}
        return {name: values[name] for name in ("loss", *self._names)} if of_objects else values

    def finish(self) -> None:
        """End the stage: what was counted is now final."""
        self._when_over(self)

    def pack(self) -> Tensor:
        """Give all sums as one vector, for adding up over processes."""
        parts = [self.loss, self.samples, *(part for pair in self.sums for part in pair)]
        dtype = accumulator_dtype(self._device)
        return torch.cat([torch.as_tensor(p, dtype=dtype, device=self._device).reshape(-1) for p in parts])

    def unpack(self, packed: Tensor) -> None:
        """Take over the sums of `pack`, or their sum over processes."""
        self.loss, self.samples = packed[0], float(packed[1])
        position = 2
        for number, (total, _) in enumerate(self.sums):
            shape = total.shape if isinstance(total, Tensor) else ()
            end = position + int(np.prod(shape))
            self.sums[number] = (packed[position:end].reshape(shape), packed[end])
            position = end + 1

    def state_dict(self) -> State:
        """Give the sums, for a run that is resumed in mid-epoch."""
        return {
            "trained": self.trained,
            "samples": self.samples,
            "loss": _saved(self.loss),
            "sums": [[_saved(total), _saved(weight)] for total, weight in self.sums],
            "objects": {name: each.state_dict() for name, each in self.objects.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave.

        Raises
        ------
        StateError
            It was saved with other metrics.
        """
        if len(state["sums"]) != len(self._measures) or set(state["objects"]) != set(self.objects):
            saved = len(state["sums"]) + len(state["objects"])
            raise StateError(
                f"the saved epoch has {saved} metrics, this model {len(self._names)}; "
                "resume with the same metrics"
            )
        self.trained = state["trained"]
        if self._rank:
            return
        self.samples, self.loss = state["samples"], self._loaded(state["loss"])
        self.sums = [(self._loaded(total), self._loaded(weight)) for total, weight in state["sums"]]
        for name, each in self.objects.items():
            each.load_state_dict(state["objects"][name])

    def _loaded(self, value: Any) -> float | Tensor:
        return torch.tensor(value, device=self._device) if isinstance(value, np.ndarray) else float(value)


def _saved(value: float | Tensor) -> Any:
    return to_array(value) if isinstance(value, Tensor) else value


def _fetched(values: list[float | Tensor]) -> list[Any]:
    """Bring what is a tensor to the host, as float64 and in one go."""
    tensors = [value.detach() for value in values if isinstance(value, Tensor)]
    if not tensors:
        return values
    dtype = accumulator_dtype(tensors[0].device)
    flat = torch.cat([each.reshape(-1).to(dtype) for each in tensors]).cpu().numpy().astype(np.float64)
    parts = iter(np.split(flat, np.cumsum([each.numel() for each in tensors])[:-1]))
    return [next(parts).reshape(value.shape) if isinstance(value, Tensor) else value for value in values]
