"""A step of one's own computes loss and outputs; everything around it stays the same."""

from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402


def cross_entropy_step(module, x, y):
    outputs = module(x)
    return nn.functional.cross_entropy(outputs, y), outputs


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accumulate": 2, "clip_grad_norm": 0.1},
        {"use_ema": True, "ema_momentum": 0.5},
        {"amp": "bfloat16"},
        {"amp": "float16"},
    ],
    ids=str,
)
def test_a_step_that_does_what_the_model_does_trains_to_the_same_weights(options, data, new_model):
    built_in = new_model(dropout=0.3, **options)
    own = new_model(dropout=0.3, loss=None, step=cross_entropy_step, **options)

    histories, measured = [], []
    for model in (built_in, own):
        history = model.fit(*data, batch_size=10, epochs=2, seed=1, validation_data=data, verbose=0)
        histories.append(history.history)
        measured.append(model.evaluate(*data, verbose=0))

    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-5)
    np.testing.assert_allclose(measured[0], measured[1], rtol=1e-5)
    for a, b in zip(built_in.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


class Output(OrderedDict):
    """Outputs with attributes, as language models return them."""

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)


class Classifier(nn.Module):
    """A module with the loss in its output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 3)

    def forward(self, features, labels=None):
        output = Output()
        logits = self.linear(features)
        if labels is not None:
            output["loss"] = nn.functional.cross_entropy(logits, labels)
        output["logits"] = logits
        return output


def loss_in_output(module, x, y):
    output = module(**x, labels=y)
    return output.loss, output


def hits(output, y):
    assert type(output) is Output
    assert not output.logits.requires_grad
    return (output.logits.argmax(-1) == y).float()


def dicts(data):
    return [{"features": f, "labels": y} for f, y in zip(*map(torch.from_numpy, data), strict=True)]


def test_a_module_with_its_loss_in_the_output_and_labels_in_the_dict_is_trained(data):
    loader = DataLoader(dicts(data), 12)
    model = TorchModel(
        Classifier(),
        lambda p: torch.optim.SGD(p, lr=0.1),
        metrics={"accuracy": hits},
        step=loss_in_output,
        labels="labels",
    )
    history = model.fit(loader, epochs=5, verbose=0)

    module = Classifier()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(5):
        for batch in loader:
            optimizer.zero_grad()
            module(**batch).loss.backward()
            optimizer.step()
    assert torch.equal(model.module.linear.weight, module.linear.weight)
    logits = module(torch.from_numpy(data[0])).logits.detach().numpy()
    assert model.evaluate(loader, verbose=0)[1] == pytest.approx((logits.argmax(1) == data[1]).mean())
    assert history.history["loss"][-1] < history.history["loss"][0]
    np.testing.assert_allclose(model.predict(loader, verbose=0)["logits"], logits, rtol=1e-6)


def test_labels_are_taken_out_of_a_dict_for_an_ordinary_loss(data):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)

        def forward(self, features):
            return self.linear(features)

    def new():
        torch.manual_seed(0)
        return TorchModel(Plain(), torch.optim.SGD, "cross_entropy", ["accuracy"], labels="labels")

    by_loader, by_arrays = new(), new()
    by_loader.fit(DataLoader(dicts(data), 10), verbose=0)
    by_arrays.fit({"features": data[0], "labels": data[1]}, batch_size=10, shuffle=False, verbose=0)

    assert torch.equal(by_loader.module.linear.weight, by_arrays.module.linear.weight)
    arrays = {"features": data[0], "labels": data[1]}
    by_arrays = by_arrays.evaluate(arrays, batch_size=10, verbose=0)
    assert by_loader.evaluate(DataLoader(dicts(data), 10), verbose=0) == by_arrays
    with pytest.raises(ValueError, match=r"x must be a dict with the key labels='labels', got a dict with"):
        by_loader.fit([{"features": torch.zeros(2, 6)}], verbose=0)


def test_a_contrastive_loss_needs_no_targets(data):
    def agree(module, x, y):
        assert y is None
        first, second = (nn.functional.normalize(module(view)) for view in x)
        return nn.functional.cross_entropy(first @ second.T / 0.1, torch.arange(len(first)))

    torch.manual_seed(0)
    model = TorchModel(nn.Linear(6, 4), lambda p: torch.optim.Adam(p, lr=0.01), step=agree)
    views = (data[0], data[0] + np.float32(0.01))

    losses = model.fit(views, epochs=8, batch_size=20, verbose=0).history["loss"]

    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"step": 3}, TypeError, r"step must be a function of \(module, x, y\), got 3"),
        ({"step": cross_entropy_step, "loss": "mse"}, ValueError, "loss must be None with a step"),
        ({"labels": 3}, TypeError, "labels must be the key of y"),
    ],
)
def test_invalid_steps_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        TorchModel(nn.Linear(2, 2), torch.optim.SGD, **options)


@pytest.mark.parametrize(
    ("step", "options", "error", "message"),
    [
        (lambda module, x, y: 3.0, {}, TypeError, "step must return a loss or .*, got float"),
        (lambda module, x, y: module(x).sum(), {}, ValueError, r"step must return \(loss, outputs\) for"),
        (cross_entropy_step, {"sample_weight": np.ones(40)}, ValueError, "sample_weight must be None"),
    ],
)
def test_invalid_results_of_a_step_are_refused(step, options, error, message, data, new_model):
    with pytest.raises(error, match=message):
        new_model(loss=None, step=step).fit(*data, verbose=0, **options)
