"""Classify handwritten digits in LightGBM with onstage's callbacks.

Trains on scikit-learn's bundled digits (1 797 images of 8 × 8 pixels), stops
early, keeps the best rounds, and prints the accuracy on a held-out fifth: 0.95 or
more. The CSV log and the best model, a file of LightGBM, are in runs/lightgbm_digits.

    pip install onstage onstage-lightgbm scikit-learn && python lightgbm_digits.py
"""

from pathlib import Path

import lightgbm as lgb
import numpy as np
from onstage_lightgbm import OnstageCallback
from sklearn.datasets import load_digits

from onstage.callbacks import CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint

images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(images))
images, labels = images[order], labels[order]
x_test, y_test = images[:359], labels[:359]
train = lgb.Dataset(images[539:], labels[539:])
valid = lgb.Dataset(images[359:539], labels[359:539], reference=train)

runs = Path("runs/lightgbm_digits")
callback = OnstageCallback(
    [
        CSVLogger(runs / "log.csv"),
        LearningRateScheduler(lambda epoch: 0.3 * 0.99**epoch),
        EarlyStopping(patience=8, restore_best_weights=True),
        ModelCheckpoint(runs / "best.txt", save_best_only=True),
    ]
)
with callback:
    booster = lgb.train(
        {
            "objective": "multiclass",
            "num_class": 10,
            "num_leaves": 8,
            "feature_fraction": 0.3,
            "verbosity": -1,
            "seed": 0,
        },
        train,
        150,
        valid_sets=[train, valid],
        callbacks=[*callback],
    )

best = lgb.Booster(model_file=runs / "best.txt")
accuracy = float((best.predict(x_test).argmax(1) == y_test).mean())
rounds, kept = len(callback.history.epoch), booster.current_iteration()
print(f"{rounds} rounds, {kept} kept; {callback.history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} images")
