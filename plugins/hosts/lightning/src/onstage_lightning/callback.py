"""OnstageCallback: a callback of Lightning that runs those of onstage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from onstage_torch import TorchView

from onstage.hosts import HostCallback, HostView, map_arrays
from onstage.model import State
from onstage_lightning.metrics import LoggedMetrics

if TYPE_CHECKING or "lightning.pytorch" not in sys.modules:
    from pytorch_lightning import Callback, LightningModule, Trainer
else:  # the same library under its other name, which a Trainer of that name expects
    from lightning.pytorch import Callback


class OnstageCallback(HostCallback, Callback):
    """Runs callbacks of onstage in a Trainer.

    Both packages work, ``lightning`` and ``pytorch_lightning``. The metrics in
    the logs are those that the module logs: ``train_acc`` is ``accuracy``,
    ``val_loss`` stays. ``loss`` is the result of ``training_step``, if it is not
    logged. The state of the callbacks is in Lightning's checkpoints.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per epoch.

    Examples
    --------
    >>> from onstage_lightning import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> trainer = Trainer(callbacks=[callback])  # doctest: +SKIP
    """

    host = "Lightning"
    lacks: ClassVar[dict[str, str]] = {
        "state_dict": "Lightning's checkpoints hold the callbacks' state: pass ckpt_path to Trainer.fit",
        "load_state_dict": "Lightning's checkpoints hold the callbacks' state: pass ckpt_path to Trainer.fit",
        "snapshot": "save without save_in_background",
        "finalize_weights": "use lightning.pytorch.callbacks.EMAWeightAveraging",
    }

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0) -> None:
        super().__init__(callbacks, verbose=verbose)
        self._metrics = LoggedMetrics()
        self._saved: State | None = None
        self._emit_gradients: Callable[[list[Any]], None] | None = None

    # -- the training

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the metrics of an earlier training; the sanity check follows."""
        self._metrics = LoggedMetrics()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the run: the optimizers and their schedulers exist from here on."""
        saved, self._saved = self._saved, None
        if saved is not None and saved["epoch"] < trainer.current_epoch:
            # Saved at the last batch of an epoch, which Lightning takes to be complete.
            saved |= {"epoch": trainer.current_epoch, "batch": 0, "accumulator": None}
        unbounded = trainer.max_epochs is None or trainer.max_epochs < 0
        self.start(
            self._view(trainer, pl_module),
            epochs=None if unbounded else trainer.max_epochs,
            initial_epoch=trainer.current_epoch,
            steps=_finite(trainer.num_training_batches),
            batch_size=getattr(trainer.train_dataloader, "batch_size", None),
            state=saved,
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch."""
        self.begin("epoch", trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin the batch."""
        self.begin("train_batch", batch_idx, data=batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the batch, and ask Lightning to stop if a callback does."""
        logs = _loss(outputs) | self._metrics.at("step", trainer.callback_metrics)
        if not self.end("train_batch", logs):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch, and ask Lightning to stop if a callback does."""
        if not self.end("epoch", self._metrics.at("epoch", trainer.callback_metrics)):
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the run."""
        self.finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the run with the error."""
        self.finish(exception)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Pass the gradients on, if a callback acts in on_optimizer_step_begin."""
        if self._emit_gradients is not None:
            self._emit_gradients([each.grad for each in pl_module.parameters() if each.requires_grad])

    # -- the validation

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the validation of an epoch; the sanity check runs before the training."""
        self.begin("test")

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Begin a batch of the validation; several loaders are counted as one."""
        self.begin("test_batch", data=batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End a batch of the validation; Lightning computes its metrics at the end."""
        self.end("test_batch", _loss(outputs))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the validation with the metrics that Lightning computed."""
        logs = self._metrics.at("validation", trainer.callback_metrics)
        self.end("test", logs)

    # -- the state, in Lightning's checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the callbacks, with tensors in place of arrays."""
        # torch.load reads tensors from a checkpoint that is not trusted, but no arrays.
        state: dict[str, Any] = map_arrays(self.save_state() or {}, np.ndarray, torch.from_numpy)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the training begins."""
        self._saved = map_arrays(state_dict, torch.Tensor, lambda tensor: tensor.cpu().numpy())

    # -- the model

    def _view(self, trainer: Trainer, pl_module: LightningModule) -> HostView:
        optimizers, schedulers = trainer.optimizers, trainer.lr_scheduler_configs
        lacks = dict(self.lacks)
        if not optimizers:
            lacks["learning_rate"] = "return an optimizer from configure_optimizers"
        elif schedulers:
            name = type(schedulers[0].scheduler).__name__
            lacks["learning_rate"] = f"{name} sets it: leave {name} out of configure_optimizers"
        if trainer.world_size > 1:
            lacks |= dict.fromkeys(("save",), "use lightning.pytorch.callbacks.ModelCheckpoint")

        def save(filepath: Any, overwrite: bool = True) -> None:
            trainer.save_checkpoint(filepath)

        def set_gradient_callback(function: Callable[[list[Any]], None] | None) -> None:
            self._emit_gradients = function

        def agree(asked: bool) -> bool:
            return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

        return HostView(
            TorchView(
                pl_module,
                optimizers[0] if optimizers else None,
                schedulers[0].scheduler if schedulers else None,
            ),
            self.host,
            lacks,
            rank=trainer.global_rank,
            agree=agree if trainer.world_size > 1 else None,
            save=save,
            set_gradient_callback=set_gradient_callback,
        )


def _loss(outputs: Any) -> dict[str, Any]:
    """Return the loss of a step, which returns a tensor, a dict with one, or neither."""
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
    return {"loss": loss.detach()} if isinstance(loss, torch.Tensor) and loss.numel() == 1 else {}


def _finite(batches: float) -> int | None:
    return None if batches == float("inf") else int(batches)
