"""Use callbacks in a loop of Accelerate, in one process or several.

Trains on scikit-learn's bundled digits and prints the accuracy on a held-out
fifth once: 0.95 or more. Rank and agreement come from torch.distributed, which
Accelerate starts: only the first process writes the log to
``runs/own_loop_accelerate``, and a stop in one process ends all at one batch.

    pip install onstage onstage-torch accelerate scikit-learn
    python own_loop_accelerate.py
    accelerate launch --num-processes 2 own_loop_accelerate.py    # or torchrun --nproc-per-node 2
"""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from onstage_torch import TorchModel
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from onstage import Run
from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

set_seed(0)
images, labels = load_digits(return_X_y=True)
dataset = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
train, validation, test = random_split(dataset, [1294, 144, 359])
module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

accelerator = Accelerator()
model, optimizer, loader, validation_loader, test_loader = accelerator.prepare(
    module,
    torch.optim.Adam(module.parameters(), lr=1e-2),
    DataLoader(train, 64, shuffle=True),
    DataLoader(validation, 48),
    DataLoader(test, 48),
)
loss_function = nn.CrossEntropyLoss()


@torch.no_grad()
def evaluate(batches):
    model.eval()
    found = [accelerator.gather_for_metrics((model(x), y)) for x, y in batches]
    outputs, y = (torch.cat(parts) for parts in zip(*found, strict=True))
    return loss_function(outputs, y), (outputs.argmax(1) == y).float().mean()


# agree_every: after this number of steps the processes share requests to stop.
view = TorchModel.view(accelerator.unwrap_model(model), optimizer, agree_every=5)
callbacks = [
    EarlyStopping(patience=4, restore_best_weights=True),  # same decision in every process
    ReduceLROnPlateau(factor=0.3, patience=2),
    CSVLogger("runs/own_loop_accelerate/log.csv"),
]
with Run(view, callbacks, epochs=15, verbose=2) as run:
    for _ in run.epochs():
        model.train()
        for x, y in run.batches(loader):
            loss = loss_function(model(x), y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            run.log(loss=accelerator.reduce(loss.detach(), "mean"))

        val_loss, val_accuracy = evaluate(validation_loader)
        run.log(val_loss=val_loss, val_accuracy=val_accuracy)

_, accuracy = evaluate(test_loader)
accelerator.print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
accelerator.print(f"{accelerator.num_processes} processes, test accuracy {accuracy:.4f}")
accelerator.end_training()
