"""Steps equal those of a plain torch loop, written out in each test."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


def batches_of(data, size):
    x, y = torch.from_numpy(data[0]), torch.from_numpy(data[1])
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def weights_of(module):
    return [p.detach().numpy().copy() for p in module.parameters()]


def assert_same(one, other, **tolerance):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))


def test_fit_ends_with_the_weights_of_a_plain_loop_to_the_bit(data, new_model, new_module):
    batches = batches_of(data, 16)
    model = new_model()

    model.fit(batches, epochs=3, verbose=0)

    module = new_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(module(x), y).backward()
            optimizer.step()
    assert_same(weights_of(model.module), weights_of(module))


def test_logs_are_means_over_samples_from_before_each_update(data, new_model, new_module):
    batches = batches_of(data, 16)  # the last has 8

    history = new_model().fit(batches, epochs=1, verbose=0)

    module = new_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    total = correct = 0
    for x, y in batches:
        optimizer.zero_grad()
        outputs = module(x)
        loss = F.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        correct += (outputs.argmax(1) == y).sum().item()
    assert history.history["loss"] == [pytest.approx(total / 40, rel=1e-12)]
    assert history.history["accuracy"] == [correct / 40]


def test_evaluation_draws_no_random_numbers_and_restores_the_modes(data, new_model):
    model = new_model(dropout=0.5)
    model.module[0].eval()  # the user has frozen this one

    first, again = (model.evaluate(*data, verbose=0) for _ in range(2))

    assert first == again
    assert [each.training for each in model.module] == [False, True, True, True]
    assert model.module.training


def test_a_frozen_part_stays_frozen_in_a_training_with_validation(data):
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))
    module[0].eval()
    model = TorchModel(module, torch.optim.SGD, "cross_entropy", device="cpu")

    model.fit(*data, epochs=2, validation_data=data, verbose=0)

    assert module[0].num_batches_tracked.item() == 0


def test_predict_returns_the_outputs_of_evaluation_mode(data, new_model):
    model = new_model(dropout=0.5)

    outputs = model.predict(data[0], batch_size=7, verbose=0)

    model.module.eval()
    np.testing.assert_allclose(
        outputs, model.module(torch.from_numpy(data[0])).detach(), rtol=1e-6, atol=1e-7
    )
    assert isinstance(outputs, np.ndarray)


def test_accumulated_batches_make_the_step_of_the_joined_batch(data, new_model):
    # 10 + 10 + 10 and 10: the last step has the remaining batch.
    accumulated = new_model(accumulate=3)
    accumulated.fit(batches_of(data, 10), epochs=2, verbose=0)

    joined = new_model()
    x, y = batches_of(data, 40)[0]
    joined.fit([(x[:30], y[:30]), (x[30:], y[30:])], epochs=2, verbose=0)

    assert_same(weights_of(accumulated.module), weights_of(joined.module), rtol=1e-5, atol=1e-7)


def test_every_sample_of_unequal_batches_counts_the_same_in_a_step(data, new_model):
    x, y = batches_of(data, 40)[0]
    unequal = [(x[:5], y[:5]), (x[5:40], y[5:40])]

    accumulated = new_model(accumulate=2)
    accumulated.fit(unequal, epochs=1, verbose=0)

    joined = new_model()
    joined.fit([(x, y)], epochs=1, verbose=0)
    assert_same(weights_of(accumulated.module), weights_of(joined.module), rtol=1e-5, atol=1e-7)


def test_gradients_above_the_norm_limit_are_scaled_down(data, new_model, new_module):
    model = new_model(clip_grad_norm=0.01)
    batch = batches_of(data, 40)

    model.fit(batch, epochs=1, verbose=0)

    module = new_module()
    F.cross_entropy(module(batch[0][0]), batch[0][1]).backward()
    length = torch.sqrt(sum((p.grad**2).sum() for p in module.parameters()))
    expected = [(p - 0.1 * 0.01 * p.grad / length).detach().numpy() for p in module.parameters()]
    assert length > 0.01
    assert_same(weights_of(model.module), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("on", "rates"), [("epoch", [0.8, 0.4, 0.2]), ("batch", [0.2, 0.05, 0.0125])])
def test_a_scheduler_steps_after_batches_or_epochs_as_set(data, new_model, on, rates):
    seen = []

    class Sees:
        def on_epoch_end(self, run):
            seen.append(run.model.learning_rate)

    model = new_model(
        optimizer=lambda p: torch.optim.SGD(p, lr=0.8),
        scheduler=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.5),
        schedule_on=on,
    )

    model.fit(batches_of(data, 20), epochs=3, callbacks=[Sees()], verbose=0)

    assert seen == rates


def test_no_callback_can_set_the_rate_with_a_scheduler(new_model):
    model = new_model(scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, 1))

    with pytest.raises(TypeError, match=r"learning_rate follows StepLR and cannot be set to 0\.5"):
        model.learning_rate = 0.5


def test_the_average_follows_its_formula_and_replaces_the_weights_at_the_end(data, new_model):
    model = new_model(use_ema=True, ema_momentum=0.75)
    steps = []

    class Collects:
        def on_train_batch_end(self, run):
            steps.append(weights_of(run.model.module))

    model.fit(batches_of(data, 16), epochs=2, callbacks=[Collects()], verbose=0)

    average = steps[0]
    for weights in steps[1:]:
        average = [0.75 * a + 0.25 * w for a, w in zip(average, weights, strict=True)]
    assert_same(weights_of(model.module), average, rtol=1e-5, atol=1e-6)


def test_swapping_twice_restores_the_weights(data, new_model):
    model = new_model(use_ema=True)
    model.train_on_batch(*data)
    model.train_on_batch(*data)
    own, average = weights_of(model.module), model.ema_average

    model.swap_ema_average()
    swapped = weights_of(model.module)
    model.swap_ema_average()

    assert_same(swapped, average)
    assert_same(weights_of(model.module), own)
    assert any((a != o).any() for a, o in zip(average, own, strict=True))


def test_bfloat16_steps_equal_those_of_autocast(data, new_model, new_module):
    x, y = batches_of(data, 40)[0]
    model = new_model(amp="bfloat16")

    model.fit([(x, y)], epochs=1, verbose=0)

    module = new_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(module(x), y)
    loss.backward()
    optimizer.step()
    assert_same(weights_of(model.module), weights_of(module))
    assert model.predict(x, verbose=0).dtype == np.float32


def test_float16_scales_the_loss_and_saves_the_scale(data, new_model):
    model = new_model(amp="float16")

    history = model.fit(*data, epochs=3, verbose=0)

    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.state_dict()["updates"]["scaler"]["scale"] == 65536.0


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own, on import
def test_a_compiled_module_learns_the_same_as_a_plain_one(data, new_model):
    compiled, plain = new_model(compile=True), new_model()

    histories = [each.fit(batches_of(data, 20), epochs=2, verbose=0).history for each in (compiled, plain)]

    assert histories[0] == histories[1]
    assert list(compiled.state_dict()["weights"]) == list(plain.state_dict()["weights"])


def test_one_batch_can_be_trained_and_measured_without_stages(data, new_model):
    model = new_model()

    before = model.test_on_batch(*data, return_dict=True)
    trained = model.train_on_batch(*data, return_dict=True)
    after = model.test_on_batch(*data, return_dict=True)

    assert trained == before
    assert after["loss"] < before["loss"]


def test_several_inputs_are_passed_to_the_module_as_arguments(data):
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, left, right):
            return self.layer(left) + self.layer(right)

    x, y = data
    by_place = TorchModel(Adds(), torch.optim.SGD, "cross_entropy", device="cpu")
    by_name = TorchModel(Adds(), torch.optim.SGD, "cross_entropy", device="cpu")
    by_name.module.load_state_dict(by_place.module.state_dict())

    losses = [
        by_place.fit((x, 2 * x), y, epochs=2, shuffle=False, verbose=0).history["loss"],
        by_name.fit({"right": 2 * x, "left": x}, y, epochs=2, shuffle=False, verbose=0).history["loss"],
    ]

    assert losses[0] == losses[1]
    assert by_name.predict({"left": x, "right": x}, verbose=0).shape == (40, 3)


def test_dict_outputs_are_joined_key_by_key(data):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            return {"logits": self.layer(x), "norm": x.norm(dim=1)}

    def loss(outputs, y):
        return F.cross_entropy(outputs["logits"], y, reduction="none")

    model = TorchModel(Two(), torch.optim.SGD, loss, {"norm": lambda o, y: o["norm"]}, device="cpu")

    history = model.fit(*data, epochs=1, verbose=0)
    outputs = model.predict(data[0], batch_size=16, verbose=0)

    assert history.history["norm"] == [pytest.approx(np.linalg.norm(data[0], axis=1).mean(), rel=1e-6)]
    assert outputs["logits"].shape == (40, 3)
    assert outputs["norm"].shape == (40,)
