"""Small trainings of XGBoost on two classes that trees overfit."""

import numpy as np
import xgboost as xgb
from onstage_xgboost import OnstageCallback

from onstage.testing import HostTraining

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = (X.sum(1) + rng.normal(size=120) > 0).astype("int64")
PARAMS = {"objective": "binary:logistic", "eta": 0.5, "max_depth": 3, "nthread": 1, "seed": 0}


def data():
    """Return the matrices of the training and of the validation."""
    return xgb.DMatrix(X[:80], Y[:80]), xgb.DMatrix(X[80:], Y[80:])


def fit(callbacks, *, epochs=5, params=None, base=PARAMS, beside=(), **options):
    """Train; return adapter and Booster."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    train, valid = data()
    with adapter:
        booster = xgb.train(
            base | (params or {}),
            train,
            epochs,
            evals=[(train, "train"), (valid, "valid")],
            callbacks=[*beside, adapter],
            verbose_eval=False,
            **options,
        )
    return adapter, booster


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks, epochs=epochs)
    made = {}

    class Keep(xgb.callback.TrainingCallback):
        def before_training(self, model):
            made["booster"] = model
            return model

    def objective(predictions, matrix):
        if error is not None:
            raise error
        probabilities = 1 / (1 + np.exp(-predictions))
        return probabilities - matrix.get_label(), probabilities * (1 - probabilities)

    def run():
        options = {} if error is None else {"obj": objective}
        made["booster"] = fit(adapter, epochs=epochs, beside=[Keep()], **options)[1]

    def learning_rate():
        import json

        config = json.loads(made["booster"].save_config())["learner"]["gradient_booster"]
        return float(config["tree_train_param"]["learning_rate"])

    return HostTraining(
        adapter,
        run,
        batches=None,
        learning_rate=learning_rate,
        weights=lambda: [np.array(made["booster"].num_boosted_rounds())],
        swaps_weights=False,
        suffix=".json",
    )
