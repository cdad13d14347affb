from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from onstage import load_model
from onstage.errors import StateError
from onstage.nn import activations
from onstage.nn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    MaxPooling2D,
)
from onstage.nn.losses import Huber
from onstage.nn.metrics import AUC
from onstage.nn.optimizers import SGD, Adam
from onstage.nn.schedules import CosineDecay
from onstage.nn.sequential import Sequential
from onstage.state import storage

FILES = Path(__file__).with_name("files")


def data(shape=(6, 6, 1), n=24):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, *shape)).astype(np.float32), rng.integers(2, size=(n, 1))


def convolutional():
    layers = [
        Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer="l2"),
        MaxPooling2D(),
        BatchNormalization(),
        Flatten(),
        Dropout(0.2),
        Dense(1),
        Activation("sigmoid"),
    ]
    model = Sequential(layers, seed=0, name="eyes")
    model.compile(
        Adam(CosineDecay(0.01, 100)), "binary_crossentropy", ["accuracy", AUC()], weighted_metrics=["mse"]
    )
    return model


def test_a_loaded_model_predicts_evaluates_and_trains_on_bit_for_bit(tmp_path):
    x, y = data()
    model = convolutional()
    model.fit(x, y, 8, epochs=2, verbose=0)

    model.save(tmp_path / "model.state")
    again = load_model(tmp_path / "model.state")

    assert again.name == "eyes"
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(again.predict_on_batch(x), model.predict_on_batch(x))
    assert again.test_on_batch(x, y, return_dict=True) == model.test_on_batch(x, y, return_dict=True)
    for each in (model, again):
        each.fit(x, y, 8, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.learning_rate == model.learning_rate


def test_a_model_loaded_without_compiling_can_predict(tmp_path):
    x, _ = data((3,))
    model = Sequential([Dense(2, activations.LeakyReLU(0.1))], dtype="float64")
    expected = model.predict_on_batch(x)
    model.save(tmp_path / "a")
    model.compile("sgd", "mse")
    model.save(tmp_path / "b")

    for again in (load_model(tmp_path / "a"), load_model(tmp_path / "b", compile=False)):
        np.testing.assert_array_equal(again.predict_on_batch(x), expected)
        assert again.optimizer is None


def test_weights_are_saved_alone_and_loaded_from_files_of_both_kinds(tmp_path):
    x, _ = data((3,))
    model, other = (Sequential([Input((3,)), Dense(2)], seed=seed) for seed in (0, 1))
    model.save_weights(tmp_path / "weights")
    model.save(tmp_path / "model")

    for name in ("weights", "model"):
        other.set_weights([np.zeros((3, 2)), np.zeros(2)])
        other.load_weights(tmp_path / name)
        np.testing.assert_array_equal(other.predict_on_batch(x), model.predict_on_batch(x))


def test_weights_of_another_model_are_refused_and_the_file_is_named(tmp_path):
    Sequential([Input((3,)), Dense(2)]).save_weights(tmp_path / "weights")

    with pytest.raises(StateError, match=r"weights' doesn't fit the model: kernel must have shape \(3, 4\)"):
        Sequential([Input((3,)), Dense(4)]).load_weights(tmp_path / "weights")


def test_a_file_is_not_replaced_without_overwrite(tmp_path):
    model = Sequential([Input((3,)), Dense(2)])
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")

    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="pass overwrite=True"):
            save(tmp_path / "model", overwrite=False)


def test_an_unbuilt_model_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="the model must be built first"):
        Sequential([Dense(2)]).save(tmp_path / "model")


class Scale(Layer):
    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def build(self, input_shape):
        self.gain = self.add_weight((input_shape[-1],), "zeros", name="gain")

    def forward(self, x, training):
        self.x = x
        return x * (self.start + self.gain.value)

    def backward(self, gradient):
        self.gain.gradient[...] = (gradient * self.x).sum(axis=0)
        return gradient * (self.start + self.gain.value)

    def get_config(self):
        return {"start": self.start, **super().get_config()}


class Square(activations.Activation):
    in_place = False

    def value(self, x, out):
        np.square(x, out)

    def slope(self, x, out, slope):
        np.multiply(x, 2, slope)


def quartic(y, p):
    return np.mean((y - p) ** 4, axis=-1)


def distance(y, p):
    return np.abs(y - p).max(axis=-1)


def own_model():
    model = Sequential([Input((3,)), Scale(2.0), Dense(2, Square())], seed=0)
    model.compile("sgd", quartic, [distance])
    return model


