"""Train in two processes; write what each of them saw to ``rank<n>.json``."""

import importlib.util
import json
import os
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from onstage_lightning import OnstageCallback

from onstage import Callback
from onstage.callbacks import CSVLogger, ProgbarLogger
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
    adapter = OnstageCallback([StopsOnRankOne(), everywhere, on_zero, CSVLogger("log.csv"), ProgbarLogger()])
    trainer = trainings.new_trainer(pl, [adapter], 4, devices=2, strategy="ddp", num_sanity_val_steps=0)
    trainer.fit(trainings.new_module(pl), *trainings.loaders())
    rank = trainer.global_rank
    begun = [event for event in everywhere.trace if event.stage == "on_train_batch_begin"]
    seen = {
        "pid": os.getpid(),
        "batches": len(begun),
        "epochs": adapter.history.epoch,
        "on_zero": len(on_zero.trace),
        "reason": adapter.history.stop_reason,
        "last": everywhere.stages[-1],
    }
    Path(f"rank{rank}.json").write_text(json.dumps(seen))
