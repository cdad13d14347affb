"""TorchModel: any torch.nn.Module, trained under onstage's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from onstage import History, Trainer
from onstage.data.batches import Batches
from onstage.model import Array, Batch, Direction, State
from onstage.state import copy_state
from onstage_torch import validation
from onstage_torch.data import batches
from onstage_torch.data.device import ToDevice
from onstage_torch.data.tensors import Part
from onstage_torch.distributed import ProcessGroup
from onstage_torch.ema import Average
from onstage_torch.losses import Loss
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.metrics.metric import Metrics, measures
from onstage_torch.model_view import TorchView, check_names
from onstage_torch.network import SharedNetwork
from onstage_torch.optimizer_step import OptimizerStepper, ScheduleOn
from onstage_torch.pytree import array_view, concat, map_leaves, sample_count, to_array
from onstage_torch.train_mode import TrainMode

Optimizer: TypeAlias = torch.optim.Optimizer | Callable[..., torch.optim.Optimizer]
"""An optimizer, or what makes one of ``module.parameters()``."""


class TorchModel(TorchView, Trainer):
    """A module with what trains it: ``fit``, ``evaluate``, ``predict``.

    Parameters
    ----------
    module
        Any module; it is moved to the device. An input that is a tuple or a
        dict is passed to it as several arguments.
    optimizer
        A torch optimizer of parameters of the module and the loss, or a
        function that makes one of all of them: ``torch.optim.Adam``,
        ``lambda p: SGD(p, lr=0.1)``. None for a module that is only evaluated.
        Parameters may be frozen, unfrozen, or added with ``add_param_group``
        at any time: each step reads the groups anew.
    loss
        A torch loss, a function of ``(outputs, targets)``, or a name; see
        `losses.Loss`.
    metrics, weighted_metrics
        Names (``"accuracy"``), `onstage.metrics.Metric` instances, functions
        of ``(outputs, targets)``, objects of torchmetrics, or a dict of name to
        one of these. Only the weighted ones heed sample weights. Targets that
        the loss ignores (``ignore_index``) count for no metric of class
        numbers. A function's one number for a batch is averaged by samples;
        make it return one value for each sample, or use an object with
        ``update``, ``compute`` and ``reset``, for what isn't a mean.
    scheduler
        A torch learning-rate scheduler, or what makes one of the optimizer.
        Callbacks can't set the rate beside it.
    schedule_on
        When it is stepped: ``"epoch"``, before the first batch of every epoch
        but the first; ``"batch"``, after each step of the optimizer.
    device
        ``"auto"``: the GPU of this process if there is one, else the CPU.
    amp
        ``"bfloat16"`` or ``"float16"``: mixed precision. float16 has its loss
        scaled, for which torch's scaler waits for the GPU once a step.
    compile
        Run the module through ``torch.compile``.
    accumulate
        Batches to one step of the optimizer, which is that of the joined batch;
        the last step of an epoch takes what is left.
    clip_grad_norm
        The greatest length of all gradients of the optimizer together.
    use_ema, ema_momentum
        Keep a moving average of the weights, which become it when training
        ends, as in Keras's optimizers.
    agree_every
        Where there are several processes: after how many batches they tell
        each other of a wish to stop; None: once an epoch.
    sync_batchnorm
        Normalise over the joined batch of all processes, on GPUs: each batch
        normalization becomes torch's SyncBatchNorm. Without it each process
        normalises its own part, and the weights are not those of one process.
    ddp_options
        Arguments of torch's DistributedDataParallel, such as
        ``{"find_unused_parameters": True}``.

    Attributes
    ----------
    module, optimizer, scheduler
        As given, or as made.
    rank, world
        The number of this process, and how many there are.

    Raises
    ------
    TypeError, ValueError
        An argument isn't what it must be.

    Examples
    --------
    >>> model = TorchModel(nn.Linear(64, 10), torch.optim.Adam, "cross_entropy", ["accuracy"])
    >>> history = model.fit(x, y, epochs=5, callbacks=["early_stopping"])
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer | None = None,
        loss: object = None,
        metrics: Metrics = None,
        *,
        weighted_metrics: Metrics = None,
        scheduler: object = None,
        schedule_on: ScheduleOn = "epoch",
        device: str | torch.device = "auto",
        amp: str | torch.dtype | None = None,
        compile: bool = False,
        accumulate: int = 1,
        clip_grad_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        agree_every: int | None = None,
        sync_batchnorm: bool = False,
        ddp_options: Mapping[str, Any] | None = None,
    ) -> None:
        validation.module(module)
        validation.choice("schedule_on", schedule_on, ("epoch", "batch"))
        momentum = validation.share("ema_momentum", ema_momentum)
        self._amp = validation.amp_type(amp)
        self._agree_every = None if agree_every is None else validation.count("agree_every", agree_every)
        self._loss = None if loss is None else Loss(loss)
        self._measures = measures(metrics, weighted_metrics, self._loss)
        self._group = ProcessGroup.of_process(device)
        self.rank, self.world = self._group.rank, self._group.world
        place = self._group.device
        if sync_batchnorm:
            module = self._group.sync_batchnorm(module)
        module.to(place)
        if self._loss is not None and self._loss.module is not None:
            self._loss.module.to(place)
        optimizer = validation.optimizer(optimizer, module, self._loss_parameters)
        super().__init__(module, optimizer, validation.scheduler(scheduler, optimizer))
        self._modes = TrainMode(module)
        self._placing = ToDevice(place, module)
        self._network = SharedNetwork(module, self._group, compile=compile, options=ddp_options or {})
        self._group.broadcast(self._loss_tensors().values())
        self._average = Average(module, optimizer, momentum) if use_ema else None
        self._updates: OptimizerStepper | None = None
        if optimizer is not None:
            self._updates = OptimizerStepper(
                optimizer,
                self._loss_parameters,
                scheduler=self.scheduler,
                schedule_on=schedule_on,
                scaler=torch.amp.GradScaler(place.type) if self._amp is torch.float16 else None,
                accumulate=validation.count("accumulate", accumulate),
                clip_grad_norm=validation.norm(clip_grad_norm),
                average=self._average,
                group=self._group,
            )
        self._joins = accumulate > 1 or self.world > 1
        self._steps = self._seed = 0
        self._stop_requested = self._agreed = False
        self._unchecked = True

    @staticmethod
    def view(module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> TorchView:
        """Give a module that a loop of one's own trains, as callbacks see a model.

        ``onstage.Run(model=TorchModel.view(module, optimizer), callbacks=[…])``
        """
        return TorchView(module, optimizer)

    # -- the steps

    def train_step(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:  # type: ignore[override]
        """Forward, backward, update; adds the metrics from before the update."""
        updates = self._updates
        if updates is None:
            raise ValueError("optimizer must be given to train, got none")
        if not self.module.training:
            self._modes.train()
        if updates.epoch_is_over:
            updates.begin_epoch()
        accumulator.trained = True
        if self.world > 1:
            self._step_together(updates, batch, accumulator)
            return
        x, y, weights = self._placing(batch)
        samples = x.shape[0] if type(x) is Tensor else sample_count(x)
        outputs, loss, divisor = self._forward(self._network(), x, y, weights, samples, joins=self._joins)
        updates.backward(loss, divisor, samples)
        accumulator.add(loss, samples, outputs, y, weights)

    def _step_together(
        self, updates: OptimizerStepper, batch: Batch, accumulator: TorchMetricAccumulator
    ) -> None:
        """Make a step on this process's part of a batch."""
        # Each step's randomness follows from its number: nothing of the other
        # processes' generators has to be saved for a resumed run to be the same.
        own = np.random.SeedSequence((self._seed, self._steps, self.rank))
        torch.manual_seed(int(own.generate_state(1, np.uint64)[0]))
        x, y, weights = self._placing(batch)
        samples = sample_count(x)
        empty = isinstance(batch, Part) and batch.empty
        network = self._network()
        with self._group.syncing(network, last=updates.completes):
            outputs, loss, divisor = self._forward(network, x, y, weights, samples, joins=True)
            if isinstance(divisor, Tensor):
                own_part = divisor * (not empty)
                divisor = self._group.sum(own_part)
                share: float | Tensor = own_part * self.world / divisor
            elif divisor is not None and isinstance(batch, Part):
                share, divisor = batch.share(self.world), batch.joined
            else:
                share = 0.0 if empty else 1.0 if divisor is not None else float(self.world)
            updates.backward(loss * share, divisor, samples)
        if not empty:
            accumulator.add(loss, samples, outputs, y, weights)
        self._steps += 1
        if self._agree_every is not None and self._steps % self._agree_every == 0:
            self._sync_stop()

    def test_step(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:  # type: ignore[override]
        """Forward without training behaviour; adds the metrics."""
        self._modes.evaluate()
        x, y, weights = self._placing(batch)
        with torch.no_grad():
            samples = sample_count(x)
            outputs, loss, _ = self._forward(self.module, x, y, weights, samples)
            accumulator.add(loss, samples, outputs, y, weights)

    def predict_step(self, batch: Batch) -> Any:
        """Give the outputs of a batch as numpy arrays."""
        self._modes.evaluate()
        x = self._placing.inputs(batch[0])
        with torch.no_grad(), torch.autocast(self._placing.device.type, self._amp, self._amp is not None):
            outputs = _call(self.module, x)
        return map_leaves(lambda leaf: to_array(leaf) if isinstance(leaf, Tensor) else leaf, outputs)

    def _forward(
        self, network: Any, x: Any, y: Any, weights: Tensor | None, samples: int, *, joins: bool = False
    ) -> tuple[Any, Tensor, float | Tensor | None]:
        """Return outputs, loss, and what the loss is divided by: see `Loss.joinable`."""
        if self._amp is None:
            outputs = network(x) if type(x) is Tensor else _call(network, x)
            return outputs, *self._measure(outputs, y, weights, samples, joins)
        with torch.autocast(self._placing.device.type, self._amp):
            outputs = _call(network, x)
            return outputs, *self._measure(outputs, y, weights, samples, joins)

    def _measure(
        self, outputs: Any, y: Any, weights: Tensor | None, samples: int, joins: bool
    ) -> tuple[Tensor, float | Tensor | None]:
        loss = self._loss
        if loss is None:
            raise ValueError("loss must be given to train or evaluate, got none")
        if self._unchecked:
            # The first batch is checked more closely than the others.
            loss.check(outputs, y, weights)
            self._unchecked = False
        return loss.joinable(outputs, y, weights, samples) if joins else (loss(outputs, y, weights), samples)

    @property
    def _loss_parameters(self) -> list[Tensor]:
        return [] if self._loss is None else self._loss.parameters

    def _loss_tensors(self) -> dict[str, Tensor]:
        """Return the loss's own parameters and buffers by name."""
        if self._loss is None or self._loss.module is None:
            return {}
        return dict(self._loss.module.state_dict())

    # -- what the trainer asks

    def fit(self, *args: Any, **kwargs: Any) -> History:
        """Train, and tell the callbacks of every stage; see `onstage.Trainer.fit`."""
        with self._group.barrier_on_exit():
            if self.world > 1 and kwargs.get("seed") is None:
                self._seed = self._draw_seed()
            return super().fit(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs for data; every process computes all of them."""
        try:
            return super().predict(*args, **kwargs)
        finally:
            self._modes.restore()

    def make_batches(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Batches:
        """Turn data into batches; see `batches.make_batches`.

        Only rows that are shuffled here draw an order: a loader draws its own.
        """
        if options.get("shuffle") and options.get("rng") is None and batches.is_rows(x):
            options["rng"] = self.shuffle_rng()
        return batches.make_batches(x, y, sample_weight, **options)

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Check that the model can do what is asked, and divide the data.

        Raises
        ------
        ValueError
            There is no loss, no optimizer, or no y; or data that several
            processes can't share.
        """
        if mode == "train" and self.optimizer is None:
            raise ValueError("optimizer must be given to train, got none; pass optimizer=torch.optim.Adam")
        if mode != "predict":
            if self._loss is None:
                raise ValueError(
                    "loss must be given to train or evaluate, got none; pass loss='cross_entropy'"
                )
            if batches.x_spec is not None and batches.y_spec is None:
                self._loss.check_targets(None)
            if mode == "train" and self.optimizer is not None:
                validation.check_parameters(self.optimizer, self.module, self._loss_parameters)
            self._group.shard(batches, self._seed, training=mode == "train")
        self._unchecked = True

    def reseed(self, seed: int) -> np.random.Generator:
        """Set torch's generators; gives the one that shuffles."""
        torch.manual_seed(seed)
        self._seed = seed
        return np.random.default_rng(seed)

    def shuffle_rng(self) -> np.random.Generator:
        """Return the generator that shuffles, seeded by torch's: all processes get the same."""
        return np.random.default_rng(self._draw_seed())

    def _draw_seed(self) -> int:
        return self._group.broadcast_int(int(torch.randint(2**62, ())))

    def join_outputs(self, outputs: list[Any]) -> Any:
        """Join the outputs of the batches of a prediction."""
        return concat(outputs)

    def new_accumulator(self) -> TorchMetricAccumulator:
        """Make empty totals for one stage."""
        return TorchMetricAccumulator(
            self._measures, self._placing.device, self._stage_over, self.rank, self.world
        )

    def _stage_over(self, accumulator: TorchMetricAccumulator) -> None:
        self._modes.restore()
        if accumulator.trained and self._updates is not None:
            self._updates.end_epoch()
            self._group.broadcast(self.module.buffers())
        self._group.all_reduce(accumulator)

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Name the metrics in log order, and whether down or up is better."""
        return {"loss": "min", **{each.name: each.direction for each in self._measures}}

    @property
    def metrics_names(self) -> list[str]:
        """The names in the logs, loss first."""
        return list(self.metric_directions())

    # -- stopping, alone or together

    @property
    def stop_training(self) -> bool:
        """Whether to stop; with several processes, whether they have agreed to."""
        return self._agreed

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._stop_requested = stop
        if self.world == 1 or not stop:
            self._agreed = stop

    def agree_on_stop(self) -> str | None:
        """Let the processes agree on a wish to stop; gives who had it, for people."""
        asked = self._sync_stop()
        return None if asked is None else f"process {asked} asked to stop"

    def _sync_stop(self) -> int | None:
        if self.world == 1:
            return None
        asked = self._group.first_rank_stopping(self._stop_requested)
        self._agreed = asked is not None
        return asked

    # -- averaged weights

    @property
    def use_ema(self) -> bool:
        """Whether an average of the weights is kept."""
        return self._average is not None

    @property
    def ema_average(self) -> list[Array] | None:
        """Copies of the averaged parameters, in the module's order; None without."""
        return None if self._average is None else list(copy_state(self._average.state_dict()).values())

    def swap_ema_average(self) -> None:
        """Exchange the weights with their average, in place.

        Before the first step there is no average, and nothing happens.

        Raises
        ------
        ValueError
            The model keeps no average.
        """
        if self._average is None:
            raise ValueError("use_ema must be True for an average of the weights, got a model without")
        self._average.swap()

    def finalize_weights(self) -> None:
        """End a training: replace the weights by their average, if there is one."""
        if self._average is not None:
            self._average.finalize()

    # -- state

    def _state_view(self) -> State:
        updates = None if self._updates is None else self._updates.state_dict()
        loss = {name: array_view(each) for name, each in self._loss_tensors().items()}
        own = {"updates": updates, "loss": loss, "steps": self._steps, "seed": self._seed}
        return super()._state_view() | own

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            It is the state of another module, optimizer or setting.
        """
        super().load_state_dict(state)
        self._steps, self._seed = state["steps"], state["seed"]
        self._fill(self._loss_tensors(), state["loss"])
        if self._updates is not None:
            self._updates.load_state_dict(state["updates"])

    def _check_state(self, state: State) -> None:
        super()._check_state(state)
        check_names(self._loss_tensors(), state["loss"], "the loss's")
        if self._updates is not None:
            self._updates.check_state(state["updates"])


# Help and signature are those of the methods that these two wrap.
update_wrapper(TorchModel.fit, Trainer.fit, assigned=["__doc__"])
update_wrapper(TorchModel.predict, Trainer.predict, assigned=["__doc__"])


def _call(network: Any, x: Any) -> Any:
    if isinstance(x, Tensor):
        return network(x)
    if isinstance(x, Mapping):
        return network(**x)
    return network(*x)
