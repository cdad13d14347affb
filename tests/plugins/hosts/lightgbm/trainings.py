"""Small trainings of LightGBM on two classes that trees overfit."""

import lightgbm as lgb
import numpy as np
from onstage_lightgbm import OnstageCallback

from onstage.testing import HostTraining

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = (X.sum(1) + rng.normal(size=120) > 0).astype("int64")
PARAMS = {
    "objective": "binary",
    "learning_rate": 0.5,
    "min_data_in_leaf": 5,
    "verbosity": -1,
    "num_threads": 1,
}


def fit(callbacks, *, epochs=5, params=None, base=PARAMS, beside=(), **options):
    """Train; return adapter and Booster."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    train = lgb.Dataset(X[:80], Y[:80])
    with adapter:
        booster = lgb.train(
            base | (params or {}),
            train,
            epochs,
            valid_sets=[train, lgb.Dataset(X[80:], Y[80:], reference=train)],
            callbacks=[*beside, *adapter],
            **options,
        )
    return adapter, booster


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks)
    made = {}

    def keep(env):
        made["booster"] = env.model

    keep.before_iteration = True

    def objective(predictions, dataset):
        raise error

    def run():
        params = None if error is None else {"objective": objective, "metric": "binary_logloss"}
        made["booster"] = fit(adapter, epochs=epochs, beside=[keep], params=params)[1]

    return HostTraining(
        adapter,
        run,
        batches=None,
        learning_rate=lambda: made["booster"].params["learning_rate"],
        weights=lambda: [np.array(made["booster"].current_iteration())],
        swaps_weights=False,
        suffix=".txt",
    )
