"""Small trainings of CatBoost on two classes that trees overfit."""

import numpy as np
from catboost import CatBoostClassifier, CatBoostError
from onstage_catboost import OnstageCallback

from onstage.testing import HostTraining

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
Y = (X.sum(1) + rng.normal(size=120) > 0).astype("int64")


class Raises:
    """A callback of CatBoost that raises an error, if it has one."""

    def __init__(self, error):
        self.error = error

    def after_iteration(self, info):
        if self.error is not None:
            raise self.error
        return True


def new_model(epochs, **options):
    """Return a classifier that keeps all rounds and writes no files."""
    fixed = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": 0}
    return CatBoostClassifier(
        **{
            "iterations": epochs,
            "learning_rate": 0.5,
            "depth": 3,
            "use_best_model": False,
            **fixed,
            **options,
        }
    )


def fit(callbacks, *, epochs=5, model=None, beside=(), given=None, **options):
    """Train; return adapter and model."""
    model = model or new_model(epochs)
    given = {"model": model} if given is None else given
    adapter = OnstageCallback(callbacks, epochs=epochs, **given)
    with adapter:
        model.fit(X[:80], Y[:80], eval_set=(X[80:], Y[80:]), callbacks=[adapter, *beside], **options)
    return adapter, model


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks, epochs=epochs)

    def run():
        adapter.model = new_model(epochs)
        with adapter:
            try:
                adapter.model.fit(
                    X[:80], Y[:80], eval_set=(X[80:], Y[80:]), callbacks=[Raises(error), adapter]
                )
            except CatBoostError:
                if error is None:
                    raise
                raise error from None  # CatBoost wraps what is raised in a training

    return HostTraining(
        adapter,
        run,
        batches=None,
        weights=lambda: [np.array(adapter.model.tree_count_)],
        swaps_weights=False,
    )
