"""The numpy model as callbacks written for Keras see it: layers, weights, shapes, metrics, calls."""

import numpy as np
import pytest

from onstage import Callback, Sequential, layers, optimizers
from onstage.nn.layers.calling import TensorSpec
from onstage.nn.sequential import model_from_json


class Gain(layers.Layer):
    """Multiply by a trained and an untrained number, made with Keras 3's keywords."""

    def build(self, input_shape):
        self.fixed = self.add_weight(
            name="fixed", trainable=False, initializer="ones", shape=(1,), dtype="float32"
        )
        self.gain = self.add_weight(shape=(1,), initializer="ones", name="gain")

    def forward(self, x, training):
        return x * self.gain.value * self.fixed.value

    def backward(self, gradient):
        return gradient


@pytest.fixture
def model():
    made = Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, "relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, "softmax", name="out"),
        ],
        seed=0,
    )
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.array([0, 1, 1, 0, 1, 0])


def test_layers_are_found_by_name_and_by_index(model):
    assert model.get_layer("norm") is model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(index=-1) is model.layers[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hiden"}, "one of hidden, norm, out, got 'hiden'; did you mean 'hidden'"),
        ({"index": 3}, "index must be less than the number of layers, 3, got 3"),
        ({}, "either name or index must be given"),
        ({"name": "out", "index": 0}, "either name or index must be given"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.get_layer(**arguments)


def test_weights_of_a_layer_are_copied_and_replaced(model):
    layer = model.get_layer("hidden")
    kernel, bias = layer.get_weights()

    layer.set_weights([kernel * 2, bias + 1])
    kernel[:] = 0

    assert model.get_weights()[1].tolist() == [1, 1, 1, 1]
    assert model.get_weights()[0].any()
    assert layer.count_params() == 16


def test_weights_of_another_shape_are_refused_by_a_layer(model):
    layer = model.get_layer("hidden")

    with pytest.raises(ValueError, match=r"kernel must have shape \(3, 4\), got \(4, 3\)"):
        layer.set_weights([each.T for each in layer.get_weights()])
    with pytest.raises(ValueError, match="weights must be 2 arrays, got 1"):
        layer.set_weights(layer.get_weights()[:1])


def test_statistics_and_frozen_weights_are_not_trainable(model):
    names = [each.name for each in model.non_trainable_variables]
    assert names == ["moving_mean", "moving_variance"]

    model.get_layer("out").trainable = False

    assert [each.name for each in model.non_trainable_weights] == [*names, "kernel", "bias"]
    assert [each.name for each in model.trainable_variables] == ["kernel", "bias", "gamma", "beta"]
    assert model.get_layer("out").trainable_weights == []
    assert len(model.variables) == len(model.weights) == 8


def test_a_variable_reads_and_is_set_like_one_of_keras(model):
    kernel = model.get_layer("hidden").kernel

    kernel.assign(np.ones((3, 4)))

    assert model.get_weights()[0].sum() == np.sum(kernel) == kernel.numpy().sum() == 12
    with pytest.raises(ValueError, match=r"kernel must have shape \(3, 4\), got \(4,\)"):
        kernel.assign(np.ones(4))

    kernel.assign_add(2.0)
    kernel.assign_sub(np.full((3, 4), 0.5))

    assert kernel.numpy().tolist() == [[2.5] * 4] * 3


def test_an_unbuilt_model_has_no_weights_and_no_shapes():
    model = Sequential([layers.Dense(2)])

    assert model.get_weights() == model.weights == model.layers[0].get_weights() == []
    assert not any(hasattr(model, name) for name in ("input_shape", "output_shape", "inputs", "outputs"))


def test_inputs_and_outputs_have_shape_type_and_name(model):
    assert model.inputs == [TensorSpec((None, 3), "float32", "input")] == [model.input]
    assert model.outputs == [TensorSpec((None, 2), "float32", "out")] == [model.output]
    embedding = Sequential([layers.Input((5,)), layers.Embedding(10, 2)])
    assert embedding.inputs[0].dtype == "int64"


def test_calling_a_model_returns_what_predict_returns(model):
    model.fit(X, Y, epochs=2, verbose=0)

    np.testing.assert_array_equal(model(X), model.predict(X, verbose=0))
    np.testing.assert_array_equal(model(X.tolist(), training=False), model(X))


def test_calling_a_model_in_training_mode_uses_and_updates_the_statistics_of_the_batch(model):
    first = model(X, training=True)
    hidden = np.maximum(X @ model.get_weights()[0], 0)
    normalized = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
    logits = normalized @ model.get_layer("out").get_weights()[0]

    np.testing.assert_allclose(np.log(first[:, 0] / first[:, 1]), logits[:, 0] - logits[:, 1], rtol=1e-4)
    np.testing.assert_allclose(model.get_layer("norm").moving_mean.value, 0.01 * hidden.mean(0), rtol=1e-4)


def test_calling_layers_one_after_another_returns_what_the_model_returns(model):
    values = X
    for layer in model.layers:
        values = layer(values)

    np.testing.assert_allclose(values, model(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (layers.Dense(4, "relu"), X),
        (layers.Conv2D(2, 3), np.ones((2, 5, 5, 1))),
        (layers.Embedding(5, 2), np.array([[0, 4]])),
        (Gain(), X),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_outside_a_model_is_built_by_its_first_call(layer, x):
    out = layer(x)

    model = Sequential([layer])
    model.build((None, *x.shape[1:]))
    np.testing.assert_allclose(model(x), out, rtol=1e-6)


@pytest.mark.parametrize(
    "symbolic", [layers.Input((3,)), TensorSpec((None, 3), "float32", "input")], ids=["Input", "TensorSpec"]
)
def test_a_graph_of_layers_is_refused_with_the_way_out(model, symbolic):
    for called in (layers.Dense(2), model):
        with pytest.raises(TypeError, match=r"trains Sequential models: .*onstage_torch\.TorchModel"):
            called(symbolic)


def test_a_call_with_another_shape_is_refused(model):
    with pytest.raises(ValueError, match=r"x must have shape \(None, 3\) for 'hidden', got \(6, 2\)"):
        model.layers[0](X[:, :2])
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 3\)"):
        model(X[:, :2])


def test_add_weight_takes_the_keywords_of_keras_3():
    layer = Gain()
    layer(X)

    assert [(each.name, each.trainable) for each in layer.weights] == [("gain", True), ("fixed", False)]


def test_the_name_as_first_argument_of_add_weight_is_refused():
    class Old(layers.Layer):
        def build(self, input_shape):
            self.gain = self.add_weight("gain", (1,))

    with pytest.raises(TypeError, match="got 'gain'; pass the name as name='gain'"):
        Old()(X)


def test_metrics_show_the_running_means_of_the_stage(model):
    shown = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs):
            shown.append({each.name: each.result() for each in self.model.metrics} == dict(logs))

    assert [(each.name, each.direction) for each in model.metrics] == [("loss", "min"), ("accuracy", "max")]
    assert [each.result() for each in model.metrics] == [0.0, 0.0]
    model.fit(X, Y, 2, verbose=0, callbacks=[Watch()])

    assert shown == [True] * 3
    assert model.metrics_names == ["loss", "accuracy"]


def test_resetting_the_metrics_makes_the_next_logs_those_of_one_batch(model):
    seen = []

    class Reset(Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(logs["loss"])
            self.model.reset_metrics()

    weights = model.get_weights()
    model.fit(X, Y, 2, shuffle=False, verbose=0, callbacks=[Reset()])
    model.set_weights(weights)
    single = [model.train_on_batch(X[i : i + 2], Y[i : i + 2])[0] for i in (0, 2, 4)]

    assert seen == pytest.approx(single)


def test_resetting_one_metric_keeps_the_others(model):
    accumulator = model.new_accumulator()
    model.test_step((X, Y, None), accumulator)
    before = dict(accumulator.logs())

    model.metrics[1].reset_state()

    assert dict(accumulator.logs()) == before | {"accuracy": 0.0}


def test_an_uncompiled_model_has_no_metrics_and_an_unbuilt_one_the_loss():
    model = Sequential([layers.Dense(2)])
    assert (model.metrics, model.loss, model.compiled, model.optimizer) == ([], None, False, None)

    model.compile("sgd", "mse", ["mae"])

    assert [each.name for each in model.metrics] == ["loss"]
    assert (model.loss, model.compiled) == ("mse", True)


def test_arguments_of_compile_without_effect_are_accepted():
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    options = {"run_eagerly": True, "steps_per_execution": 4, "jit_compile": False, "auto_scale_loss": False}

    model.compile("sgd", "mse", **options)

    batches = []

    class Count(Callback):
        def on_train_batch_end(self, batch):
            batches.append(batch)

    model.fit(X, np.ones((6, 2)), 2, verbose=0, callbacks=[Count()])
    assert batches == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps_per_execution": 0}, "steps_per_execution must be an integer >= 1, got 0"),
        ({"jit_compile": "always"}, "jit_compile must be True or False, got 'always'"),
        ({"run_eagerly": 1}, "run_eagerly must be True or False, got 1"),
        ({"auto_scale_loss": None}, "auto_scale_loss must be True or False, got None"),
        ({"loss_weights": [0.5]}, r"loss_weights must be None, as the model has one output, got \[0.5\]"),
    ],
)
def test_invalid_arguments_of_compile_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Sequential([layers.Dense(2)]).compile("sgd", "mse", **options)


def test_input_takes_the_arguments_of_keras():
    given = layers.Input((3,), batch_size=8, dtype="float32", name="features")

    assert Sequential([given, layers.Dense(2)]).input_shape == (None, 3)
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1, got 0"):
        layers.Input((3,), batch_size=0)
    with pytest.raises(TypeError):
        layers.Input((3,), dtype="number")


class Shift(layers.Layer):
    def __init__(self, amount=1.0, **options):
        super().__init__(**options)
        self.amount = amount

    def forward(self, x, training):
        return x + self.amount

    def get_config(self):
        return {"amount": self.amount, **super().get_config()}


def every_kind():
    return Sequential(
        [
            layers.Input((6, 2)),
            layers.Conv1D(3, 2, padding="causal", kernel_regularizer="l2", name="conv"),
            layers.MaxPooling1D(2, strides=1),
            layers.BatchNormalization(),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.2),
            layers.Dense(2, "softmax", trainable=False),
        ],
        name="every",
        dtype="float64",
    )