OWN = {"Scale": Scale, "Square": Square, "quartic": quartic, "distance": distance}


def test_custom_objects_restore_custom_classes_and_functions(tmp_path):
    x, _ = data((3,))
    model = own_model()
    model.save(tmp_path / "model")

    again = load_model(tmp_path / "model", custom_objects=OWN)

    y = np.zeros((len(x), 2))
    assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
    np.testing.assert_array_equal(again.predict_on_batch(x), model.predict_on_batch(x))


@pytest.mark.parametrize("missing", OWN)
def test_a_missing_custom_object_is_named(tmp_path, missing):
    own_model().save(tmp_path / "model")

    with pytest.raises(StateError, match=missing):
        load_model(tmp_path / "model", custom_objects={k: v for k, v in OWN.items() if k != missing})


def damage(change):
    def damaged(tmp_path):
        model = Sequential([Input((3,)), Dense(2)])
        model.compile(SGD(0.1), Huber(2.0))
        model.save(tmp_path / "model")
        state = storage.load(tmp_path / "model")
        change(state)
        storage.save(tmp_path / "model", state)
        return tmp_path / "model"

    return damaged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(kind="other"), r"must be a file written by model.save\(\)"),
        (lambda s: s["layers"][0].update(class_name="os.system"), "layer must be one of"),
        (lambda s: s["layers"][0].update(class_name="Layer"), "layer must be one of"),
        (lambda s: s["layers"][0]["config"].update(units="many"), "units must be an integer"),
        (lambda s: s["layers"][0]["config"].update(shell="ls"), "no argument 'shell'"),
        (lambda s: s["layers"].append(7), "cannot be loaded: layer must be a name"),
        (lambda s: s["compile"].update(loss="system"), "loss must be one of"),
        (
            lambda s: s["compile"].update(loss={"function": "print"}),
            "custom_objects must contain the function 'print'",
        ),
        (lambda s: s["compile"].update(extra=1), "cannot be loaded: .* 'extra'"),
        (lambda s: s.update(input_shape=[2]), "saved weights must have the shapes"),
        (lambda s: s.update(input_shape=[4]), r"needs weights of shape \(2,\), more than the file holds"),
        (lambda s: s["layers"][0]["config"].update(units=2**40), "more than the file holds"),
        (lambda s: s.update(input_shape=[10**30]), "more than the file holds"),
        (lambda s: s.update(layers=s["layers"] * 2_001), "at most 2,000 layers, got 2,001"),
        (lambda s: s.update(kind=np.zeros(2)), r"must be a file written by model.save\(\)"),
        (lambda s: s.update(rng=np.zeros(2)), "random state must be that of a PCG64"),
        (
            lambda s: s["compile"]["optimizer"]["config"].update(learning_rate=10**400),
            "learning_rate must be",
        ),
        (lambda s: s.pop("layers"), "cannot be loaded: 'layers'"),
        (lambda s: s.pop("rng"), "cannot be loaded: 'rng'"),
        (lambda s: s.pop("training"), "cannot be loaded: 'training'"),
        (lambda s: s["training"].pop("iterations"), "must have iterations"),
        (lambda s: s.pop("dense/bias"), r"needs weights of shape \(2,\), more than the file holds"),
        (lambda s: s.update({"dense/kernel": 3}), "saved weights must be arrays by path, got dict"),
        (
            lambda s: s.update(optimizer={"velocity": np.zeros(8)}),
            r"must have the slots \[\], got \['velocity'\]",
        ),
        (lambda s: s.update(state=7), "must have the part 'state', got int"),
        (lambda s: s.update(state={}), "saved weights must be arrays by path, got NoneType"),
    ],
)
def test_a_file_that_holds_no_valid_model_is_refused(tmp_path, change, message):
    path = damage(change)(tmp_path)

    with pytest.raises(StateError, match=message):
        load_model(path)


def test_readers_of_safetensors_see_each_weight_under_layer_and_variable(tmp_path):
    model = convolutional()
    model.build((None, 6, 6, 1))
    weights = [
        *("conv2d/kernel", "conv2d/bias", "batch_normalization/gamma", "batch_normalization/beta"),
        *("batch_normalization/moving_mean", "batch_normalization/moving_variance"),
        *("dense/kernel", "dense/bias"),
    ]

    model.save(tmp_path / "model")
    model.save_weights(tmp_path / "weights")

    whole, alone = load_file(tmp_path / "model"), load_file(tmp_path / "weights")
    assert sorted(alone) == sorted(weights)
    assert sorted(whole) == sorted([*weights, "optimizer/gradient_sum", "optimizer/square_sum"])
    for path, expected in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(whole[path], expected)
        np.testing.assert_array_equal(alone[path], expected)


