import pickle
import re

import pytest
from onstage_model_checkpoint import ModelCheckpoint
from safetensors.numpy import load_file

from onstage import Callback, OnstageWarning, Run, Sequential, layers, load_model
from onstage.state import storage
from onstage.testing import FakeModel, check_callback, replay


def losses(*values):
    return [{"loss": value} for value in values]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def steps_in(path):
    """Return the number of training steps of the saved FakeModel."""
    return storage.load(path)["steps"]


@pytest.mark.parametrize(
    "options",
    [{}, {"save_best_only": True, "max_to_keep": 1}, {"save_freq": 2, "save_weights_only": True}],
)
def test_passes_the_conformance_checks(tmp_path, options):
    check_callback(lambda: ModelCheckpoint(tmp_path / "{epoch}", **options))


def test_each_epoch_replaces_the_file_of_the_last(tmp_path):
    replay(ModelCheckpoint(tmp_path / "model.safetensors"), losses(1, 2, 3))

    assert names(tmp_path) == ["model.safetensors"]
    assert steps_in(tmp_path / "model.safetensors") == 3


def test_saves_only_the_best(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best", monitor="loss", save_best_only=True)

    replay(callback, losses(3, 1, 2))

    assert steps_in(tmp_path / "best.safetensors") == 2
    assert callback.best == 1


def test_saves_every_n_epochs(tmp_path):
    replay(ModelCheckpoint(tmp_path / "{epoch}", save_freq="2 epochs"), losses(1, 1, 1, 1, 1))

    assert names(tmp_path) == ["2.safetensors", "4.safetensors", "latest"]


def test_counts_batches_across_epochs(tmp_path):
    replay(ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=3), losses(1, 1, 1), batches=2)

    # The third batch is the first of epoch 2, the sixth the second of epoch 3.
    assert names(tmp_path) == ["2-1.safetensors", "3-2.safetensors", "latest"]
    assert steps_in(tmp_path / "2-1.safetensors") == 3


def test_a_save_freq_that_is_set_later_counts(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}")
    checkpoint.save_freq = "2 epochs"

    replay(checkpoint, losses(3.0, 2.0, 1.0, 4.0), model=FakeModel())

    assert {"2.safetensors", "4.safetensors"} == {name for name in names(tmp_path) if name[0].isdigit()}


def test_a_save_freq_in_batches_that_is_set_later_counts(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "model")
    checkpoint.save_freq = 2

    with Run(FakeModel(), [checkpoint]) as run:
        saved = ["model.safetensors" in names(tmp_path) for _ in run.steps([1.0] * 4)]

    assert saved == [False, False, True, True]


def test_a_wrong_save_freq_that_is_set_later_is_refused(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "a")

    with pytest.raises(ValueError, match="save_freq must be 'epoch', '5 epochs' or a number"):
        checkpoint.save_freq = "often"

    assert checkpoint.save_freq == "epoch"


def test_saves_the_best_by_batches_too(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True, save_freq=1)

    replay(callback, losses(0), batches=[{"loss": 3.0}, {"loss": 1.0}, {"loss": 8.0}])

    # Running means 3, 2, 4: the best is after two steps.
    assert callback.best == 2.0
    assert steps_in(tmp_path / "best.safetensors") == 2


def test_the_monitor_must_improve_on_an_initial_threshold(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True, initial_value_threshold=1.0)

    replay(callback, losses(3, 1))

    assert names(tmp_path) == []


def test_the_best_value_is_kept_after_training(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True)
    replay(callback, losses(1))

    replay(callback, losses(2, 2))

    assert steps_in(tmp_path / "best.safetensors") == 1


def test_a_nan_is_never_the_best(tmp_path):
    callback = ModelCheckpoint(tmp_path / "best", "loss", save_best_only=True)

    replay(callback, losses(float("nan"), 2))

    assert callback.best == 2


def test_a_missing_monitor_skips_and_warns(tmp_path):
    with pytest.warns(OnstageWarning, match="ModelCheckpoint watches 'val_loss', which is not in the logs"):
        replay(ModelCheckpoint(tmp_path / "best", save_best_only=True), losses(1, 2))

    assert names(tmp_path) == []


def test_any_monitor_is_accepted_without_save_best_only(tmp_path):
    replay(ModelCheckpoint(tmp_path / "last", monitor="learning_rate"), losses(1))

    assert names(tmp_path) == ["last.safetensors"]


def test_fields_are_filled_with_epoch_and_metrics(tmp_path):
    logs = [{"loss": 2.0, "val_loss": 0.12345}]

    replay(ModelCheckpoint(str(tmp_path / "{epoch:02d}-{val_loss:.3f}")), logs)

    assert names(tmp_path) == ["01-0.123.safetensors", "best", "latest"]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("a", "a.safetensors"),
        ("a.h5", "a.h5"),
        ("{epoch}.weights.h5", "1.weights.h5"),
        ("b.{epoch}", "b.1.safetensors"),
    ],
)
def test_a_suffix_is_kept_and_a_missing_one_is_added(tmp_path, template, name):
    replay(ModelCheckpoint(tmp_path / template), losses(1))

    assert name in names(tmp_path)


