"""A mistake is refused by a sentence with the name, the value and the remedy."""

import re
from pathlib import Path

import numpy as np
import pytest

import onstage
import onstage.errors
from onstage import Bus, Callback, OnstageWarning, Run, Sequential, layers, optimizers
from onstage.callbacks import CSVLogger, EarlyStopping

X = np.ones((8, 2), "float32")
Y = np.ones((8, 1), "float32")


def fit(x=X, y=Y, **options):
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    return model.fit(x, y, **{"verbose": 0, "epochs": 1, **options})


def iterate(data):
    with Run(callbacks=[]) as run:
        for _ in run.epochs():
            for _ in run.batches(data):
                pass


class NoStage:
    def epoch_end(self):
        pass


stopping = EarlyStopping("loss")

MISTAKES = [
    (lambda: Bus("csv_logger"), "plugins must be a list of callbacks, got 'csv_logger'; write Bus([onstage."),
    (lambda: Bus(stopping), "plugins must be a list of callbacks, got EarlyStopping(monitor='loss'); write"),
    (
        lambda: Bus(["csv_logger"]),
        "must be an object, got 'csv_logger'; write onstage.callback('csv_logger')",
    ),
    (lambda: Bus([NoStage()]), "named after stages (on_epoch_end, …), got an object of the class NoStage;"),
    (
        lambda: fit(callbacks=[stopping] * 2),
        "callbacks must hold each object once, got EarlyStopping(monitor=",
    ),
    (lambda: fit(callbacks=[lambda: 0]), "got the function <lambda>; write LambdaCallback(on_epoch_end=…)"),
    (
        lambda: Run([stopping]),
        "model must be a model or None, got [EarlyStopping(monitor='loss')]; write Run(ca",
    ),
    (
        lambda: Run(stopping),
        "model must be a model or None, got EarlyStopping(monitor='loss'); write Run(callba",
    ),
    (lambda: Run(epochs="3"), "epochs must be an integer >= 0, got '3'"),
    (lambda: Run(initial_epoch=-1), "initial_epoch must be an integer >= 0, got -1"),
    (lambda: iterate(5), "data must be an iterable of batches, got 5"),
    (lambda: EarlyStopping(3), "monitor must be the name of a metric, got 3"),
    (lambda: EarlyStopping(None), "monitor must be the name of a metric, got None"),
    (lambda: EarlyStopping(mode=None), "mode must be one of 'auto', 'min', 'max', got None"),
    (
        lambda: fit(callbacks=[EarlyStopping("los")]),
        "monitor must be one of 'loss', 'mae', got 'los'; did you me",
    ),
    (lambda: CSVLogger("."), "filename must be the path of a file, got '.'"),
    (lambda: Sequential(layers.Dense(1)), "layers must be a list, got a Dense; write [Dense(…)]"),
    (lambda: optimizers.Adam(lr=0.1), "Adam has no argument 'lr'; did you mean 'learning_rate'?"),
    (lambda: fit(validation_data=X), "validation_data must be (x, y), got an array of shape (8, 2)"),
    (lambda: fit("data.csv"), "x must be numbers, got a str; load the file first, for example with np.load"),
    (lambda: fit(X.astype(complex)), "such as (1+0j); pass .real and .imag as columns"),
    (
        lambda: fit(np.array([["2020-01-01"]] * 8, "datetime64[D]")),
        "subtract a date and divide by np.timedelta",
    ),
    (lambda: fit([[1.0, 2.0], [3.0]], [0.0, 1.0]), "pad rows of different lengths"),
    (
        lambda: onstage.EarlyStopping,
        "module 'onstage' has no attribute 'EarlyStopping'; it is in onstage.callback",
    ),
    (lambda: onstage.Sequental, "module 'onstage' has no attribute 'Sequental'; did you mean 'Sequential'?"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_told_with_its_remedy(mistake, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=re.escape(message)):
        mistake()


def test_an_import_from_the_wrong_module_names_the_right_one():
    with pytest.raises(ImportError, match=r"it is in onstage\.layers"):
        from onstage import Dense  # noqa: F401


def test_a_short_name_is_completed():
    assert onstage.errors.did_you_mean("acc", ["loss", "accuracy"]) == "; did you mean 'accuracy'?"
    assert onstage.errors.did_you_mean("qq", ["loss", "accuracy"]) == ""


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda tensor: tensor.requires_grad_(), r"write x\.detach\(\)\.cpu\(\), or train"),
        (lambda tensor: tensor.to("meta"), r"write x\.detach\(\)\.cpu\(\), or train"),
        (lambda tensor: tensor.bfloat16(), r"write x\.detach\(\)\.cpu\(\)\.float\(\), or train"),
    ],
)
def test_a_tensor_that_numpy_cannot_read_is_told_how(change, remedy):
    torch = pytest.importorskip("torch")

    with pytest.raises(ValueError, match=remedy):
        fit(change(torch.ones(8, 2)))


def test_a_generator_that_ends_within_steps_per_epoch_ends_the_training():
    batches = iter([(X, Y)] * 2)

    with pytest.warns(
        OnstageWarning, match="x ran out of data after 0 of 2 batches; the epoch ends here, and n"
    ):
        history = fit(batches, None, steps_per_epoch=2, epochs=5)

    assert history.stop_reason == "the data has ended"


class Breaks(Callback):
    def on_epoch_end(self):
        raise ValueError("boom")


def test_an_error_names_the_setting_that_added_the_callback(monkeypatch):
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "early_stopping")

    with pytest.raises(ValueError, match="monitor must be one of") as caught:
        fit()

    assert re.search(
        r"EarlyStopping .*, added by ONSTAGE_CALLBACKS, in on_train_begin", caught.value.__notes__[0]
    )


def test_a_missing_need_names_the_file_that_added_the_callback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[tool.onstage]\ncallbacks = [{model_checkpoint = {filepath = "a"}}]\n')

    with pytest.raises(TypeError, match=r"ModelCheckpoint \(added by .*pyproject\.toml\) needs"), Run():
        pass


def test_an_error_of_a_callback_in_code_names_no_setting(monkeypatch):
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "terminate_on_nan")

    with pytest.raises(ValueError, match="boom") as caught:
        fit(callbacks=[Breaks()])

    assert "added by" not in caught.value.__notes__[0]