def test_layers_may_have_the_names_of_other_parts_of_the_file(tmp_path):
    names = ["optimizer", "rng", "kind", "state/weights", "dense", "dense/a"]
    model = Sequential([Input((2,)), *(Dense(2, name=name) for name in names)], seed=0)
    model.compile(SGD(0.1, momentum=0.9), "mse")
    x = np.ones((4, 2))
    model.train_on_batch(x, x)

    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")

    assert again.train_on_batch(x, x) == model.train_on_batch(x, x)
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class Twins(Layer):
    def build(self, input_shape):
        self.one = self.add_weight((2,), "zeros", name="twin")
        self.two = self.add_weight((2,), "ones", name="twin")

    def forward(self, x, training):
        return x * self.one.value + self.two.value


def test_variables_of_the_same_name_are_both_saved(tmp_path):
    model = Sequential([Input((2,)), Twins()])
    model.save_weights(tmp_path / "weights")
    model.set_weights([np.full(2, 5), np.full(2, 6)])

    model.load_weights(tmp_path / "weights")

    assert [each.tolist() for each in model.get_weights()] == [[0, 0], [1, 1]]


# The two files were written by onstage 0.1.0 when weights had no paths, after one step
# from a kernel of 1 and a bias of 0 with x = (1, 2), y = 0: the prediction is 3, so the
# gradient 6 * (1, 2, 1), and the velocity -0.1 times that.
STEP = np.array([-0.6, -1.2, -0.6], np.float32)


def test_a_model_file_with_weights_by_position_is_loaded_and_trains_on():
    model = load_model(FILES / "model_by_position.safetensors")

    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel.ravel(), 1 + STEP[:2], atol=1e-6)
    np.testing.assert_allclose(bias, STEP[2:])
    state = model.optimizer.state_dict()
    assert (model.name, state["iterations"], state["learning_rate"]) == ("line", 1, 0.1)
    np.testing.assert_allclose(state["slots"]["velocity"], STEP)
    # Next prediction: 0.4 - 2 * 0.2 - 0.6 = -0.6; velocity 0.9 v - 0.1 * 2 * -0.6 * (1, 2, 1).
    model.train_on_batch(np.array([[1.0, 2.0]]), np.array([[0.0]]))
    np.testing.assert_allclose(model.get_weights()[1], STEP[2:] + 0.9 * STEP[2:] + 0.12, atol=1e-6)


def test_a_weights_file_with_weights_by_position_is_loaded():
    model = Sequential([Input((2,)), Dense(1)])

    model.load_weights(FILES / "weights_by_position.safetensors")

    np.testing.assert_allclose(model.get_weights()[0].ravel(), 1 + STEP[:2], atol=1e-6)


def test_a_state_with_weights_in_a_list_is_restored():
    model = Sequential([Input((2,)), Dense(1)], seed=0)
    state = model.state_dict()
    state["weights"] = list(state["weights"].values())
    before = model.get_weights()
    model.set_weights([np.zeros((2, 1)), np.zeros(1)])

    model.load_state_dict(state)

    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "name", ["a.pt", "a.pth", "a.CKPT", "a.onnx", "a.npz", "a.pkl", "a.h5", "a.tf", "a.bin"]
)
@pytest.mark.parametrize("method", ["save", "save_weights"])
def test_the_suffix_of_another_format_is_refused(tmp_path, monkeypatch, name, method):
    monkeypatch.chdir(tmp_path)
    model = Sequential([Input((2,)), Dense(1)])

    with pytest.raises(ValueError, match=f"filepath must not end with .*, got '{name}'; use '.safetensors'"):
        getattr(model, method)(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a", "a.safetensors", "a.onstage", "epoch.03", "a.h5.old"])
def test_other_suffixes_are_those_of_onstage_files(tmp_path, name):
    model = Sequential([Input((2,)), Dense(1)])

    model.save_weights(tmp_path / name)

    assert sorted(load_file(tmp_path / name)) == ["dense/bias", "dense/kernel"]


def test_a_file_of_another_kind_holds_no_weights(tmp_path):
    storage.save(tmp_path / "history", {"loss": [1.0]})

    with pytest.raises(
        StateError, match=r"must be a file written by model.save_weights\(\) or model.save\(\)"
    ):
        Sequential([Input((2,)), Dense(1)]).load_weights(tmp_path / "history")
