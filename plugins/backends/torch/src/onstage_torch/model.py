"""TorchModel: any torch.nn.Module, trained with onstage's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from onstage import History, Trainer
from onstage.data.batches import Batches
from onstage.model import Batch
from onstage.validation import validate_bool
from onstage_torch import describe, validation
from onstage_torch.averaged_model import AveragedModel
from onstage_torch.data import batches
from onstage_torch.distributed import ProcessGroup, Uneven
from onstage_torch.ema import MovingAverage
from onstage_torch.forward import Forward, Step
from onstage_torch.losses import Loss
from onstage_torch.measured_model import MeasuredModel
from onstage_torch.metrics.accumulator import TorchMetricAccumulator
from onstage_torch.metrics.metric import Metrics, make_metrics
from onstage_torch.model_view import TorchView
from onstage_torch.network import Compile, SharedNetwork
from onstage_torch.optimizer_step import OptimizerStepper, ScheduleOn
from onstage_torch.optimizers import Optimizers
from onstage_torch.pending_outputs import OutputQueue
from onstage_torch.predicting_model import PredictingModel
from onstage_torch.rank_zero import check_called_by_all
from onstage_torch.train_mode import deterministic_algorithms
from onstage_torch.train_step import TrainStep

Optimizer: TypeAlias = torch.optim.Optimizer | Callable[..., torch.optim.Optimizer]
"""An optimizer, or a function that makes one of ``module.parameters()``."""


class TorchModel(TorchView, MeasuredModel, AveragedModel, PredictingModel, Trainer):
    """A module with everything to train it: ``fit``, ``evaluate``, ``predict``.

    Parameters
    ----------
    module
        Any module; it is moved to the device. Tuple or dict inputs are unpacked
        into its arguments.
    optimizer
        A torch optimizer of parameters of the module and the loss, or a
        function that makes one of all of them: ``torch.optim.Adam``,
        ``lambda p: SGD(p, lr=0.1)``. None for a module that is only evaluated.
        Parameters may be frozen, unfrozen, or added with ``add_param_group``
        at any time: each step reads the groups again.
    loss
        A torch loss, a function of ``(outputs, targets)``, or a name; see
        `losses.Loss`.
    metrics, weighted_metrics
        Names (``"accuracy"``), `onstage.metrics.Metric` instances, functions
        of ``(outputs, targets)``, objects of torchmetrics, or a dict of name to
        one of these. Sample weights apply to the weighted ones only. Metrics of
        class numbers leave out targets that the loss ignores. A function's one
        number for a batch is averaged by samples; if the metric is not a mean,
        pass an object with ``update``, ``compute`` and ``reset``.
    step
        A function ``step(module, x, y)`` that returns a loss, or ``(loss,
        outputs)`` for the metrics, in place of the module's call and `loss`:
        for a loss in the module's output, two views of a sample, a teacher.
        Call `module`, which may be a wrapper, not the module itself. Backward,
        clipping, accumulation, mixed precision and the average are done around it.
    labels
        Key of y in batches that are dicts; it is taken out of x.
    scheduler
        A torch learning-rate scheduler, or a function that makes one of the
        optimizer. Callbacks can't set the rate then.
    schedule_on
        When to step it: ``"epoch"``, before the first batch of every epoch but
        the first; ``"batch"``, after each step of the optimizer.
    device
        ``"auto"``: the GPU of this process if there is one, else the CPU.
    amp
        ``"bfloat16"`` or ``"float16"``: mixed precision. With float16 the loss
        is scaled, for which torch's scaler waits for the GPU once a step.
    compile
        Whether to run the module through ``torch.compile``; or its mode, or a
        dict of its arguments.
    channels_last
        Whether weights and inputs of four axes have the channels last in memory.
    deterministic
        Whether ``fit`` uses only torch's deterministic algorithms.
    accumulate
        Batches in one step of the optimizer, which is the step of the joined
        batch; the last step of an epoch may have fewer.
    clip_grad_norm, clip_grad_value
        Maximum norm of all gradients of the optimizer together, or maximum
        magnitude of each of their elements.
    use_ema, ema_momentum
        Keep a moving average of the weights, which replaces them at the end.
    agree_every
        With several processes: number of batches after which they share
        requests to stop; None: once an epoch.
    uneven
        If an iterable yields fewer batches in one process than in another:
        ``"error"``, or ``"shortest"`` to end the epoch in all with the first.
    sync_batchnorm
        On GPUs, normalize over the joined batch of all processes, not over the
        part of each, with torch's SyncBatchNorm.
    ddp_options
        Arguments of torch's DistributedDataParallel, such as
        ``{"find_unused_parameters": True}``.

    Attributes
    ----------
    rank, world
        Number of this process, and of all processes.

    Examples
    --------
    >>> model = TorchModel(nn.Linear(4, 2), torch.optim.Adam, "cross_entropy", ["accuracy"])
    >>> x, y = torch.randn(32, 4), torch.arange(32) % 2
    >>> history = model.fit(x, y, epochs=2, verbose=0)
    >>> list(history.history)
    ['loss', 'accuracy']
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer | None = None,
        loss: object = None,
        metrics: Metrics = None,
        *,
        step: Step | None = None,
        labels: str | None = None,
        weighted_metrics: Metrics = None,
        scheduler: object = None,
        schedule_on: ScheduleOn = "epoch",
        device: str | torch.device = "auto",
        amp: str | torch.dtype | None = None,
        compile: Compile = False,
        channels_last: bool = False,
        deterministic: bool = False,
        accumulate: int = 1,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        agree_every: int | None = None,
        uneven: Uneven = "error",
        sync_batchnorm: bool = False,
        ddp_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = describe.format_settings(TorchModel.__init__, locals())
        module = validation.validate_module(module)
        validation.check_options(
            schedule_on, accumulate, clip_grad_norm, clip_grad_value, ema_momentum, uneven
        )
        validation.check_step(step, labels, loss)
        precision = validation.amp_dtype(amp)
        self._step, self._labels, self._uneven = step, labels, uneven
        self._loss = None if loss is None else Loss(loss)
        self._metrics = make_metrics(metrics, weighted_metrics, self._loss)
        group = ProcessGroup.of_process(device)
        if sync_batchnorm:
            module = group.sync_batchnorm(module)
        module.to(group.device)
        if validate_bool("channels_last", channels_last):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # only for keywords
        self._deterministic = validate_bool("deterministic", deterministic)
        self._forward = Forward(
            module, self._loss, group.device, precision, step, labels, channels_last=channels_last
        )
        loss_parameters = [] if self._loss is None else self._loss.parameters
        made = validation.make_optimizer(optimizer, module, loss_parameters)
        super().__init__(
            module, made, validation.make_scheduler(scheduler, made), agree_every=agree_every, group=group
        )
        network = SharedNetwork(module, group, compile=compile, options=ddp_options or {})
        self._forward.network = network.unshared
        group.broadcast(self._forward.loss_tensors().values())
        self._average = MovingAverage(module, made, ema_momentum) if use_ema else None
        stepper = None
        if made is not None:
            stepper = OptimizerStepper(
                made,
                loss_parameters,
                scheduler=self.scheduler,
                schedule_on=schedule_on,
                scaler=torch.amp.GradScaler(group.device.type) if precision is torch.float16 else None,
                accumulate=accumulate,
                clip_grad_norm=clip_grad_norm,
                clip_grad_value=clip_grad_value,
                average=self._average,
                group=group,
            )
        self._train = TrainStep(module, network, self._forward, stepper, group, self._stopping.after_step)
        self._parts = [self._forward, self._train]
        self._pending = OutputQueue(group.device)

    @staticmethod
    def view(
        module: nn.Module,
        optimizer: Optimizers | None = None,
        scheduler: Any = None,
        *,
        agree_every: int | None = None,
    ) -> TorchView:
        """Return a module as callbacks see a model, for `onstage.Run` and a loop of your own.

        The arguments are those of `TorchView`. In several processes, call it
        after ``torch.distributed.init_process_group``.
        """
        return TorchView(module, optimizer, scheduler, agree_every=agree_every)

    # -- the steps

    def train_step(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:  # type: ignore[override]
        """Forward, backward, update; add the metrics from before the update."""
        self._train(batch, accumulator)

    def test_step(self, batch: Batch, accumulator: TorchMetricAccumulator) -> None:  # type: ignore[override]
        """Forward in evaluation mode; add the metrics."""
        self._forward.test(batch, accumulator)

    # -- for the trainer

    def fit(self, *args: Any, **kwargs: Any) -> History:
        """Train, and notify the callbacks of every stage; see `onstage.Trainer.fit`."""
        with self._group.barrier_on_exit(), deterministic_algorithms(self._deterministic):
            if self.world > 1 and kwargs.get("seed") is None:
                self._train.seed = self._group.draw_seed()
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Compute loss and metrics on data; all processes must call it."""
        if self.world > 1:
            check_called_by_all("evaluate")
        return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for data; every process computes all of them."""
        try:
            return super().predict(*args, **kwargs)
        finally:
            self._forward.mode.restore()
            self._pending.clear()

    def make_batches(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Batches:
        """Return batches of data; see `batches.make_batches`.

        Only rows that are shuffled here draw an order: a loader draws its own.
        """
        if options.get("shuffle") and options.get("rng") is None and batches.is_rows(x):
            options["rng"] = self.shuffle_rng()
        options.setdefault("pinned", self._group.device.type == "cuda")
        return batches.make_batches(x, y, sample_weight, **options)

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Check that the model can run on the data, and shard the data.

        Raises
        ------
        ValueError
            If a loss, an optimizer or y is missing, or several processes can't
            share the data.
        """
        if mode != "predict":
            training = mode == "train"
            validation.check_ready(
                self.module,
                self.optimizer,
                self._loss,
                batches,
                training=training,
                has_step=self._step is not None,
                labels=self._labels,
            )
            self._group.shard(batches, self._train.seed, training=training, uneven=self._uneven)
        self._forward.is_checked = False

    def reseed(self, seed: int) -> np.random.Generator:
        """Set torch's generators; return the one that shuffles."""
        torch.manual_seed(seed)
        self._train.seed = seed
        return np.random.default_rng(seed)

    def shuffle_rng(self) -> np.random.Generator:
        """Return the generator that shuffles, seeded by torch's; equal in all processes."""
        return np.random.default_rng(self._group.draw_seed())


# Help and signature are those of the wrapped methods.
update_wrapper(TorchModel.fit, Trainer.fit, assigned=["__doc__"])
update_wrapper(TorchModel.evaluate, Trainer.evaluate, assigned=["__doc__"])
update_wrapper(TorchModel.predict, Trainer.predict, assigned=["__doc__"])
