"""Lightning adds the adapter by itself, if the settings name callbacks."""

import csv

import pytest


def train(trainings, package="lightning.pytorch", callbacks=()):
    from importlib import import_module

    pl = import_module(package)
    trainer = trainings.new_trainer(pl, list(callbacks), 2)
    trainer.fit(trainings.new_module(pl), *trainings.loaders())
    return [type(each).__name__ for each in trainer.callbacks]


@pytest.fixture
def log_csv(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.onstage.options]\ncsv_logger = {filename = "log.csv"}\n')
    return tmp_path / "log.csv"


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_a_training_that_nobody_touched_gets_the_callbacks_of_the_environment(
    package, trainings, log_csv, monkeypatch
):
    pytest.importorskip(package)
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "csv_logger")

    assert train(trainings, package) == ["OnstageSettings"]
    assert [row["epoch"] for row in csv.DictReader(log_csv.read_text().splitlines())] == ["0", "1"]


def test_a_project_file_names_callbacks_too(trainings, log_csv, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.onstage]\ncallbacks = [{csv_logger = {filename = "log.csv"}}]\n'
    )

    assert train(trainings) == ["OnstageSettings"]
    assert log_csv.exists()


def test_without_names_no_callback_is_added(trainings):
    assert train(trainings) == []


def test_autouse_turns_it_off(trainings, log_csv, monkeypatch):
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "csv_logger")
    monkeypatch.setenv("ONSTAGE_AUTOUSE", "0")

    assert train(trainings) == []
    assert not log_csv.exists()


def test_beside_an_adapter_in_code_the_callbacks_of_the_settings_run_once(trainings, log_csv, monkeypatch):
    from onstage_lightning import OnstageCallback

    from onstage.testing import Recorder

    monkeypatch.setenv("ONSTAGE_CALLBACKS", "csv_logger")
    recorder = Recorder()

    train(trainings, callbacks=[OnstageCallback([recorder])])

    assert recorder.stages.count("on_train_begin") == 1
    assert [row["epoch"] for row in csv.DictReader(log_csv.read_text().splitlines())] == ["0", "1"]