def test_directories_are_made_when_the_first_file_is_saved(tmp_path):
    callback = ModelCheckpoint(tmp_path / "a" / "{epoch}" / "model", save_freq="2 epochs")

    replay(callback, losses(1))
    assert names(tmp_path) == []
    replay(callback, losses(1, 1))
    assert names(tmp_path / "a") == ["2"]


def test_pointers_name_the_latest_and_the_best(tmp_path):
    replay(ModelCheckpoint(tmp_path / "{epoch}", monitor="loss"), losses(3, 1, 2))

    assert (tmp_path / "latest").read_text() == "3.safetensors\n"
    assert (tmp_path / "best").read_text() == "2.safetensors\n"


def test_keeps_the_newest_and_the_best(tmp_path):
    replay(ModelCheckpoint(tmp_path / "{epoch}", "loss", max_to_keep=2), losses(1, 2, 3, 4, 5))

    assert names(tmp_path) == ["1.safetensors", "4.safetensors", "5.safetensors", "best", "latest"]


def test_keeps_the_best_files_if_only_those_are_saved(tmp_path):
    replay(
        ModelCheckpoint(tmp_path / "{epoch}", "loss", save_best_only=True, max_to_keep=2), losses(5, 4, 6, 3)
    )

    assert names(tmp_path) == ["2.safetensors", "4.safetensors", "best", "latest"]


def test_a_file_that_is_written_twice_is_one_file(tmp_path):
    # Rounded, all three losses are 1: the second file is the first one over again.
    callback = ModelCheckpoint(tmp_path / "{loss:.0f}", max_to_keep=1)

    replay(callback, losses(1.1, 1.2, 1.3))

    assert names(tmp_path) == ["1.safetensors", "latest"]
    assert steps_in(tmp_path / "1.safetensors") == 3


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "0.safetensors").write_text("mine")

    replay(ModelCheckpoint(tmp_path / "{epoch}", max_to_keep=1), losses(1, 2, 3))

    assert "0.safetensors" in names(tmp_path)


