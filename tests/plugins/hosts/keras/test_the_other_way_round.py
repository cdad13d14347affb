"""Unmodified callbacks of Keras run in fit, in a torch model's fit and in a loop of one's own."""

import csv

import numpy as np
import pytest

from onstage import ModelView, Run, Sequential, layers

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


@pytest.fixture
def callbacks(trainings):
    """Return the callbacks of Keras."""
    return trainings.keras.callbacks


def in_fit(given):
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(X, Y, epochs=5, validation_split=0.5, verbose=0, callbacks=given)


def in_torch(given):
    torch = pytest.importorskip("torch")
    from onstage_torch import TorchModel

    torch.manual_seed(0)
    model = TorchModel(
        torch.nn.Linear(4, 2),
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        "cross_entropy",
        ["accuracy"],
        device="cpu",
    )
    return model, model.fit(X, Y, epochs=5, validation_split=0.5, verbose=0, callbacks=given)


def in_a_loop(given):
    weights = [np.zeros(2)]
    view = ModelView(
        get_weights=lambda: weights, set_weights=lambda new: weights.__setitem__(slice(None), new)
    )
    with Run(view, given, epochs=5) as run:
        for epoch in run.epochs():
            for _ in run.batches(range(3)):
                weights[0] = weights[0] + 1
                run.log(loss=1.0 + epoch, accuracy=0.5)
            for _ in run.test_batches(range(2)):
                run.log(loss=1.0 + epoch, accuracy=0.5)
    return view, run.history


TRAINERS = pytest.mark.parametrize("train", [in_fit, in_torch, in_a_loop])


@TRAINERS
def test_early_stopping_of_keras_stops_and_restores_the_weights(train, callbacks):
    # No epoch improves by 9: the first one is the best, the third ends the training.
    options = {"mode": "min", "min_delta": 9.0, "patience": 2, "restore_best_weights": True}
    stop = callbacks.EarlyStopping("val_loss", **options)
    kept = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(stop.model.get_weights()))

    model, history = train([stop, keep])

    assert history.epoch == [0, 1, 2]
    assert stop.stopped_epoch == 2
    for weight, best in zip(model.get_weights(), kept[0], strict=True):
        np.testing.assert_array_equal(weight, best)


@TRAINERS
def test_the_csv_log_of_keras_holds_the_history(train, callbacks, tmp_path):
    _, history = train([callbacks.CSVLogger(str(tmp_path / "log.csv"))])

    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == history.epoch
    for name in ("loss", "val_loss"):
        assert [float(row[name]) for row in rows] == history.history[name]


@TRAINERS
def test_a_subclass_written_for_keras_gets_epochs_batches_and_logs(train, callbacks):
    class Counts(callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append(("batch", batch, sorted(logs)))

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(("epoch", epoch, sorted(logs)))

    counts = Counts()
    train([counts])

    epochs = [number for kind, number, _ in counts.seen if kind == "epoch"]
    assert epochs == [0, 1, 2, 3, 4]
    assert counts.seen[0] == ("batch", 0, ["accuracy", "loss"])
    assert counts.seen[-1] == ("epoch", 4, ["accuracy", "loss", "val_accuracy", "val_loss"])
    assert counts.params["epochs"] == 5
