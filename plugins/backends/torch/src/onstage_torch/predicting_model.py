"""PredictingModel: the outputs of a model, batch by batch."""

from __future__ import annotations

from typing import Any

from onstage.model import Batch
from onstage_torch.distributed import ProcessGroup
from onstage_torch.forward import Forward
from onstage_torch.pending_outputs import OutputQueue, PendingOutputs
from onstage_torch.pytree import concat, to_arrays


class PredictingModel:
    """The part of `TorchModel` that predicts."""

    _group: ProcessGroup
    _forward: Forward
    _pending: OutputQueue

    def predict_step(self, batch: Batch) -> Any:
        """Return the outputs of a batch as numpy arrays."""
        return to_arrays(self._forward.predict(batch[0]))

    def predict_step_async(self, batch: Batch) -> Any:
        """Return the outputs of a batch; those of a GPU are on their way until they are joined."""
        if self._group.device.type != "cuda":
            return self.predict_step(batch)
        return self._pending.add(self._forward.predict(batch[0]))

    def join_outputs(self, outputs: list[Any]) -> Any:
        """Return the joined outputs of the batches of a prediction."""
        return concat([each.read() if isinstance(each, PendingOutputs) else each for each in outputs])