def test_a_configuration_makes_the_same_model_with_new_weights():
    model = every_kind()
    x = np.ones((2, 6, 2))

    twin = Sequential.from_config(model.get_config())
    read = model_from_json(model.to_json(indent=2))
    for each in (twin, read):
        each.set_weights(model.get_weights())

    assert twin.get_config() == read.get_config() == model.get_config()
    assert np.array_equal(twin(x), model(x))
    assert np.array_equal(read(x), model(x))
    assert [each.trainable for each in read.layers] == [True] * 5 + [False]


def test_an_unbuilt_model_has_a_configuration():
    twin = Sequential.from_config(Sequential([layers.Dense(2)]).get_config())

    assert not twin.built
    assert twin(X).shape == (6, 2)


def test_custom_layers_of_a_configuration_are_passed_by_name():
    config = Sequential([layers.Input((3,)), Shift(2.0)]).get_config()

    twin = Sequential.from_config(config, {"Shift": Shift})

    assert np.array_equal(twin(X), X + 2)
    with pytest.raises(ValueError, match=r"layer must be one of .*, got 'Shift'"):
        Sequential.from_config(config)


@pytest.mark.parametrize("text", ["[]", "{}", '{"class_name": "Functional", "config": {}}'])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r"text must be the result of to_json\(\) of a Sequential"):
        model_from_json(text)


def test_an_incomplete_configuration_is_refused():
    with pytest.raises(ValueError, match=r"got one without \['dtype', 'input_shape', 'layers'\]"):
        Sequential.from_config({"name": "a"})


def test_layers_and_optimizers_are_made_from_their_configurations():
    layer = layers.Dense.from_config(layers.Dense(3, "relu", name="a").get_config())
    optimizer = optimizers.SGD.from_config(optimizers.SGD(0.5, momentum=0.9).get_config())

    assert (layer.units, layer.name) == (3, "a")
    assert (optimizer.learning_rate, optimizer.momentum) == (0.5, 0.9)


def test_the_repr_has_layers_weights_optimizer_and_loss():
    shown = Sequential([layers.Input((3,)), layers.Dense(2), layers.BatchNormalization()], name="net")

    assert repr(shown) == "<Sequential name='net' layers=[Dense, BatchNormalization] weights=16>"
    shown.compile("adam", loss="mse")
    assert repr(shown).endswith(" weights=16 optimizer='adam' loss='mse'>")
    assert repr(Sequential([layers.Dense(2)])) == "<Sequential name='sequential' layers=[Dense] weights=?>"
