"""From a batch's loss to changed weights: everything around ``optimizer.step()``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from onstage.errors import StateError
from onstage.model import State
from onstage_torch import state_encoding
from onstage_torch.distributed import ProcessGroup
from onstage_torch.ema import MovingAverage
from onstage_torch.metrics.kernels import accumulator_dtype
from onstage_torch.pytree import array_view

ScheduleOn: TypeAlias = Literal["epoch", "batch"]


class OptimizerStepper:
    """Backward, clip, step; for each batch, or for several together.

    Parameters
    ----------
    optimizer
        Its groups are read at each step, so that they may grow.
    loss_parameters
        Parameters of the loss, whose gradients no wrapper of the module shares.
    scheduler
        A torch scheduler; stepped only here.
    schedule_on
        ``"batch"``: after each step of the optimizer. ``"epoch"``: before the
        first batch of each epoch but the first, so that on_epoch_end sees the
        rate that the epoch was trained with.
    scaler
        Scales losses of float16; None for other types.
    accumulate
        Batches in one step.
    clip_grad_norm
        Maximum norm of all gradients together; None for no limit.
    clip_grad_value
        Maximum magnitude of each element of the gradients; None for no limit.
    average
        Moving average of the weights; None for none.
    group
        Processes that train together.

    Attributes
    ----------
    accumulates
        Whether a step has more than one batch.
    epoch_is_over
        Whether the next batch begins another epoch: call `begin_epoch` first.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        loss_parameters: Sequence[Tensor],
        *,
        scheduler: Any,
        schedule_on: ScheduleOn,
        scaler: Any,
        accumulate: int,
        clip_grad_norm: float | None,
        clip_grad_value: float | None,
        average: MovingAverage | None,
        group: ProcessGroup,
    ) -> None:
        self._optimizer = optimizer
        self._loss_parameters = loss_parameters if group.world > 1 else ()
        self._scheduler = scheduler
        self._per_batch = schedule_on == "batch"
        self._scaler = scaler
        self._accumulate = accumulate
        self._clip, self._clip_value = clip_grad_norm, clip_grad_value
        self._average = average
        self._group = group
        self._plain = (
            accumulate == 1 and scaler is None and clip_grad_norm is None and clip_grad_value is None
        )
        self._has_after_step = average is not None or (self._per_batch and scheduler is not None)
        self._waiting = 0
        self._first: float = 0.0
        self._seen: float | Tensor = 0.0
        self.accumulates = accumulate > 1
        self.epoch_is_over = False

    def begin_epoch(self) -> None:
        """Step the scheduler for the new epoch."""
        self.epoch_is_over = False
        if self._scheduler is None or self._per_batch:
            return
        with warnings.catch_warnings():
            # torch looks for the optimizer's steps in this process; a resumed one has made none.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            self._scheduler.step()

    @property
    def completes(self) -> bool:
        """Whether the next batch is the last one of a step."""
        return self._waiting + 1 == self._accumulate

    def backward(self, loss: Tensor, divisor: float | Tensor | None, samples: float) -> None:
        """Add one batch's gradients; step if the batch completes a step.

        Parameters
        ----------
        divisor
            Divisor of the loss if it is a mean: its weight in the mean over an
            accumulation. None for a sum.
        samples
            Number of samples in the batch.
        """
        if self._plain:
            self._zero_gradients()
            loss.backward()
            self._share_loss_gradients()
            self._optimizer.step()
            if self._has_after_step:
                self._after_step()
            return
        if not self._waiting:
            self._zero_gradients()
            # As if all batches had as many samples: then nothing has to be rescaled.
            self._first = float(samples * self._accumulate)
            self._seen = self._first if divisor is None else 0.0
        if divisor is not None:
            self._seen = self._seen + divisor
            if self.accumulates:
                loss = loss * (divisor / self._first)
        if self._scaler is not None:
            loss = self._scaler.scale(loss)
        loss.backward()
        self._waiting += 1
        if self._waiting >= self._accumulate:
            self._step()

    def _parameters(self) -> Iterator[Tensor]:
        for group in self._optimizer.param_groups:
            yield from group["params"]

    def _zero_gradients(self) -> None:
        # optimizer.zero_grad() without its entry for the profiler.
        for group in self._optimizer.param_groups:
            for each in group["params"]:
                each.grad = None

    def _share_loss_gradients(self) -> None:
        for each in self._loss_parameters:
            if each.requires_grad:
                each.grad = torch.zeros_like(each) if each.grad is None else each.grad
                self._group.average([each.grad])

    def _step(self) -> None:
        self._share_loss_gradients()
        if self._scaler is not None:
            self._scaler.unscale_(self._optimizer)
        if self.accumulates:
            self._rescale()
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(list(self._parameters()), self._clip)
        if self._clip_value is not None:
            torch.nn.utils.clip_grad_value_(list(self._parameters()), self._clip_value)
        self._waiting = 0
        if self._scaler is None:
            self._optimizer.step()
            self._after_step()
        elif self._scaled_step():
            self._after_step()

    def _rescale(self) -> None:
        """Turn the accumulated sum into the mean over the samples that came."""
        seen = self._seen
        factor: float | Tensor
        if isinstance(seen, Tensor):  # Not read: that would wait for the device.
            exact = seen.to(accumulator_dtype(seen.device))
            # 0 if all targets were ignored: all gradients are 0 then.
            factor = torch.where(exact == 0, 1.0, self._first / exact)
        elif seen in (0.0, self._first):
            return
        else:
            factor = self._first / seen
        gradients = [each.grad for each in self._parameters() if each.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, factor)

    def _scaled_step(self) -> bool:
        """Step unless a gradient overflowed; return whether the weights changed.

        Reading the scale waits for the device, so it is read only if there is
        something to do after the step.
        """
        before = self._scaler.get_scale() if self._has_after_step else 0.0
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._has_after_step and self._scaler.get_scale() >= before

    def _after_step(self) -> None:
        if self._average is not None:
            self._average.update()
        if self._per_batch and self._scheduler is not None:
            self._scheduler.step()

    def end_epoch(self) -> None:
        """Step with the batches of an incomplete accumulation."""
        if self._waiting:
            # Not shared yet: none of these batches was known to be the last of its step.
            self._group.average([each.grad for each in self._parameters() if each.grad is not None])
            self._step()
        self.epoch_is_over = True

    def state_dict(self) -> State:
        """Return scaler, average, pending gradients and epoch position, on their own memory."""
        return {
            "epoch_over": self.epoch_is_over,
            "scaler": None
            if self._scaler is None
            else state_encoding.encode(self._scaler.state_dict(), "scaler"),
            "average": None if self._average is None else self._average.state_dict(),
            "waiting": self._waiting,
            "samples": [self._first, float(self._seen)],
            "gradients": [
                None if each.grad is None else array_view(each.grad)
                for each in (self._parameters() if self._waiting else ())
            ],
        }

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        for name, part in (("scaler", self._scaler), ("average", self._average)):
            if (part is None) != (state[name] is None):
                raise StateError(
                    f"the state was saved {'without' if part else 'with'} {name}; make the model the same"
                )
        if state["waiting"] >= self._accumulate:
            raise StateError(
                f"the state must have fewer than accumulate={self._accumulate} pending batches, "
                f"got {state['waiting']}; make the model the same"
            )
        if state["waiting"] and len(state["gradients"]) != len(list(self._parameters())):
            raise StateError("the state has gradients of another model")
        if self._average is not None:
            self._average.check_state(state["average"])

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`."""
        if self._scaler is not None:
            self._scaler.load_state_dict(state_encoding.decode(state["scaler"]))
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self.epoch_is_over, self._waiting = state["epoch_over"], state["waiting"]
        self._first, self._seen = state["samples"]
        self._zero_gradients()
        for parameter, gradient in zip(self._parameters(), state["gradients"], strict=False):
            if gradient is not None:
                parameter.grad = torch.tensor(gradient).to(parameter.device, parameter.dtype)
