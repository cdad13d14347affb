"""Forward: from a batch to outputs and loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from onstage.model import Batch, State
from onstage_torch.data.device import ToDevice, call_module
from onstage_torch.losses import Loss
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.pytree import array_view, sample_count
from onstage_torch.state import check_weights, copy_weights
from onstage_torch.train_mode import TrainMode

Step: TypeAlias = Callable[[Any, Any, Any], Any]
"""``step(module, x, y)`` returns a loss, or ``(loss, outputs)``."""


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
    step
        Computes loss and outputs in place of the module's call and the loss;
        see `TorchModel`.
    labels
        Key of the targets in inputs that are dicts; None if they are beside.
    channels_last
        Whether images are laid out with the channels last.

    Attributes
    ----------
    network
        Called in place of the module to evaluate and predict.
    mode
        Switches the module between training and evaluation.
    to_device
        Moves batches to the device.
    is_checked
        Whether a batch has passed `Loss.check`; only the first one is checked.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Loss | None,
        device: torch.device,
        amp: torch.dtype | None,
        step: Step | None = None,
        labels: str | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        self._loss = loss
        self._amp = amp
        self._step = step
        self._labels = labels
        if loss is not None:
            loss.to(device)
        self.network: Any = module
        self.mode = TrainMode(module)
        self.to_device = ToDevice(device, module, channels_last=channels_last)
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
        if self._step is not None:
            return *self._call_step(self._step, network, x, y, weights), samples
        if self._amp is None:
            outputs = network(x) if type(x) is Tensor else call_module(network, x)
            return outputs, *self._compute_loss(outputs, y, weights, samples, with_divisor)
        with torch.autocast(self.to_device.device.type, self._amp):
            outputs = call_module(network, x)
            return outputs, *self._compute_loss(outputs, y, weights, samples, with_divisor)

    def _call_step(
        self, step: Step, network: Any, x: Any, y: Any, weights: Tensor | None
    ) -> tuple[Any, Tensor]:
        """Return outputs and loss of the user's own step."""
        if weights is not None:
            raise ValueError("sample_weight must be None with a step, which computes its own loss")
        with torch.autocast(self.to_device.device.type, self._amp, self._amp is not None):
            result = step(network, x, y)
        loss, outputs = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
        if not isinstance(loss, Tensor):
            raise TypeError(
                f"step must return a loss or (loss, outputs), the loss as a tensor, got {type(loss).__name__}"
            )
        return outputs, loss.mean() if loss.dim() else loss

    def unpack(self, batch: Batch) -> tuple[Any, Any, Tensor | None]:
        """Return x, y and sample_weight of a batch, on the device.

        Raises
        ------
        ValueError
            If the inputs lack the key of the targets.
        """
        if self._labels is None:
            return self.to_device(batch)
        x, y, weights = batch
        if not isinstance(x, Mapping) or self._labels not in x:
            got = f"a dict with {list(x)}" if isinstance(x, Mapping) else type(x).__name__
            raise ValueError(f"x must be a dict with the key labels={self._labels!r}, got {got}")
        if y is not None:
            raise ValueError(
                f"y must be None, as labels={self._labels!r} takes it out of x, got a second one"
            )
        return self.to_device((self._without_labels(x), x[self._labels], weights))

    def _without_labels(self, x: Any) -> Any:
        if self._labels is None or not isinstance(x, Mapping):
            return x
        return {key: item for key, item in x.items() if key != self._labels}

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
        x, y, weights = self.unpack(batch)
        with torch.no_grad():
            samples = sample_count(x)
            outputs, loss, _ = self(self.network, x, y, weights, samples, with_divisor=False)
            accumulator.add(loss, samples, outputs, y, weights)

    def predict(self, x: Any) -> Any:
        """Return the outputs of an input, on the device, computed in evaluation mode."""
        self.mode.evaluate()
        x = self.to_device.inputs(self._without_labels(x))
        with torch.no_grad(), torch.autocast(self.to_device.device.type, self._amp, self._amp is not None):
            return call_module(self.network, x)

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
