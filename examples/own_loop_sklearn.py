"""Use callbacks in a loop of scikit-learn's ``partial_fit``.

Four functions give callbacks access to weights and learning rate of an
`SGDClassifier`. Trains on scikit-learn's bundled digits, stops early with the best
weights, and prints the accuracy on a held-out fifth: 0.95 or more. The CSV log and
the best weights are in runs/own_loop_sklearn.

    pip install onstage scikit-learn && python own_loop_sklearn.py
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from onstage import ModelView, Run
from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order] / 16, labels[order]
x_test, y_test, x_val, y_val = images[:359], labels[:359], images[359:539], labels[359:539]
x, y = images[539:], labels[539:]

model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.3, random_state=0)
model.partial_fit(x[:1], y[:1], classes=np.unique(labels))  # makes the weights


def set_weights(weights):
    model.coef_, model.intercept_ = weights


view = ModelView(
    get_weights=lambda: [model.coef_, model.intercept_],
    set_weights=set_weights,
    get_learning_rate=lambda: model.eta0,
    set_learning_rate=lambda rate: model.set_params(eta0=rate),
)
runs = Path("runs/own_loop_sklearn")
callbacks = [
    CSVLogger(runs / "log.csv"),
    ReduceLROnPlateau(factor=0.3, patience=2),
    ModelCheckpoint(runs / "best.safetensors", save_best_only=True, save_weights_only=True),
    EarlyStopping(patience=6, restore_best_weights=True),
]
rng = np.random.default_rng(1)
with Run(view, callbacks, epochs=60, verbose=2) as run:
    for _ in run.epochs():
        order = rng.permutation(len(x))
        for rows in run.batches(np.array_split(order, 10)):
            loss = log_loss(y[rows], model.predict_proba(x[rows]), labels=model.classes_)
            run.log(loss=loss, accuracy=model.score(x[rows], y[rows]))
            model.partial_fit(x[rows], y[rows])
        for inputs, targets in run.test_batches([(x_val, y_val)]):
            loss = log_loss(targets, model.predict_proba(inputs), labels=model.classes_)
            run.log(loss=loss, accuracy=model.score(inputs, targets))

print(f"{len(run.history.epoch)} epochs; {run.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {model.score(x_test, y_test):.4f} on {len(x_test)} images")
