"""Keras's utilities: seeds, one-hot rows, the progress bar, registered classes."""

import random
import re

import numpy as np
import pytest

from onstage import keras
from onstage.keras import saving, utils
from onstage.nn import seeding


@pytest.fixture(autouse=True)
def unseeded(monkeypatch):
    """Leave no seed to later tests."""
    monkeypatch.setattr(seeding, "_sequence", None)
    state = np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    np.random.set_state(state[0])  # noqa: NPY002
    random.setstate(state[1])


def train():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x = np.random.normal(size=(20, 3))  # noqa: NPY002  # numpy's global generator is seeded
    history = model.fit(x, x.sum(1), epochs=2, batch_size=5, verbose=0)
    return history.history["loss"], model.get_weights()


def test_a_seed_makes_weights_shuffling_dropout_and_global_draws_repeatable():
    runs = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        runs.append((*train(), random.random()))

    (losses, weights, drawn), again, other = runs
    assert (losses, drawn) == (again[0], again[2])
    assert all(np.array_equal(*pair) for pair in zip(weights, again[1], strict=True))
    assert losses != other[0]


def test_two_models_after_one_seed_begin_with_different_weights():
    utils.set_random_seed(1)
    first, second = (keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]) for _ in range(2))

    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_models_without_a_seed_differ():
    first, second = (keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]) for _ in range(2))

    assert not np.array_equal(first.get_weights()[0], second.get_weights()[0])


def test_classes_become_one_hot_rows():
    assert utils.to_categorical([[1], [0]], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert utils.to_categorical([[0, 1]]).shape == (1, 2, 2)
    with pytest.raises(ValueError, match=r"classes must be in \[0, 2\), got 0 to 2"):
        utils.to_categorical([0, 2], 2)
    with pytest.raises(ValueError, match="got -1 to 1"):
        utils.to_categorical([-1, 1])


def test_rows_are_divided_by_their_norms():
    assert utils.normalize([[3.0, 4.0], [0.0, 0.0]]).tolist() == [[0.6, 0.8], [0.0, 0.0]]


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_progress_bar_outside_a_terminal_prints_one_line_with_means(capsys, verbose):
    bar = utils.Progbar(4, verbose=verbose, stateful_metrics=["rate"])
    bar.update(1, [("loss", 4.0), ("rate", 1.0)])
    bar.add(3, [("loss", 0.0), ("rate", 0.0005)])

    printed = capsys.readouterr().out
    assert re.fullmatch(r"4/4.* - [\d.]+ .s/step - loss: 1\.0000 - rate: 5\.0000e-04\n", printed)
    assert ("[====================]" in printed) is (verbose == 1)


def test_a_silent_progress_bar_prints_nothing(capsys):
    utils.Progbar(1, verbose=0).add(1)

    assert capsys.readouterr().out == ""


def test_a_progress_bar_without_a_target_ends_when_it_is_told(capsys):
    bar = utils.Progbar(None, unit_name="sample")
    bar.add(7, [("loss", 2.0)])
    bar.update(9, finalize=True)

    assert re.fullmatch(r"9/Unknown - .*/sample - loss: 2\.0000\n", capsys.readouterr().out)


def test_a_registered_class_is_found_by_load_model(tmp_path):
    with utils.custom_object_scope({}):

        @saving.register_keras_serializable(package="mine")
        class Doubled(keras.layers.Dense):
            pass

        model = keras.Sequential([keras.Input((2,)), Doubled(1)])
        keras.models.save_model(model, tmp_path / "model.onstage")
        loaded = keras.models.load_model(tmp_path / "model.onstage")

        assert type(loaded.layers[0]) is Doubled
        assert utils.get_registered_name(Doubled) == "mine>Doubled"
        assert utils.get_registered_object("mine>Doubled") is Doubled
    assert "Doubled" not in utils.get_custom_objects()
    with pytest.raises(ValueError, match="Doubled"):
        keras.models.load_model(tmp_path / "model.onstage")
