"""Classify handwritten digits in XGBoost with onstage's callbacks.

Trains on scikit-learn's bundled digits (1 797 images of 8 × 8 pixels), halves the
rate on a plateau, stops early, keeps the best rounds, and prints the accuracy on
a held-out fifth: 0.95 or more. The CSV log and the best model, a file of XGBoost,
are in runs/xgboost_digits.

    pip install onstage onstage-xgboost scikit-learn && python xgboost_digits.py
"""

from pathlib import Path

import numpy as np
import xgboost as xgb
from onstage_xgboost import OnstageCallback
from sklearn.datasets import load_digits

from onstage.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order], labels[order]
x_test, y_test = images[:359], labels[:359]
valid = xgb.DMatrix(images[359:539], labels[359:539])
train = xgb.DMatrix(images[539:], labels[539:])

runs = Path("runs/xgboost_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        ReduceLROnPlateau(factor=0.5, patience=4),
        EarlyStopping(patience=8, restore_best_weights=True),
        ModelCheckpoint(runs / "best.ubj", save_best_only=True),
    ]
)
with callback:
    booster = xgb.train(
        {"objective": "multi:softprob", "num_class": 10, "eta": 0.5, "max_depth": 3, "subsample": 0.7},
        train,
        150,
        evals=[(train, "train"), (valid, "valid")],
        callbacks=[callback],
        verbose_eval=False,
    )

best = xgb.Booster(model_file=runs / "best.ubj")
accuracy = float((best.predict(xgb.DMatrix(x_test)).argmax(1) == y_test).mean())
rounds, kept = len(callback.history.epoch), booster.num_boosted_rounds()
print(f"{rounds} rounds, {kept} kept; {callback.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images")
