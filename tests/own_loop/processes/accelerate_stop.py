"""A loop of Accelerate in which the last process asks to stop.

Usage: accelerate_stop.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from onstage_torch import TorchModel
from torch.utils.data import DataLoader, TensorDataset

from onstage import Callback, Run
from onstage.callbacks import CSVLogger

torch.set_num_threads(1)
folder = Path(sys.argv[1])
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
torch.manual_seed(0)
module = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
data = TensorDataset(torch.randn(96, 4))
model, optimizer, scheduler, loader = accelerator.prepare(module, optimizer, scheduler, DataLoader(data, 4))
inside = accelerator.unwrap_model(model)


class Stops(Callback):
    def on_train_batch_end(self, batch):
        if (self.run.rank, self.run.epoch, batch) == (accelerator.num_processes - 1, 1, 4):
            self.stop("enough")


class Gradients(Callback):
    steps = 0

    def on_optimizer_step_begin(self, gradients):
        self.steps += 1


view = TorchModel.view(inside, optimizer, agree_every=1)
gradients, batches = Gradients(), 0
with Run(view, [CSVLogger(folder / "log.csv"), Stops(), gradients], epochs=3) as run:
    for _ in run.epochs():
        for (x,) in run.batches(loader):
            with accelerator.accumulate(model):
                loss = model(x).square().mean()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            batches += 1
            run.log(loss=loss)

try:
    TorchModel.view(inside, optimizer, scheduler).learning_rate = 1.0
except TypeError as error:
    refusal = str(error)
seen = {
    "rank": run.rank,
    "loader": len(loader),
    "batches": batches,
    "steps": gradients.steps,
    "iterations": view.optimizer.iterations,
    "epochs": run.history.epoch,
    "reason": run.stop_reason,
    "refusal": refusal,
    "rate": float(view.learning_rate),
}
(folder / f"rank{run.rank}.json").write_text(json.dumps(seen))
accelerator.end_training()
