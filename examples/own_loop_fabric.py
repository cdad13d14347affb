"""Use callbacks in a loop of Lightning Fabric, in one process or several.

Trains on scikit-learn's bundled digits and prints the accuracy on a held-out
fifth once: 0.95 or more. Rank and agreement come from torch.distributed, which
Fabric starts: only the first process writes the log to
``runs/own_loop_fabric``, and a stop in one process ends all at one batch.

    pip install onstage onstage-torch lightning scikit-learn
    python own_loop_fabric.py
    fabric run --devices 2 --accelerator cpu own_loop_fabric.py    # or torchrun --nproc-per-node 2
"""

import os

import torch
from lightning.fabric import Fabric
from onstage_torch import TorchModel
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from onstage import Run
from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

fabric = Fabric(accelerator="auto", devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
fabric.launch()
torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
dataset = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
train, validation, test = random_split(dataset, [1294, 144, 359])
module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

model, optimizer = fabric.setup(module, torch.optim.Adam(module.parameters(), lr=1e-2))
loader = fabric.setup_dataloaders(DataLoader(train, 64, shuffle=True))
loss_function = nn.CrossEntropyLoss()


@torch.no_grad()
def evaluate(samples):
    """Return loss and accuracy; every process computes all samples, and gets the same numbers."""
    model.eval()
    x, y = (part.to(fabric.device) for part in samples[:])
    outputs = model(x)
    return loss_function(outputs, y), (outputs.argmax(1) == y).float().mean()


# agree_every: after this number of steps the processes share requests to stop.
view = TorchModel.view(module, optimizer, agree_every=5)
callbacks = [
    EarlyStopping(patience=4, restore_best_weights=True),  # same decision in every process
    ReduceLROnPlateau(factor=0.3, patience=2),
    CSVLogger("runs/own_loop_fabric/log.csv"),
]
with Run(view, callbacks, epochs=15, verbose=2) as run:
    for epoch in run.epochs():
        model.train()
        if hasattr(loader.sampler, "set_epoch"):
            loader.sampler.set_epoch(epoch)
        for x, y in run.batches(loader):
            loss = loss_function(model(x), y)
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            run.log(loss=fabric.all_reduce(loss.detach(), reduce_op="mean"))

        val_loss, val_accuracy = evaluate(validation)
        run.log(val_loss=val_loss, val_accuracy=val_accuracy)

_, accuracy = evaluate(test)
fabric.print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
fabric.print(f"{fabric.world_size} processes, test accuracy {accuracy:.4f}")
