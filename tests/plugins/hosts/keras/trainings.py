"""A small classifier and its data, in Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from onstage_keras import OnstageCallback

from onstage.testing import HostTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


def new_model(optimizer=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    return model


def fit(callbacks, *, epochs=3, model=None, beside=(), **options):
    """Train; return adapter and model."""
    adapter = callbacks if isinstance(callbacks, OnstageCallback) else OnstageCallback(callbacks)
    model = model or new_model()
    with adapter:
        model.fit(
            X,
            Y,
            batch_size=8,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[adapter, *beside],
            **{"validation_data": (X, Y), "validation_batch_size": 12, **options},
        )
    return adapter, model


class Batches(keras.utils.PyDataset):
    """Three batches; the second raises an error, if there is one."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def __len__(self):
        return 3

    def __getitem__(self, batch):
        if batch == 1 and self.error is not None:
            raise self.error
        return X[8 * batch : 8 * batch + 8], Y[8 * batch : 8 * batch + 8]


def make_training(callbacks, *, epochs, error=None):
    adapter = OnstageCallback(callbacks)
    made = {}

    def run():
        made["model"] = new_model()
        with adapter:
            made["model"].fit(
                Batches(error),
                epochs=epochs,
                shuffle=False,
                validation_data=(X, Y),
                validation_batch_size=12,
                verbose=0,
                callbacks=[adapter],
            )

    return HostTraining(
        adapter,
        run,
        batches=3,
        test_batches=2,
        learning_rate=lambda: float(keras.ops.convert_to_numpy(made["model"].optimizer.learning_rate)),
        weights=lambda: made["model"].get_weights(),
        suffix=".keras",
    )
