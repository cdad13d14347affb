"""A torch model has the attributes of a Keras model that callbacks read."""

import numpy as np
import pytest

from onstage import Callback

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402


def test_layers_are_found_by_name_and_index(new_model):
    model = new_model()

    assert [each.name for each in model.layers] == ["0", "3"]
    assert model.get_layer("3").weights[0].shape == (3, 8)
    assert model.get_layer(index=-1).name == "3"
    assert model.get_layer("0").module is model.module[0]
    with pytest.raises(ValueError, match="name must be the path of a layer with weights, got '7'"):
        model.get_layer("7")
    with pytest.raises(ValueError, match="index must be one of 2 layers with weights, got 2"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="must get a name or an index"):
        model.get_layer()


def test_a_layers_weights_are_read_and_replaced(new_model):
    model = new_model()
    layer = model.get_layer("3")

    layer.set_weights([np.full((3, 8), 2.0), np.zeros(3)])
    layer.weights[1].assign(np.array([1.0, 2.0, 3.0]))

    assert float(model.module[3].weight.detach().sum()) == 48
    assert layer.get_weights()[1].tolist() == [1, 2, 3]
    assert layer.weights[1].numpy().tolist() == np.array(layer.weights[1]).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="weights of the layer '3' must be 2 arrays, got 1"):
        layer.set_weights([np.zeros(3)])
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 8\), got \(2,\)"):
        layer.set_weights([np.zeros(2), np.zeros(3)])
    assert float(model.module[3].weight.detach().sum()) == 48


def test_a_frozen_layer_is_not_trained(data, new_model):
    model = new_model()
    before = model.get_weights()

    model.get_layer("0").trainable = False
    model.fit(*data, verbose=0)

    after = model.get_weights()
    changed = [bool((a != b).any()) for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, True, True]
    assert [each.path for each in model.trainable_weights] == ["3/weight", "3/bias"]
    assert not model.get_layer("0").trainable


def test_calling_the_model_computes_outputs_in_evaluation_mode_and_restores_the_mode(data, new_model):
    model = new_model(dropout=0.9)
    modes = []

    class Predicts(Callback):
        def on_train_batch_end(self):
            outputs = self.model(data[0])
            again = self.model(data[0], training=False)
            modes.append((self.model.module.training, bool((outputs == again).all())))

    model.fit(*data, verbose=0, callbacks=[Predicts()])

    assert set(modes) == {(True, True)}
    x = torch.from_numpy(data[0])
    model.module.eval()
    assert torch.equal(model(x), model.module(x))
    assert model(data[0]).numpy().shape == (40, 3)
    assert model(x, training=True).requires_grad
    assert bool((model(x, training=True) != model(x, training=True)).any())
    assert not model.module[2].training


def test_a_submodule_that_was_frozen_in_evaluation_mode_stays_so_in_a_call():
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
    module.train()
    module[0].eval()

    TorchModel.view(module)(np.ones((4, 2), np.float32), training=True)

    assert [each.training for each in module.modules()] == [True, False, True]
    assert module[0].num_batches_tracked == 0


def test_the_summary_counts_weights(new_model):
    lines = []
    model = new_model()
    model.module[0].requires_grad_(False)
    model.summary(print_fn=lines.append)

    assert model.count_params() == 6 * 8 + 8 + 8 * 3 + 3
    assert "0 (Linear)" in lines[0]
    assert "Total weights: 83 (trainable 27, others 56)" in lines[0]


def test_shared_weights_are_counted_once():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight

    assert TorchModel.view(module).count_params() == 4 + 2 + 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inputs", "TorchModel has no inputs: a module accepts whatever its forward does"),
        ("output_shape", "TorchModel has no output_shape"),
        ("to_json", "a module's class is its configuration"),
        ("compile", "optimizer, loss and metrics are arguments of TorchModel"),
    ],
)
def test_attributes_that_a_module_cannot_have_tell_the_way_out(name, message, new_model):
    model = new_model()

    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=message):
        getattr(model, name)


def test_a_layer_that_is_called_tells_the_way_out(new_model):
    layer = new_model().layers[0]

    with pytest.raises(
        TypeError, match=rf"the layer '{layer.name}' cannot be called: .*register_forward_hook"
    ):
        layer(np.ones((1, 4)))


def test_loss_and_metrics_are_read_from_the_model(data, new_model):
    model = new_model(metrics=["accuracy"])
    values = []

    class Reads(Callback):
        def on_train_batch_end(self, logs):
            values.append({each.name: each.result() for each in self.model.metrics} == dict(logs))

    model.fit(*data, batch_size=10, verbose=0, callbacks=[Reads()])

    assert model.loss == "cross_entropy"
    assert [each.name for each in model.metrics] == model.metrics_names == ["loss", "accuracy"]
    assert values == [True] * 4


def test_freezing_the_model_freezes_all_layers(new_model):
    model = new_model()
    model.trainable = False

    assert not model.trainable
    assert model.trainable_variables == []
    assert len(model.variables) == 4


def test_reset_metrics_begins_the_running_means_anew(data, new_model):
    class Resets(Callback):
        def on_train_batch_end(self, batch, logs):
            means.append(logs["loss"])
            own.append(self.run.batch_logs["loss"])
            self.model.reset_metrics()

    means, own = [], []
    new_model().fit(*data, batch_size=10, verbose=0, callbacks=[Resets()])

    assert means == own
    assert len(set(means)) == 4
