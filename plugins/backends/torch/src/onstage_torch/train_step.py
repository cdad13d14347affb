"""One training step, alone or together with other processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from onstage.model import Batch, State
from onstage_torch.data.tensors import BatchShard
from onstage_torch.distributed import ProcessGroup
from onstage_torch.forward import Forward
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.network import SharedNetwork
from onstage_torch.optimizer_step import OptimizerStepper
from onstage_torch.pytree import sample_count
from onstage_torch.state_encoding import seed_generators


class TrainStep:
    """Forward, backward, update of a module.

    Parameters
    ----------
    module
        The module that is trained.
    network
        Called in place of the module.
    forward
        Computes outputs and loss.
    stepper
        Computes gradients and changes the weights; None for a model that can't
        be trained.
    group
        Processes that make each step together.
    after_step
        Called with the number of steps after each step, if there are several
        processes.

    Attributes
    ----------
    count
        Steps so far, if there are several processes; saved with the model.
    seed
        Seed of the steps' randomness, equal in all processes; saved too.
    """

    def __init__(
        self,
        module: nn.Module,
        network: SharedNetwork,
        forward: Forward,
        stepper: OptimizerStepper | None,
        group: ProcessGroup,
        after_step: Callable[[int], None],
    ) -> None:
        self._module = module
        self._network = network
        self._forward = forward
        self._stepper = stepper
        self._group = group
        self._after_step = after_step
        self.count = self.seed = 0

    def __call__(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:
        """Train on a batch; add the metrics from before the update."""
        stepper, forward = self._stepper, self._forward
        if stepper is None:
            raise ValueError("optimizer must be given to train, got none")
        if not self._module.training:
            forward.mode.train()
        if stepper.epoch_is_over:
            stepper.begin_epoch()
        accumulator.trained = True
        if self._group.world > 1:
            self._train_together(stepper, batch, accumulator)
            return
        x, y, weights = forward.unpack(batch)
        samples = x.shape[0] if type(x) is Tensor else sample_count(x)
        outputs, loss, divisor = forward(
            self._network(), x, y, weights, samples, with_divisor=stepper.accumulates
        )
        stepper.backward(loss, divisor, samples)
        accumulator.add(loss, samples, outputs, y, weights)

    def _train_together(
        self, stepper: OptimizerStepper, batch: Batch, accumulator: TorchMetricAccumulator
    ) -> None:
        """Train on this process's part of a batch."""
        # Each step's randomness follows from its number, so that resuming needs
        # no state of the other processes' generators.
        own = np.random.SeedSequence((self.seed, self.count, self._group.rank))
        seed_generators(int(own.generate_state(1, np.uint64)[0]), self._group.device)
        x, y, weights = self._forward.unpack(batch)
        samples = sample_count(x)
        empty = isinstance(batch, BatchShard) and batch.empty
        network = self._network()
        with self._group.syncing(network, last=stepper.completes):
            outputs, loss, divisor = self._forward(network, x, y, weights, samples, with_divisor=True)
            factor, divisor = self._joined(batch, divisor, empty)
            stepper.backward(loss * factor, divisor, samples)
        if not empty:
            accumulator.add(loss, samples, outputs, y, weights)
        self.count += 1
        self._after_step(self.count)

    def _joined(
        self, batch: Batch, divisor: float | Tensor | None, empty: bool
    ) -> tuple[float | Tensor, float | Tensor | None]:
        """Return the factor of this part's loss, and the divisor of the joined batch.

        The processes average the gradients of ``factor * loss``; the result is
        the gradient of the joined batch.
        """
        world = self._group.world
        if isinstance(divisor, Tensor):
            own = divisor * (not empty)
            joined = self._group.sum(own)
            return own * world / joined, joined
        if divisor is not None and isinstance(batch, BatchShard):
            return batch.loss_factor(world), batch.joined
        return 0.0 if empty else 1.0 if divisor is not None else float(world), divisor

    def finish_stage(self, accumulator: TorchMetricAccumulator) -> None:
        """End a stage: make the last step, and share buffers and metrics."""
        self._forward.mode.restore()
        if accumulator.trained and self._stepper is not None:
            self._stepper.end_epoch()
            self._group.broadcast(self._module.buffers())
        self._group.all_reduce(accumulator)

    def state_dict(self) -> State:
        """Return the state of the steps; arrays are on the tensors' own memory."""
        updates = None if self._stepper is None else self._stepper.state_dict()
        return {"updates": updates, "steps": self.count, "seed": self.seed}

    def check_state(self, state: State) -> None:
        """Raise StateError if `load_state_dict` would fail."""
        if self._stepper is not None:
            self._stepper.check_state(state["updates"])

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`."""
        self.count, self.seed = state["steps"], state["seed"]
        if self._stepper is not None:
            self._stepper.load_state_dict(state["updates"])
