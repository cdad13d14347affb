"""ForwardHooks: watches the forward pass of a model in training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from onstage.logs import Logs


class ForwardHooks:
    """Collects the losses of a model, and calls a function before it evaluates.

    The Trainer tells its callbacks neither the loss of a step nor that an
    evaluation begins. The losses stay on their device.

    Parameters
    ----------
    module
        The model that the Trainer calls.
    before_evaluation
        Called before each forward pass in evaluation mode.
    """

    def __init__(self, module: nn.Module, before_evaluation: Callable[[], None]) -> None:
        self._before_evaluation = before_evaluation
        self._losses: list[Tensor] = []
        self._are_parts = False
        self._handles = [
            module.register_forward_pre_hook(self._before),
            module.register_forward_hook(self._after, with_kwargs=True),
        ]

    def take_loss(self) -> Logs:
        """Return the loss since the last call, ``{}`` without one."""
        losses, self._losses = self._losses, []
        if not losses:
            return {}
        total = sum(losses[1:], start=losses[0])
        return {"loss": total if self._are_parts else total / len(losses)}

    def remove(self) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not module.training:
            self._before_evaluation()

    def _after(
        self, module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], outputs: Any
    ) -> None:
        loss = _loss_of(outputs)
        if loss is not None:
            # Over the items of all batches that are accumulated: they add up to the loss of the step.
            self._are_parts = options.get("num_items_in_batch") is not None
            # The same memory: the Trainer scales the loss in place by the number of processes.
            self._losses.append(loss.detach().view(()))


def _loss_of(outputs: Any) -> Tensor | None:
    """Return the loss in the outputs of a model, where the Trainer reads it."""
    if isinstance(outputs, dict):
        loss = outputs.get("loss")
    else:
        loss = outputs[0] if isinstance(outputs, tuple | list) and outputs else None
    return loss if isinstance(loss, Tensor) and loss.numel() == 1 else None
