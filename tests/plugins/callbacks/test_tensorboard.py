"""TensorBoard: the curves that it writes, and its behaviour as a callback."""

import pickle

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard
from onstage_tensorboard.summaries import escape

from onstage import Callback, Run
from onstage.bus import Bus
from onstage.testing import FakeModel, check_callback, replay

LOGS = [
    {"loss": 0.5, "accuracy": 0.25, "val_loss": 0.75},
    {"loss": 0.25, "accuracy": 0.5, "val_loss": 0.625},
]


def test_epochs_are_written_to_train_and_validation_under_keras_names(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), LOGS, batches=3)

    assert tfevents.points(tmp_path / "train") == {
        "epoch_loss": [(0, 0.5), (1, 0.25)],
        "epoch_accuracy": [(0, 0.25), (1, 0.5)],
        "epoch_learning_rate": [(0, pytest.approx(0.1)), (1, pytest.approx(0.1))],
    }
    assert tfevents.points(tmp_path / "validation") == {
        "evaluation_loss_vs_iterations": [(3, 0.75), (6, 0.625)],
        "epoch_loss": [(0, 0.75), (1, 0.625)],
    }


def test_batches_are_counted_from_1_over_all_epochs(tmp_path, tfevents):
    replay(TensorBoard(tmp_path, update_freq=2), LOGS, batches=[{"loss": 8.0}, {"loss": 4.0}, {"loss": 3.0}])

    # Running means since the epoch began: 8, 6, 5 and again.
    assert tfevents.points(tmp_path / "train")["batch_loss"] == [(2, 6.0), (4, 8.0), (6, 5.0)]


def test_batch_metrics_added_by_a_callback_are_written_too(tmp_path, tfevents):
    class Adds(Callback):
        def on_train_batch_end(self, batch, logs):
            logs["norm"] = float(batch)

    replay([Adds(), TensorBoard(tmp_path, update_freq="batch")], LOGS[:1], batches=2)

    assert tfevents.points(tmp_path / "train")["batch_norm"] == [(1, 0.0), (2, 1.0)]


def test_logs_of_batches_are_not_computed_unless_they_are_written():
    quiet, loud = TensorBoard(), TensorBoard(update_freq=100)

    assert Bus([quiet]).stages.on_train_batch_end is None
    assert Bus([loud]).stages.on_train_batch_end.reads_logs is True


def test_rates_are_written_with_batches_and_epochs(tmp_path, tfevents):
    replay(TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True), LOGS, batches=2)

    curves = tfevents.points(tmp_path / "train")
    assert [step for step, rate in curves["batch_steps_per_second"] if rate > 0] == [2, 4]
    assert [step for step, rate in curves["epoch_steps_per_second"] if rate > 0] == [0, 1]


def test_a_loop_without_a_model_writes_its_curves(tmp_path, tfevents):
    with Run(callbacks=[TensorBoard(tmp_path, update_freq=1)], epochs=1) as run:
        for _ in run.epochs():
            for value in run.batches([1.0, 2.0]):
                run.log(loss=value)

    assert {tag for tag, _, _ in tfevents.values_of(tmp_path / "train")} == {"batch_loss", "epoch_loss"}


def test_histograms_of_a_loop_without_weights_are_refused_at_its_start(tmp_path):
    with (
        pytest.raises(
            TypeError, match=r"TensorBoard needs a model with get_weights.*ModelView\(get_weights=…\)"
        ),
        Run(callbacks=[TensorBoard(tmp_path, histogram_freq=1)]),
    ):
        pass


def test_an_evaluation_alone_writes_no_training_run(tmp_path, tfevents):
    with Run(FakeModel(), [TensorBoard(tmp_path)]) as run:
        for _ in run.test_batches([1]):
            run.log(loss=0.5)

    assert tfevents.points(tmp_path / "validation") == {"evaluation_loss_vs_iterations": [(0, 0.5)]}
    assert not (tmp_path / "train").exists()


