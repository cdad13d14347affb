"""Classify tumours in CatBoost with onstage's callbacks.

Trains on scikit-learn's bundled breast cancer data (569 samples of 30 numbers),
stops early, keeps the best rounds, and prints the accuracy on a held-out fifth:
0.93 or more. The CSV log and the model, a file of CatBoost, are in runs/catboost.

    pip install onstage onstage-catboost scikit-learn && python catboost_breast_cancer.py
"""

from pathlib import Path

import numpy as np
from catboost import CatBoostClassifier
from onstage_catboost import OnstageCallback
from sklearn.datasets import load_breast_cancer

from onstage.callbacks import CSVLogger, EarlyStopping

x, y = load_breast_cancer(return_X_y=True)
order = np.random.default_rng(0).permutation(len(x))
x, y = x[order], y[order]
x_test, y_test, x_valid, y_valid, x, y = x[:113], y[:113], x[113:213], y[113:213], x[213:], y[213:]

runs = Path("runs/catboost")
model = CatBoostClassifier(
    iterations=300,
    learning_rate=0.1,
    depth=4,
    use_best_model=False,
    allow_writing_files=False,
    random_seed=0,
    verbose=0,
)
callbacks = [CSVLogger(runs / "log.csv"), EarlyStopping(patience=20, restore_best_weights=True)]
with OnstageCallback(callbacks, model=model) as callback:
    model.fit(x, y, eval_set=(x_valid, y_valid), callbacks=[callback])
model.save_model(runs / "best.cbm")

accuracy = CatBoostClassifier().load_model(runs / "best.cbm").score(x_test, y_test)
history = callback.history
print(f"{len(history.epoch)} rounds, {model.tree_count_} kept; {history.stop_reason or 'ran to the end'}")
print(f"test accuracy {accuracy:.4f} on {len(x_test)} samples")
