"""Invalid arguments are rejected before any work, in one sentence."""

import inspect

import numpy as np
import pytest

from onstage import Trainer

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel, TorchView  # noqa: E402
from torch import nn  # noqa: E402

NET = nn.Linear(6, 3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"module": nn.Linear}, TypeError, r"module must be an object, got the class Linear; write Linear\("),
        ({"module": print}, TypeError, "module must be a torch.nn.Module, got builtin_function"),
        ({"optimizer": "Adam"}, TypeError, r"optimizer must be a torch optimizer .* did you mean 'Adam'"),
        ({"optimizer": 3}, TypeError, "or a function of the parameters, got int"),
        ({"optimizer": lambda p: p}, TypeError, "that makes one, got generator"),
        (
            {"optimizer": torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)},
            ValueError,
            "optimizer must change parameters of the module",
        ),
        (
            {"optimizer": torch.optim.SGD([*NET.parameters(), nn.Parameter(torch.ones(7))], 0.1)},
            ValueError,
            r"got others of shape \(7,\), which would not be saved; make them parameters of the module",
        ),
        ({"loss": "huberr"}, ValueError, "did you mean 'huber'"),
        ({"metrics": ["acuracy"]}, ValueError, "did you mean 'accuracy'"),
        ({"metrics": [3]}, TypeError, "metric must be"),
        ({"schedule_on": "step"}, ValueError, "schedule_on must be one of 'epoch', 'batch', got 'step'"),
        (
            {"scheduler": 3},
            TypeError,
            "scheduler must be a torch scheduler or a function of the optimizer, got 3",
        ),
        (
            {"scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau},
            TypeError,
            "use the callback onstage.callbacks.ReduceLROnPlateau",
        ),
        (
            {"scheduler": torch.optim.lr_scheduler.StepLR(torch.optim.SGD(NET.parameters(), 0.1), 1)},
            ValueError,
            "scheduler must belong to the optimizer of the model",
        ),
        ({"optimizer": None, "scheduler": print}, ValueError, "scheduler needs an optimizer, got none"),
        ({"amp": "float8"}, ValueError, "amp must be 'bfloat16', 'float16' or None, got 'float8'$"),
        ({"accumulate": 0}, ValueError, "accumulate must be an integer >= 1, got 0"),
        ({"accumulate": 1.5}, TypeError, "accumulate must be an integer >= 1, got 1.5"),
        ({"agree_every": True}, TypeError, "agree_every must be an integer >= 1, got True"),
        ({"clip_grad_norm": 0}, ValueError, "clip_grad_norm must be a number > 0, got 0"),
        ({"ema_momentum": 1.5}, ValueError, r"ema_momentum must be a number in \[0, 1\], got 1.5"),
    ],
)
def test_an_invalid_argument_is_rejected(given, error, message):
    arguments = {"module": NET, "optimizer": torch.optim.SGD, "loss": "mse", "device": "cpu", **given}

    with pytest.raises(error, match=message):
        TorchModel(**arguments)


@pytest.mark.parametrize(
    ("optimizer", "loss", "call", "message"),
    [
        (None, "mse", "fit", "optimizer must be given to train, got none"),
        (torch.optim.SGD, None, "fit", "loss must be given to train or evaluate, got none"),
        (None, None, "evaluate", "loss must be given to train or evaluate, got none"),
    ],
)
def test_a_missing_loss_or_optimizer_is_named_before_the_first_stage(optimizer, loss, call, message):
    began = []

    class Watches:
        def on_train_begin(self):
            began.append(True)

        on_test_begin = on_train_begin

    model = TorchModel(nn.Linear(6, 3), optimizer, loss, device="cpu")

    with pytest.raises(ValueError, match=message):
        getattr(model, call)(np.ones((4, 6)), np.ones((4, 3)), callbacks=[Watches()], verbose=0)
    assert not began


def test_a_loss_with_targets_needs_y():
    model = TorchModel(nn.Linear(6, 3), torch.optim.SGD, "mse", device="cpu")

    with pytest.raises(ValueError, match="y must be given for the loss"):
        model.fit(np.ones((4, 6)), verbose=0)
    with pytest.raises(ValueError, match="y must be given for the loss"):
        model.fit([torch.ones(4, 6)], verbose=0)


