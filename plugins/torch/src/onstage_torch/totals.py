"""The metrics of one stage, added up on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onstage.errors import StateError
from onstage.logs import Logs, PendingLogs
from onstage.model import State
from onstage_torch.metrics import Measure
from onstage_torch.rules import Addend, wide
from onstage_torch.trees import to_array


class TorchTotals:
    """Loss and metrics since a stage began; see `onstage.model.Totals`.

    No sum is changed in place: what `logs` hands out keeps the sums of its
    moment, and becomes numbers when somebody looks. Until then nothing waits
    for the device.

    Parameters
    ----------
    measures
        The metrics besides the loss.
    device
        Where the sums lie.
    when_over
        Called with these totals by `finish`.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        device: torch.device,
        when_over: Callable[[TorchTotals], None] = lambda totals: None,
    ) -> None:
        self._measures = measures
        self._device = device
        self._when_over = when_over
        self._zero = torch.zeros((), dtype=wide(device), device=device)
        self.samples: float = 0
        self.loss: Tensor = self._zero
        self.sums: list[Addend] = [(self._zero, 0.0) for _ in measures]
        self._batch: tuple[Tensor, list[Addend]] = (self._zero, [])
        self.trained = False

    def add(self, loss: Tensor, samples: int, outputs: Any, targets: Any, weights: Tensor | None) -> None:
        """Count a batch; nothing of it may belong to a graph."""
        self.samples += samples
        self.loss = torch.add(self.loss, loss, alpha=samples)
        addends = [each.measure(outputs, targets, weights) for each in self._measures]
        for number, (total, weight) in enumerate(addends):
            old, old_weight = self.sums[number]
            self.sums[number] = (old + total, old_weight + weight)
        self._batch = (loss, addends)

    def logs(self) -> Logs:
        """Give the means so far; a snapshot, read when it is first looked at."""
        if not self.samples:
            return {}
        loss, samples, sums = self.loss, self.samples, list(self.sums)
        return PendingLogs(lambda: self._read(loss, samples, sums))

    def batch_logs(self) -> Logs:
        """Give the last batch's own values."""
        loss, addends = self._batch
        return PendingLogs(lambda: self._read(loss, 1, addends))

    def _read(self, loss: Tensor, samples: float, sums: list[Addend]) -> dict[str, float]:
        """Turn sums into numbers, waiting for the device once."""
        flat = [loss, *(part for addend in sums for part in addend if isinstance(part, Tensor))]
        numbers = iter(_fetch(flat))
        values = {"loss": float(next(numbers)) / samples}
        for each, (_, weight) in zip(self._measures, sums, strict=False):
            total = next(numbers)
            values[each.name] = each.result(
                total, float(next(numbers)) if isinstance(weight, Tensor) else weight
            )
        return values

    def finish(self) -> None:
        """End the stage: what was counted is now final."""
        self._when_over(self)

    def pack(self) -> Tensor:
        """Give all sums as one vector, for adding up over processes."""
        parts = [self.loss.reshape(1), torch.full_like(self.loss.reshape(1), self.samples)]
        for total, weight in self.sums:
            parts.append(total.reshape(-1).to(self.loss.dtype))
            parts.append(torch.as_tensor(weight, dtype=self.loss.dtype, device=self._device).reshape(1))
        return torch.cat(parts)

    def unpack(self, packed: Tensor) -> None:
        """Take over the sums of `pack`, or their sum over processes."""
        self.loss, self.samples = packed[0], float(packed[1])
        position = 2
        for number, (total, _) in enumerate(self.sums):
            end = position + total.numel()
            self.sums[number] = (packed[position:end].reshape(total.shape), packed[end])
            position = end + 1

    def state_dict(self) -> State:
        """Give the sums, for a run that is resumed in mid-epoch."""
        return {
            "samples": self.samples,
            "loss": to_array(self.loss),
            "sums": [
                [to_array(total), to_array(weight) if isinstance(weight, Tensor) else weight]
                for total, weight in self.sums
            ],
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave."""
        if len(state["sums"]) != len(self._measures):
            raise StateError(
                f"the saved epoch has {len(state['sums'])} metrics, this model {len(self._measures)}; "
                "resume with the same metrics"
            )
        self.samples, self.loss = state["samples"], self._tensor(state["loss"])
        self.sums = [
            (self._tensor(total), self._tensor(weight) if isinstance(weight, np.ndarray) else weight)
            for total, weight in state["sums"]
        ]

    def _tensor(self, array: Any) -> Tensor:
        return torch.tensor(array, device=self._device)


def _fetch(tensors: list[Tensor]) -> list[Any]:
    """Bring tensors to the host as float64 arrays, in one go."""
    dtype = wide(tensors[0].device)
    flat = torch.cat([tensor.detach().reshape(-1).to(dtype) for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])[:-1]
    return [
        part.reshape(tensor.shape).astype(np.float64)
        for part, tensor in zip(np.split(flat, ends), tensors, strict=True)
    ]