def test_values_that_are_not_numbers_are_left_out(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), [{"loss": np.float32(0.5), "name": "3", "matrix": np.eye(2), "none": None}])

    assert set(tfevents.points(tmp_path / "train")) == {"epoch_loss", "epoch_learning_rate"}


def test_nan_and_infinity_are_points_too(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), [{"loss": float("nan"), "size": float("inf")}])

    curves = tfevents.points(tmp_path / "train")
    assert np.isnan(curves["epoch_loss"][0][1])
    assert curves["epoch_size"] == [(0, np.inf)]


def test_a_second_fit_continues_the_steps_of_the_first(tmp_path, tfevents):
    board = TensorBoard(tmp_path, update_freq=1)

    replay(board, LOGS, batches=2)
    replay(board, LOGS, batches=2)

    curves = tfevents.points(tmp_path / "train")
    assert [step for step, _ in curves["epoch_loss"]] == [0, 1, 2, 3]
    assert [step for step, _ in curves["batch_loss"]] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_second_fit_with_an_initial_epoch_is_not_shifted_twice(tmp_path, tfevents):
    board = TensorBoard(tmp_path)

    replay(board, LOGS)
    replay(board, LOGS, initial_epoch=2)

    assert [step for step, _ in tfevents.points(tmp_path / "train")["epoch_loss"]] == [0, 1, 2, 3]


def test_tags_are_escaped_and_stay_different():
    names = ["a<b", "a%3Cb", "a&b", "a'b", 'a"b', "a\nb", "a\x00b", "a_b", "a b", "a\u202eb"]

    tags = [escape(name) for name in names]

    assert tags[:2] == ["a%3Cb", "a%253Cb"]
    assert len(set(tags)) == len(names)
    assert not set("".join(tags)) & set("<>&'\"\n\x00\u202e")
    assert escape("précision@5/été (μ)=1") == "précision@5/été (μ)=1"


def test_metric_names_are_escaped_in_the_files(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), [{"<img src=x>": 1.0}])

    assert "epoch_%3Cimg src=x%3E" in tfevents.points(tmp_path / "train")


def test_it_passes_the_conformance_checks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    check_callback(TensorBoard)
    check_callback(
        TensorBoard(
            "more",
            histogram_freq=1,
            write_images=True,
            write_steps_per_second=True,
            update_freq=1,
            profile_batch=2,
        )
    )


def test_a_pickled_one_continues_its_steps(tmp_path, tfevents):
    board = TensorBoard(tmp_path, update_freq=1, profile_batch=5)
    replay(board, LOGS, batches=1)

    replay(pickle.loads(pickle.dumps(board)), LOGS, batches=1)

    assert [step for step, _ in tfevents.points(tmp_path / "train")["batch_loss"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"update_freq": "epochs"}, ValueError, "update_freq must be.*did you mean 'epoch'"),
        ({"update_freq": 0}, ValueError, "update_freq must be 'batch', 'epoch' or an integer >= 1, got 0"),
        ({"update_freq": True}, ValueError, "update_freq must be"),
        ({"histogram_freq": -1}, ValueError, "histogram_freq must be an integer >= 0"),
        ({"embeddings_freq": 0.5}, TypeError, "embeddings_freq must be an integer >= 0"),
        ({"write_graph": "no"}, TypeError, "write_graph must be True or False, got 'no'"),
        ({"profile_batch": (0, 3)}, ValueError, "profile_batch must be 0, a batch counted from 1"),
        ({"profile_batch": True}, ValueError, "the Profile tab are not offered"),
        ({"hparams": {"a": [1]}}, TypeError, "hparams must be bool, int, float or str by name, got 'a'"),
        ({"hparams": 3}, TypeError, "hparams must be a dict"),
        ({"log_dir": 3}, TypeError, "str, bytes or os.PathLike"),
    ],
)
def test_wrong_settings_are_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        TensorBoard(**options)
