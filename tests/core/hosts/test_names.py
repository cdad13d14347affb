"""Metrics of other trainers have the names of onstage."""

import numpy as np
import pytest

from onstage import ModelView
from onstage.hosts import HostView, file_writer, log_name, map_arrays, split_metrics


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("loss", "loss"),
        ("train_loss", "loss"),  # Lightning, fastai, skorch
        ("train/acc", "accuracy"),  # Lightning, wandb
        ("Training-RMSE", "RMSE"),
        ("training l2", "l2"),  # LightGBM
        ("eval_loss", "val_loss"),  # transformers
        ("eval_accuracy", "val_accuracy"),
        ("valid_loss", "val_loss"),  # fastai, skorch
        ("valid_0 l2", "val_l2"),  # LightGBM
        ("validation_0-logloss", "val_logloss"),  # XGBoost's sklearn interface
        ("validation/acc", "val_accuracy"),
        ("val_loss", "val_loss"),  # Keras
        ("val", "val"),
        ("trainable", "trainable"),
        ("evaluations", "evaluations"),
        ("testimony", "testimony"),
        ("lr", "learning_rate"),
        ("Accuracy", "Accuracy"),
        ("val_loss/dataloader_idx_0", "val_loss_dataloader_idx_0"),
        ("ndcg@5", "ndcg_5"),
    ],
)
def test_a_metric_has_the_name_of_onstage(theirs, ours):
    assert log_name(theirs) == ours


def test_a_metric_of_a_validation_has_the_prefix_once():
    assert log_name("rouge-L", validation=True) == "val_rouge_L"
    assert log_name("valid_loss", validation=True) == "val_loss"


def test_of_two_metrics_with_one_name_that_of_onstage_counts():
    assert split_metrics({"train_loss": 1.0, "loss": 2.0, "val_acc": 3.0, "eval_acc": 4.0}) == (
        {"loss": 2.0},
        {"accuracy": 3.0},
    )


def test_a_view_offers_what_the_model_has_and_what_the_host_adds():
    class Model:
        learning_rate = 0.1
        name = "mlp"

    model = Model()
    view = HostView(model, "Host", save=lambda path: f"saved {path}")
    view.learning_rate = 0.05

    assert (model.learning_rate, view.learning_rate, view.name) == (0.05, 0.05, "mlp")
    assert view.save("here") == "saved here"
    assert not hasattr(view, "get_weights")
    assert not hasattr(HostView(object(), "Host"), "learning_rate")


def test_arrays_of_a_state_are_converted_in_place_of_each():
    state = {"best": None, "weights": [np.ones(2), {"bias": np.zeros(1)}], "pair": (1, np.ones(1))}

    assert map_arrays(state, np.ndarray, np.ndarray.tolist) == {
        "best": None,
        "weights": [[1.0, 1.0], {"bias": [0.0]}],
        "pair": [1, [1.0]],
    }


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    def fail(path):
        with open(path, "w") as file:
            file.write("half")
        raise OSError("disk full")

    target = tmp_path / "model.json"
    target.write_text("good")
    with pytest.raises(OSError, match="disk full"):
        file_writer(fail)(target)

    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert target.read_text() == "good"
    with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
        file_writer(fail)(target, overwrite=False)


def test_the_suffix_of_a_file_that_the_host_writes_is_its_own():
    model = ModelView(get_weights=lambda: [np.ones(2)])
    theirs = HostView(model, "Host", save=lambda path, overwrite: None)

    theirs.snapshot_writer("model.ckpt")
    for view, weights_only in ((theirs, True), (HostView(model, "Host"), False)):
        with pytest.raises(ValueError, match=r"suffix of another format, got .*model\.npz"):
            view.snapshot_writer("model.npz", weights_only)