def test_a_function_as_loss_may_ignore_y():
    model = TorchModel(
        nn.Linear(6, 6), torch.optim.SGD, lambda outputs, y: outputs.square().mean(), device="cpu"
    )

    history = model.fit(np.ones((4, 6)), epochs=2, verbose=0)

    assert history.history["loss"][1] < history.history["loss"][0]


def test_a_module_can_predict_without_anything_else():
    model = TorchModel(nn.Linear(6, 3), device="cpu")

    assert model.predict(np.ones((4, 6)), verbose=0).shape == (4, 3)


def test_help_shows_the_arguments_of_fit():
    assert list(inspect.signature(TorchModel.fit).parameters) == list(
        inspect.signature(Trainer.fit).parameters
    )
    assert "validation_split" in TorchModel.fit.__doc__


def test_a_view_has_no_rate_without_an_optimizer():
    module = nn.Linear(2, 2)

    assert not hasattr(TorchModel.view(module), "learning_rate")
    assert TorchModel.view(module, torch.optim.SGD(module.parameters(), 0.3)).learning_rate == 0.3
    with pytest.raises(TypeError, match="module must be an object, got the class Linear; write Linear"):
        TorchView(nn.Linear)


def test_a_view_has_layers_with_names_and_values():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.BatchNorm1d(3)))
    module(torch.ones(4, 2)).sum().backward()
    layers = TorchModel.view(module).layers

    assert [(layer.name, type(layer).__name__) for layer in layers] == [
        ("0", "Linear"),
        ("2.0", "BatchNorm1d"),
    ]
    assert [weight.name for weight in layers[1].weights] == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]
    assert layers[0].weights[0].value.shape == (3, 2)
    assert layers[0].weights[0].gradient.shape == (3, 2)
    assert layers[1].weights[2].gradient is None


def test_a_parameter_added_to_the_optimizer_must_belong_to_the_module_or_the_loss():
    optimizer = torch.optim.SGD(NET.parameters(), 0.1)
    model = TorchModel(NET, optimizer, "mse", device="cpu")
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(7))]})

    with pytest.raises(ValueError, match=r"got others of shape \(7,\)"):
        model.fit(np.zeros((4, 6), np.float32), np.zeros((4, 3), np.float32), verbose=0)


@pytest.mark.parametrize("name", ["module", "optimizer", "scheduler"])
def test_module_optimizer_and_scheduler_cannot_be_replaced(name):
    model = TorchModel(NET, torch.optim.SGD, "mse", device="cpu")

    with pytest.raises(AttributeError):
        setattr(model, name, None)


class HalfOf(nn.Module):
    """Half the mean: its reduction does not follow from its values."""

    reduction = "mean"

    def forward(self, outputs, targets):
        each = (outputs - targets).square()
        return each if self.reduction == "none" else each.mean() / 2


def test_weights_are_rejected_if_the_loss_is_not_the_mean_of_its_values():
    model = TorchModel(NET, torch.optim.SGD, HalfOf(), device="cpu")
    x, y = np.ones((4, 6), np.float32), np.zeros((4, 3), np.float32)

    model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="loss must be the mean of its values to be weighted"):
        model.fit(x, y, sample_weight=np.ones(4), verbose=0)


def test_the_repr_has_the_settings_that_differ_from_their_defaults():
    net = nn.Linear(6, 3)
    model = TorchModel(
        net, torch.optim.Adam, nn.MSELoss(), ["accuracy"], amp="bfloat16", ddp_options={"bucket_cap_mb": 1}
    )

    assert repr(model) == (
        "<TorchModel module=Linear weights=21 optimizer=Adam(lr=0.001) loss=MSELoss metrics=['accuracy'] "
        f"amp='bfloat16' ddp_options={{'bucket_cap_mb': 1}} device='{model.device}'>"
    )
    model.learning_rate = 0.5
    assert "optimizer=Adam(lr=0.5)" in repr(model)
    assert repr(TorchModel(net, device="cpu")) == "<TorchModel module=Linear weights=21 device='cpu'>"


def test_the_repr_of_a_view_has_each_optimizer():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizers = {
        "generator": torch.optim.SGD(first.parameters(), lr=0.1),
        "critic": torch.optim.Adam(
            [{"params": [second.weight], "lr": 0.2}, {"params": [second.bias], "lr": 0.3}]
        ),
    }

    view = TorchModel.view(nn.ModuleList([first, second]), optimizers)

    assert repr(view).startswith(
        "<TorchView module=ModuleList weights=12 generator=SGD(lr=0.1) critic=Adam(lr=0.2, 0.3) device="
    )
