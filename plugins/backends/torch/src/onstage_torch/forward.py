"""Forward: from a batch to outputs and loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from onstage.model import Batch, State
from onstage_torch.data.device import ToDevice, call_module
from onstage_torch.losses import Loss
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.pytree import array_view, map_leaves, sample_count, to_array
from onstage_torch.state import check_weights, copy_weights
from onstage_torch.train_mode import TrainMode


class Forward:
    """Outputs and loss of batches, on a device and in mixed precision if asked.

    Parameters
    ----------
    module
        The module; `test` and `predict` call it in evaluation mode.
    loss
        None for a module that only predicts.
    device
        Device of the module.
    amp
        Type of mixed precision; None for none.

    Attributes
    ----------
    mode
        Switches the module between training and evaluation.
    to_device
        Moves batches to the device.
    is_checked
        Whether a batch has passed `Loss.check`; only the first one is checked.
    """

    def __init__(
        self, module: nn.Module, loss: Loss | None, device: torch.device, amp: torch.dtype | None
    ) -> None:
        self._module = module
        self._loss = loss
        self._amp = amp
        if loss is not None:
            loss.to(device)
        self.mode = TrainMode(module)
        self.to_device = ToDevice(device, module)
        self.is_checked = False

    def __call__(
        self, network: Any, x: Any, y: Any, weights: Tensor | None, samples: int, *, with_divisor: bool
    ) -> tuple[Any, Tensor, float | Tensor | None]:
        """Return outputs, loss and its divisor.

        Parameters
        ----------
        network
            The module, or its wrapper.
        samples
            Number of samples in the batch.
        with_divisor
            Whether the divisor is needed, see `Loss.with_divisor`; otherwise it
            is `samples`.
        """
        if self._amp is None:
            outputs = network(x) if type(x) is Tensor else call_module(network, x)
            return outputs, *self._compute_loss(outputs, y, weights, samples, with_divisor)
        with torch.autocast(self.to_device.device.type, self._amp):
            outputs = call_module(network, x)
            return outputs, *self._compute_loss(outputs, y, weights, samples, with_divisor)

    def _compute_loss(
        self, outputs: Any, y: Any, weights: Tensor | None, samples: int, with_divisor: bool
    ) -> tuple[Tensor, float | Tensor | None]:
        loss = self._loss
        if loss is None:
            raise ValueError("loss must be given to train or evaluate, got none")
        if not self.is_checked:
            loss.check(outputs, y, weights)
            self.is_checked = True
        if with_divisor:
            return loss.with_divisor(outputs, y, weights, samples)
        return loss(outputs, y, weights), samples

    def test(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:
        """Add a batch's metrics, computed in evaluation mode."""
        self.mode.evaluate()
        x, y, weights = self.to_device(batch)
        with torch.no_grad():
            samples = sample_count(x)
            outputs, loss, _ = self(self._module, x, y, weights, samples, with_divisor=False)
            accumulator.add(loss, samples, outputs, y, weights)

    def predict(self, x: Any) -> Any:
        """Return the outputs of an input as numpy arrays, computed in evaluation mode."""
        self.mode.evaluate()
        x = self.to_device.inputs(x)
        with torch.no_grad(), torch.autocast(self.to_device.device.type, self._amp, self._amp is not None):
            outputs = call_module(self._module, x)
        return map_leaves(lambda leaf: to_array(leaf) if isinstance(leaf, Tensor) else leaf, outputs)

    def loss_tensors(self) -> dict[str, Tensor]:
        """Return the loss's own parameters and buffers by name."""
        return {} if self._loss is None else self._loss.named_tensors()

    def state_dict(self) -> State:
        """Return the loss's own parameters and buffers, on their own memory."""
        return {"loss": {name: array_view(each) for name, each in self.loss_tensors().items()}}

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        check_weights(state["loss"], self.loss_tensors(), "the loss's")

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`."""
        copy_weights(state["loss"], self.loss_tensors())
