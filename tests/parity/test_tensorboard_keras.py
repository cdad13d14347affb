"""TensorBoard and Keras's write the same events for the same Keras training.

Requires keras, tensorflow (which Keras's callback needs) and tensorboard.
"""

import json
import os
import warnings

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard

from onstage.bus import Bus

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")
    tensorflow = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray


class KerasModel:
    """The interface of a model that onstage callbacks use, over a Keras model."""

    def __init__(self, model):
        self._model = model
        self.name = model.name
        self.layers = model.layers
        self.optimizer = model.optimizer

    def get_weights(self):
        return self._model.get_weights()

    @property
    def learning_rate(self):
        return float(self.optimizer.learning_rate)


class Bridge(keras.callbacks.Callback):
    """Forwards every stage of a Keras training to an onstage callback."""

    def __init__(self, callback):
        super().__init__()
        self.callback = callback
        self.bus = Bus([callback])

    def set_model(self, model):
        super().set_model(model)
        self.callback.set_model(KerasModel(model))


def _stage(name):
    def method(self, *args, logs=None):
        counted = ["batch"] if "batch" in name else ["epoch"] if "epoch" in name else []
        given = dict(zip([*counted, "logs"], args, strict=False))
        getattr(self.bus.hook, name)(**{"logs": dict(logs or {}), **given}, run=None)

    return method


for _name in (
    *("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_train_batch_begin"),
    *("on_train_batch_end", "on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end"),
):
    setattr(Bridge, _name, _stage(_name))


def events_of(folder):
    """Return ``{(tag, step): value}`` as TensorBoard reads the files of a run."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("tensor"):
                    assert (value.tag, event.step) not in found, "written twice"
                    found[value.tag, event.step] = make_ndarray(value.tensor)
    return found


def fit_with_both(tmp_path, layers, x, y, **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(layers, name="net")
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], run_eagerly=True)
    ours = TensorBoard(tmp_path / "ours", **options)
    theirs = keras.callbacks.TensorBoard(str(tmp_path / "theirs"), **options)
    model.fit(
        x, y, batch_size=4, epochs=3, validation_split=1 / 3, verbose=0, callbacks=[theirs, Bridge(ours)]
    )
    ours.on_teardown()
    return {
        run: (events_of(tmp_path / "ours" / run), events_of(tmp_path / "theirs" / run))
        for run in ("train", "validation")
    }


def data(*shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(24, *shape)).astype("float32"), rng.normal(size=(24, 1)).astype("float32")


def dense():
    return [keras.Input((6,)), keras.layers.Dense(5, name="first"), keras.layers.Dense(1, name="second")]


def is_rate(tag):
    return tag.endswith("_steps_per_second")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"update_freq": 1},
        {"update_freq": "batch", "histogram_freq": 1},
        {"update_freq": 2, "write_steps_per_second": True},
        {"histogram_freq": 2, "write_graph": False},
        {"histogram_freq": 1, "write_images": True},
    ],
    ids=str,
)
def test_writes_the_tags_steps_and_values_of_keras(tmp_path, options):
    runs = fit_with_both(tmp_path, dense(), *data(6), **options)

    for ours, theirs in runs.values():
        extra = {("model/text_summary", 0)}  # table in the Text tab, only ours
        # Ours have the images of vectors in a group of their own.
        assert {(tag.replace("_vectors/", "/"), step) for tag, step in set(ours) - extra} == set(theirs)
        for key, value in theirs.items():
            if key[0] == "keras" or key[0].endswith("/image") or is_rate(key[0]):
                continue
            if key[0].endswith("/histogram"):
                # For equal numbers Keras writes 29 empty buckets of width 0.
                value = value if value[0, 0] < value[-1, 1] else value[-1:]
            np.testing.assert_allclose(ours[key], value, rtol=1e-6, atol=1e-6, err_msg=str(key))


def test_keeps_the_epochs_that_keras_omits_between_two_batch_writes(tmp_path):
    runs = fit_with_both(tmp_path, dense(), *data(6), update_freq=3)

    ours, theirs = ([step for tag, step in run if tag == "epoch_loss"] for run in runs["train"])
    assert theirs == [2], "4, 8 and 12 batches: only 12 is a multiple of 3"
    assert ours == [0, 1, 2]


def test_the_graph_has_the_layers_of_keras(tmp_path):
    runs = fit_with_both(tmp_path, dense(), *data(6))

    ours, theirs = (json.loads(events["keras", 0].item()) for events in runs["train"])

    def layers_of(config):
        return [
            (layer["class_name"], layer["config"]["name"])
            for layer in config["config"]["layers"]
            if layer["class_name"] != "InputLayer"
        ]

    assert ours["config"]["name"] == theirs["config"]["name"] == "net"
    assert layers_of(ours) == layers_of(theirs)


def test_images_of_matrices_have_the_size_of_keras_and_vectors_are_rows(tmp_path):
    runs = fit_with_both(tmp_path, dense(), *data(6), histogram_freq=1, write_images=True)

    ours, theirs = runs["train"]
    images = [key for key in theirs if key[0].endswith("/image")]
    assert len(images) == 3 * 3, "kernel, bias, kernel; not the last bias, a single number"
    for tag, step in images:
        width, height = theirs[tag, step][:2].tolist()
        if "/bias/" in tag:  # Keras draws a column, as wide as a tab; ours is a row
            assert ours[tag.replace("/", "_vectors/", 1), step][:2].tolist() == [height, width]
        else:
            assert ours[tag, step][:2].tolist() == [width, height]


def test_kernels_of_many_inputs_are_drawn_although_keras_omits_them(tmp_path):
    layers = [
        keras.Input((8, 8, 2)),
        keras.layers.Conv2D(5, 3, name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(1),
    ]

    runs = fit_with_both(tmp_path, layers, *data(8, 8, 2), histogram_freq=1, write_images=True)

    ours, theirs = runs["train"]
    assert ("net/conv/kernel/image", 0) not in theirs
    # Deliberate difference: 2 rows and 5 columns of 3 x 3, with a line between two.
    assert ours["net/conv/kernel/image", 0][:2].tolist() == [b"19", b"7"]


@pytest.mark.parametrize("profile_batch", [-1, (3, 2), "a", (1, 2, 3), None])
def test_refuses_the_profile_batches_that_keras_refuses(profile_batch):
    with pytest.raises((ValueError, TypeError)):
        keras.callbacks.TensorBoard(profile_batch=profile_batch)

    with pytest.raises(ValueError, match="profile_batch must be"):
        TensorBoard(profile_batch=profile_batch)
