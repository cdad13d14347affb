"""ModelCheckpoint saves at the same times and paths as Keras's, on random metrics."""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_model_checkpoint import ModelCheckpoint  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, load_model, optimizers  # noqa: E402

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))

# Keras compares in float32, in which eighths are exact too.
eighths = st.integers(-16, 16).map(lambda n: n / 8)
values = st.one_of(eighths, eighths, eighths, st.just(math.nan), st.none())
options = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["auto", "min", "max"]),
        "save_best_only": st.booleans(),
        "save_weights_only": st.booleans(),
        "initial_value_threshold": st.none() | eighths,
    }
)


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


class Saves:
    """A model that only records the calls to its save methods."""

    def __init__(self):
        self.saved = []

    def save(self, path, overwrite):
        self.saved.append(("model", os.fspath(path)))

    def save_weights(self, path, overwrite):
        self.saved.append(("weights", os.fspath(path)))


class Mended(keras.callbacks.ModelCheckpoint):
    """Keras's with our deliberate differences.

    A NaN never becomes the best; a missing monitor skips the save; the direction
    is resolved before the first batch, not at the end of the first epoch.
    """

    def _is_improvement(self, value, reference):
        return not math.isnan(value) and bool(super()._is_improvement(value, reference))

    def _should_save_model(self, epoch, batch, logs, filepath):
        if self.save_best_only and logs.get(self.monitor) is None:
            return False
        return super()._should_save_model(epoch, batch, logs, filepath)

    def on_train_begin(self, logs=None):
        if self.monitor_op is None:
            self._set_monitor_op()


def start_training(callback):
    callback.set_model(Saves())
    callback.on_train_begin()
    return callback


def pair(folder, template, options, **more):
    suffix = ".weights.h5" if options["save_weights_only"] else ".keras"
    path = str(folder / (template + suffix))
    return (
        start_training(ModelCheckpoint(path, **options, **more)),
        start_training(Mended(path, **options, **more)),
    )


def compare(ours, theirs):
    assert ours.model.saved == theirs.model.saved
    if theirs.save_best_only:
        assert ours.best == theirs.best


@pytest.mark.filterwarnings("ignore:ModelCheckpoint watches")
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(values, max_size=10), options, st.sampled_from(["best", "{epoch:02d}", "{epoch}-{loss:.2f}"]))
def test_saves_in_the_same_epochs(folder, sequence, options, template):
    ours, theirs = pair(folder, template, options)

    for epoch, value in enumerate(sequence):
        logs = {"loss": 0.125 * epoch} | ({} if value is None else {"val_loss": value})
        for callback in (ours, theirs):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, dict(logs))
        compare(ours, theirs)


@pytest.mark.filterwarnings("ignore:ModelCheckpoint watches")
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.lists(values, min_size=1, max_size=5), max_size=4),
    options,
    st.integers(1, 7),
    st.sampled_from(["best", "{epoch}-{batch:03d}"]),
)
def test_saves_after_the_same_batches(folder, epochs, options, save_freq, template):
    ours, theirs = pair(folder, template, options, save_freq=save_freq, monitor="loss")

    for epoch, batches in enumerate(epochs):
        for callback in (ours, theirs):
            callback.on_epoch_begin(epoch)
        for batch, value in enumerate(batches):
            logs = {"other": 1.0} | ({} if value is None else {"loss": value})
            for callback in (ours, theirs):
                callback.on_train_batch_end(batch, dict(logs))
            compare(ours, theirs)
        for callback in (ours, theirs):
            callback.on_epoch_end(epoch, {"loss": 0.0})
        compare(ours, theirs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(eighths, max_size=10), options)
def test_without_gaps_and_nans_unmodified_keras_saves_in_the_same_epochs(folder, sequence, options):
    suffix = ".weights.h5" if options["save_weights_only"] else ".keras"
    path = str(folder / f"{{epoch}}{suffix}")
    ours = start_training(ModelCheckpoint(path, **options))
    theirs = start_training(keras.callbacks.ModelCheckpoint(path, **options))

    for epoch, value in enumerate(sequence):
        for callback in (ours, theirs):
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"val_loss": value})
        compare(ours, theirs)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
KERNELS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]


def test_a_real_fit_leaves_the_same_best_model(tmp_path):
    def fit(library, optimizer, callback):
        inside = library.layers
        model = library.Sequential([inside.Input((3,)), inside.Dense(4, activation="tanh"), inside.Dense(1)])
        model.compile(optimizer(0.3), loss="mse")
        model.set_weights(KERNELS)
        model.fit(
            X, Y, batch_size=8, epochs=9, validation_split=0.5, shuffle=False, verbose=0, callbacks=[callback]
        )

    class Onstage:
        Sequential, layers = Sequential, layers

    fit(Onstage, optimizers.SGD, ModelCheckpoint(tmp_path / "ours.safetensors", save_best_only=True))
    fit(
        keras,
        keras.optimizers.SGD,
        keras.callbacks.ModelCheckpoint(tmp_path / "theirs.keras", save_best_only=True),
    )

    ours = load_model(tmp_path / "ours.safetensors").get_weights()
    theirs = keras.saving.load_model(tmp_path / "theirs.keras").get_weights()
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-5)
