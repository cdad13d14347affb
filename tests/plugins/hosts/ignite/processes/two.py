"""Train in two processes; write what each of them saw to ``rank<n>.json``."""

import importlib.util
import json
import warnings
from pathlib import Path

import ignite.distributed as idist
import torch
from ignite.engine import Events
from torch.utils.data import DataLoader, DistributedSampler

from onstage import Callback
from onstage.callbacks import CSVLogger, ModelCheckpoint, ProgbarLogger
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


def train(rank):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    everywhere, on_zero = Recorder(), OnZero()
    callbacks = [
        StopsOnRankOne(),
        everywhere,
        on_zero,
        CSVLogger("log.csv"),
        ProgbarLogger(),
        ModelCheckpoint("{epoch}.pt"),
    ]
    training = trainings.Training(wrap=idist.auto_model)
    training.train_data = DataLoader(
        training.train_data.dataset,
        batch_size=4,
        sampler=DistributedSampler(training.train_data.dataset),
    )
    reached = []
    training.trainer.add_event_handler(
        Events.COMPLETED, lambda engine: reached.append(engine.state.iteration)
    )
    handler = training.attach(callbacks)
    training.run(epochs=4)
    begun = [event for event in everywhere.trace if event.stage == "on_train_batch_begin"]
    seen = {
        "batches": len(begun),
        "iterations": reached,
        "epochs": handler.history.epoch,
        "on_zero": len(on_zero.trace),
        "reason": handler.history.stop_reason,
        "last": everywhere.stages[-1],
    }
    Path(f"rank{rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    idist.initialize("gloo")
    train(idist.get_rank())
    idist.finalize()