def test_a_file_that_cannot_be_deleted_is_warned_of_and_tried_again(tmp_path):
    class Replaces(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 0:
                (tmp_path / "1.safetensors").unlink()
                (tmp_path / "1.safetensors").mkdir()
            if epoch == 1:
                (tmp_path / "1.safetensors").rmdir()

    callback = ModelCheckpoint(tmp_path / "{epoch}", max_to_keep=1)
    with pytest.warns(OnstageWarning, match=r"could not delete the old file '.*1\.safetensors'") as caught:
        replay([callback, Replaces()], losses(1, 2, 3))

    assert len(caught) == 1
    assert [dict(values) for values in callback.state_dict()["saved"]] == [{"epoch": 3}]
    assert names(tmp_path) == ["3.safetensors", "latest"]


def test_a_real_model_is_loaded_back(tmp_path):
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    x, y = [[0.0, 1.0], [1.0, 0.0]], [[1.0], [0.0]]

    model.fit(x, y, epochs=2, verbose=0, callbacks=ModelCheckpoint(tmp_path / "model.state"))

    loaded = load_model(tmp_path / "model.state")
    assert (loaded.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    assert load_file(tmp_path / "model.state")


@pytest.mark.parametrize("in_background", [False, True])
def test_a_format_that_the_model_cannot_write_is_refused_before_the_first_epoch(tmp_path, in_background):
    model = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    callback = ModelCheckpoint(tmp_path / "{epoch}.pt", save_in_background=in_background)

    with pytest.raises(ValueError, match=r"filepath must not end with '.pt'"):
        model.fit([[0.0, 1.0]], [[1.0]], verbose=0, callbacks=callback)
    assert model.optimizer.iterations == 0


def test_save_weights_only_saves_the_weights(tmp_path):
    model = FakeModel()

    replay(ModelCheckpoint(tmp_path / "w", save_weights_only=True), losses(1), model=model)

    assert model.calls["save"] == 0
    assert model.calls["save_weights"] == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{epoch", "filepath must have its braces in pairs"),
        ("{}", r"filepath must have fields like \{epoch:02d\} or \{val_loss:.3f\}, got \{\}"),
        ("{0}", "got {0}"),
        ("{epoch.__class__}", "got {epoch.__class__}"),
        ("{loss[0]}", r"got {loss\[0\]}"),
        ("{loss:{epoch}}", "got {loss}"),
        ("{epoch:.3q}", "filepath has a wrong format for 'epoch', '.3q'"),
        ("{loss:d}", "filepath has a wrong format for 'loss', 'd'"),
        ("{loss:/>9}", "filepath must stay in its directory"),
        ("folder/", "filepath must name a file, got 'folder/'"),
        ("", "filepath must name a file, got ''"),
        ("{batch}", "filepath must have {batch} only if save_freq is a number of batches"),
    ],
)
def test_a_wrong_template_is_refused_at_once(template, message):
    with pytest.raises(ValueError, match=message):
        ModelCheckpoint(template)


def fit(callback, *metric_names):
    with Run(FakeModel(), [callback], epochs=1, metric_names=metric_names) as run:
        for _ in run.epochs():
            run.log(dict.fromkeys(metric_names, 1.0))


def test_an_unknown_field_is_refused_when_training_begins():
    with pytest.raises(ValueError, match="got 'val_los'; did you mean 'val_loss'"):
        fit(ModelCheckpoint("{epoch}-{val_los:.2f}"), "loss", "val_loss")


def test_a_validation_field_is_refused_for_batches_when_training_begins():
    with pytest.raises(ValueError, match="filepath must have fields from epoch, batch, loss, got 'val_loss'"):
        fit(ModelCheckpoint("{val_loss}", save_freq=1), "loss", "val_loss")


def test_a_validation_monitor_is_refused_for_batches_when_training_begins():
    with pytest.raises(
        ValueError, match="monitor must be a metric of the training for save_freq=1, got 'val_loss'"
    ):
        fit(ModelCheckpoint("a", save_freq=1, save_best_only=True), "loss", "val_loss")


def test_an_unknown_monitor_is_refused_when_training_begins():
    with pytest.raises(ValueError, match="got 'val_los'; did you mean 'val_loss'"):
        fit(ModelCheckpoint("a", monitor="val_los", save_best_only=True), "loss", "val_loss")


def test_a_metric_cannot_lead_to_another_directory(tmp_path):
    (tmp_path / "runs").mkdir()

    with pytest.raises(
        ValueError, match=r"filepath must have fields that are numbers, got '\.\./\.\./evil' for 'note'"
    ):
        replay(ModelCheckpoint(tmp_path / "runs" / "{note}"), [{"note": "../../evil"}])

    assert names(tmp_path) == ["runs"]
    assert names(tmp_path / "runs") == []


def test_a_field_missing_in_the_logs_is_an_error_that_names_the_others(tmp_path):
    with pytest.raises(ValueError, match="got 'val_loss'; there are loss, epoch"):
        replay(ModelCheckpoint(tmp_path / "{val_loss}"), losses(1))


def test_a_directory_instead_of_the_file_is_an_error(tmp_path):
    (tmp_path / "model.safetensors").mkdir()

    with pytest.raises(IsADirectoryError, match="filepath must be a file, got the directory"):
        replay(ModelCheckpoint(tmp_path / "model"), losses(1))


def test_a_loaded_state_continues_with_best_count_and_files(tmp_path):
    options = {"monitor": "loss", "save_freq": 2, "max_to_keep": 1}
    first = ModelCheckpoint(tmp_path / "{epoch}-{batch}", **options)
    replay(first, losses(1), batches=3)
    second = ModelCheckpoint(tmp_path / "{epoch}-{batch}", **options)
    second.load_state_dict(first.state_dict())

    with Run(FakeModel(), [second], epochs=2, initial_epoch=1) as run:
        for _ in run.epochs():
            for loss in run.batches([0.5]):
                run.log(loss=loss)

    assert second.best == 0.5
    assert names(tmp_path) == ["2-1.safetensors", "best", "latest"]


def test_a_state_cannot_name_files_to_delete(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    callback = ModelCheckpoint(tmp_path / "runs" / "{epoch}", max_to_keep=1)
    state = callback.state_dict() | {"saved": [{"epoch": "../victim"}, {"path": str(victim)}]}

    with pytest.raises(ValueError, match="invalid literal"):
        callback.load_state_dict(state)

    assert victim.exists()


def test_prints_what_it_decides(tmp_path, capsys):
    callback = ModelCheckpoint(tmp_path / "best", "loss", verbose=1, save_best_only=True)

    replay(callback, losses(2, 1, 3))

    path = re.escape(str(tmp_path / "best.safetensors"))
    assert re.fullmatch(
        f"Epoch 1: loss improved from None to 2.00000, saving model to {path}\n"
        f"Epoch 1: finished saving model to {path}\n"
        f"Epoch 2: loss improved from 2.00000 to 1.00000, saving model to {path}\n"
        f"Epoch 2: finished saving model to {path}\n"
        "Epoch 3: loss did not improve from 1.00000\n",
        capsys.readouterr().out,
    )


def test_pickles_with_its_batch_counter(tmp_path):
    copy = pickle.loads(pickle.dumps(ModelCheckpoint(tmp_path / "a", save_freq=2)))

    replay(copy, losses(1), batches=2)

    assert names(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_freq": 0}, "save_freq must be an integer >= 1, got 0"),
        ({"save_freq": True}, "save_freq must be 'epoch', '5 epochs' or a number of batches >= 1, got True"),
        ({"save_freq": "0 epochs"}, "got '0 epochs'"),
        ({"save_freq": "epoc"}, "got 'epoc'"),
        ({"max_to_keep": 0}, "max_to_keep must be an integer >= 1"),
        ({"mode": "up"}, "mode must be one of"),
        ({"filepath": 3}, "filepath must be a path, got 3"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ModelCheckpoint(**{"filepath": "a", **options})
