"""Metrics with update, compute and reset cover the whole epoch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchmetrics = pytest.importorskip("torchmetrics")

from onstage_torch import TorchModel  # noqa: E402

from onstage import Callback  # noqa: E402


def new(kind="f1"):
    classification = torchmetrics.classification
    return {
        "f1": lambda: classification.MulticlassF1Score(3),
        "auroc": lambda: classification.MulticlassAUROC(3),  # keeps lists of all outputs
        "sum of two": lambda: classification.MulticlassF1Score(3) + classification.MulticlassAUROC(3),
        "of lists": MeanClass,
    }[kind]()


class MeanClass:
    """Mean of the predicted classes; keeps a list of numbers."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.seen = []

    def update(self, outputs, targets):
        self.seen += outputs.argmax(1).tolist()

    def compute(self):
        return sum(self.seen) / len(self.seen)


def of_outputs(kind, parts):
    """Return the metric of several batches, computed by hand."""
    metric = new(kind)
    for outputs, y in parts:
        metric.update(outputs, y)
    return float(metric.compute())


class Keeps(Callback):
    """Keeps copies of outputs, and the logs of each batch unread."""

    def __init__(self):
        self.logs, self.alone = [], []

    def on_train_batch_end(self, batch, logs):
        self.logs.append(logs)
        self.alone.append(self.run.batch_logs)


@pytest.mark.parametrize("kind", ["f1", "auroc", "sum of two", "of lists"])
def test_logs_equal_update_and_compute_also_if_read_late(kind, data, new_module):
    x, y = map(torch.from_numpy, data)
    module, seen = new_module(), []
    module.register_forward_hook(lambda _, __, outputs: seen.append(outputs.detach().clone()))
    model = TorchModel(
        module, lambda p: torch.optim.SGD(p, 0.1), "cross_entropy", {"m": new(kind)}, device="cpu"
    )
    keeps = Keeps()

    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=1,
        shuffle=False,
        validation_data=(x[:16], y[:16]),
        callbacks=[keeps],
        verbose=0,
    )

    parts = list(zip(seen, (*y.split(16), y[:16]), strict=True))
    assert history.history["m"] == [pytest.approx(of_outputs(kind, parts[:3]), rel=1e-6)]
    assert history.history["val_m"] == [pytest.approx(of_outputs(kind, parts[3:]), rel=1e-6)]
    for number, logs in enumerate(keeps.logs):
        assert logs["m"] == pytest.approx(of_outputs(kind, parts[: number + 1]), rel=1e-6)


def test_an_epoch_resumed_halfway_has_the_metric_of_the_whole_epoch(data, new_model, tmp_path):
    from onstage.callbacks import BackupAndRestore

    class Fails(Callback):
        def on_train_batch_begin(self, batch):
            if batch == 2:
                raise RuntimeError("the machine is gone")

    def fit(*callbacks):
        model = new_model(metrics={kind: new(kind) for kind in ("f1", "auroc", "sum of two", "of lists")})
        return model.fit(*data, batch_size=8, epochs=1, shuffle=False, callbacks=list(callbacks), verbose=0)

    whole = fit()
    with pytest.raises(RuntimeError):
        fit(Fails(), BackupAndRestore(tmp_path / "backup", save_freq=1))
    resumed = fit(BackupAndRestore(tmp_path / "backup", save_freq=1))

    assert resumed.history == whole.history


def test_a_collection_logs_each_of_its_metrics_by_name(data, new_model):
    collection = torchmetrics.MetricCollection({"f1": new("f1"), "auroc": new("auroc")})

    history = new_model(metrics=collection).fit(*data, epochs=1, verbose=0)

    assert set(history.history) == {"loss", "f1", "auroc"}


def test_the_metric_determines_the_better_direction(new_model):
    model = new_model(metrics=[torchmetrics.MeanSquaredError(), new("f1")])

    assert dict(model.metric_directions()) == {
        "loss": "min",
        "MeanSquaredError": "min",
        "MulticlassF1Score": "max",
    }


def test_the_users_object_is_not_changed(data, new_model):
    metric = new("f1")
    new_model(metrics=[metric]).fit(*data, epochs=1, verbose=0)

    assert not metric.update_called


def test_a_metric_of_several_numbers_is_rejected(data, new_model):
    matrix = torchmetrics.classification.MulticlassConfusionMatrix(3)

    with pytest.raises(ValueError, match=r"Matrix' must compute one number, got \(3, 3\)"):
        new_model(metrics=[matrix]).fit(*data, epochs=1, verbose=0)


def test_it_is_rejected_as_a_weighted_metric(new_model):
    with pytest.raises(TypeError, match="weighted_metrics must take sample weights, got MulticlassF1Score"):
        new_model(weighted_metrics=[new("f1")])


def test_any_object_with_the_three_methods_is_accepted(data, new_model):
    class Largest:
        def __init__(self):
            self.reset()

        def reset(self):
            self.value = -np.inf

        def update(self, outputs, targets):
            self.value = max(self.value, float(outputs.max()))

        def compute(self):
            return self.value

    model = new_model(metrics={"largest": Largest()})

    logs = model.evaluate(*data, return_dict=True, verbose=0)

    assert logs["largest"] == pytest.approx(model.predict(data[0]).max(), rel=1e-6)
