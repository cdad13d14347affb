"""Use callbacks in an ordinary torch loop.

Only the five numbered lines differ from the loop without callbacks. Trains on
scikit-learn's bundled digits and prints the accuracy on a held-out fifth: 0.95
or more. Writes the log to ``runs/own_loop``.
"""

import torch
from onstage_torch import TorchModel
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from onstage import Run
from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

torch.manual_seed(0)
images, labels = load_digits(return_X_y=True)
dataset = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
train, validation, test = random_split(dataset, [0.72, 0.08, 0.2])
loader = DataLoader(train, 64, shuffle=True)

module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
loss_function = nn.CrossEntropyLoss()


@torch.no_grad()
def evaluate(samples):
    module.eval()
    x, y = samples[:]
    outputs = module(x)
    return loss_function(outputs, y), (outputs.argmax(1) == y).float().mean()


view = TorchModel.view(module, optimizer)  # gives callbacks access to weights and rate
callbacks = [
    EarlyStopping(patience=6, restore_best_weights=True),
    ReduceLROnPlateau(factor=0.3, patience=3),
    CSVLogger("runs/own_loop/log.csv"),
]
with Run(view, callbacks, epochs=40, verbose=2) as run:  # 1
    for _ in run.epochs():  # 2
        module.train()
        for x, y in run.batches(loader):  # 3
            loss = loss_function(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)  # 4: read only when a callback needs it

        val_loss, val_accuracy = evaluate(validation)
        run.log(val_loss=val_loss, val_accuracy=val_accuracy)  # 5

print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {evaluate(test)[1]:.4f}")
