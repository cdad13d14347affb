"""Train in two processes; write what each of them saw to ``rank<n>.json``."""

import importlib.util
import json
import warnings
from pathlib import Path

import torch
from onstage_transformers import OnstageCallback

from onstage import Callback
from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ProgbarLogger
from onstage.testing import Recorder

spec = importlib.util.spec_from_file_location("trainings", Path(__file__).parents[1] / "trainings.py")
trainings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainings)


class StopsOnRankOne(Callback):
    def on_train_batch_end(self, batch):
        if (self.run.rank, self.run.epoch, batch) == (1, 1, 0):
            self.stop("enough on rank 1")


class OnZero(Recorder):
    ranks = "zero"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    everywhere, on_zero = Recorder(), OnZero()
    adapter = OnstageCallback(
        [
            StopsOnRankOne(),
            everywhere,
            on_zero,
            EarlyStopping("val_loss", patience=5),
            CSVLogger("log.csv"),
            ModelCheckpoint("model.safetensors"),
            ProgbarLogger(),
        ]
    )
    # 24 samples in batches of 4 for 2 processes: 3 steps an epoch.
    options = {"per_device_train_batch_size": 4, "save_strategy": "epoch", "ddp_backend": "gloo"}
    trainer = trainings.new_trainer([adapter], 4, **options)
    with adapter:
        trainer.train()
    rank = trainer.args.process_index
    begun = [event for event in everywhere.trace if event.stage == "on_train_batch_begin"]
    seen = {
        "batches": len(begun),
        "epochs": adapter.history.epoch,
        "on_zero": len(on_zero.trace),
        "reason": adapter.history.stop_reason,
        "last": everywhere.stages[-1],
        "steps": trainer.state.global_step,
        "loss": adapter.history.history["loss"],
        "own_loss": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
    }
    # Continued in both processes from the callbacks' state, which the first one saved.
    resumed = OnstageCallback([EarlyStopping("val_loss", patience=5)])
    again = trainings.new_trainer([resumed], 3, **options)
    with resumed:
        again.train(resume_from_checkpoint="out/checkpoint-3")
    seen["resumed"] = resumed.history.epoch
    Path(f"rank{rank}.json").write_text(json.dumps(seen))
    torch.distributed.destroy_process_group()
