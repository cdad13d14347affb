"""A view of a module with several optimizers and schedulers, for a loop of one's own."""

import pytest

from onstage import Callback, Run, StateError
from onstage.callbacks import LearningRateScheduler

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402

Sgd, Adam = torch.optim.SGD, torch.optim.Adam


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.discriminator = nn.Linear(2, 3), nn.Linear(3, 1)


def gan(**schedulers):
    module = Gan()
    optimizers = {
        "generator": Adam(module.generator.parameters(), lr=0.01),
        "discriminator": Sgd(module.discriminator.parameters(), lr=0.1, momentum=0.9),
    }
    made = {name: make(optimizers[name]) for name, make in schedulers.items()}
    return TorchModel.view(module, optimizers, made or None)


def train(view, callbacks=(), epochs=2):
    """Train both parts once a batch; return the seen losses."""
    module, (generator, discriminator) = view.module, view.optimizers.values()
    torch.manual_seed(5)
    with Run(view, list(callbacks), epochs=epochs) as run:
        for _ in run.epochs():
            for noise in run.batches([torch.randn(8, 2) for _ in range(3)]):
                for optimizer, sign in ((discriminator, 1), (generator, -1)):
                    loss = sign * torch.sigmoid(module.discriminator(module.generator(noise))).mean()
                    generator.zero_grad()
                    discriminator.zero_grad()
                    loss.backward()
                    optimizer.step()
                run.log(loss=float(loss.detach()))
    return run.history.history["loss"]


def weights_of(view):
    return [each.tolist() for each in view.get_weights()]


def test_rates_of_several_optimizers_are_set_by_name_or_together():
    view = gan()

    view.learning_rates["discriminator"].assign(0.2)
    by_name = dict(view.learning_rates)
    view.learning_rate = 0.005

    assert by_name == {"generator": 0.01, "discriminator": 0.2}
    assert view.learning_rates == {"generator": 0.005, "discriminator": 0.1}
    assert view.optimizer is view.optimizers["generator"]


def test_a_callback_schedules_both_rates_of_a_gan():
    view = gan()

    train(view, [LearningRateScheduler(lambda epoch: 0.01 * 0.5**epoch)], epochs=3)

    assert view.learning_rates == pytest.approx({"generator": 0.0025, "discriminator": 0.025})


def test_a_saved_gan_goes_on_to_the_bit(tmp_path):
    first, second = gan(), gan()
    train(first)
    first.save(tmp_path / "gan.safetensors")
    second.load(tmp_path / "gan.safetensors")

    assert second.optimizers["discriminator"].iterations == 6
    assert train(first) == train(second)
    assert weights_of(first) == weights_of(second)


def test_gradients_are_shown_before_the_step_of_each_optimizer():
    seen = []

    class Reads(Callback):
        def on_optimizer_step_begin(self, batch, gradients):
            seen.append((batch, len(gradients)))

    train(gan(), [Reads()], epochs=1)

    assert seen == [(0, 4), (0, 4), (1, 4), (1, 4), (2, 4), (2, 4)]


def test_optimizers_in_a_list_are_named_by_their_number():
    module = Gan()
    view = TorchModel.view(module, [Sgd(part.parameters(), lr=0.1) for part in module.children()])

    assert view.learning_rates == {"0": 0.1, "1": 0.1}


def test_a_scheduler_of_a_loop_is_saved_and_keeps_callbacks_from_its_optimizer(tmp_path):
    def halve(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    view, other = gan(generator=halve), gan(generator=halve)
    view.optimizer.step()
    view.scheduler.step()
    view.save(tmp_path / "gan.safetensors")
    other.load(tmp_path / "gan.safetensors")

    assert other.scheduler.last_epoch == 1
    assert other.learning_rates["generator"] == 0.005
    other.learning_rates["discriminator"].assign(0.3)
    for refused in (other.learning_rate, other.learning_rates["generator"]):
        with pytest.raises(TypeError, match="learning_rate follows StepLR"):
            refused.assign(0.1)


def test_a_state_of_other_optimizers_is_refused():
    one = TorchModel.view(Gan())
    two = TorchModel.view(Gan(), Sgd(Gan().parameters(), lr=0.1))

    with pytest.raises(StateError, match="saved with a optimizer, this model is without"):
        one.load_state_dict(gan().state_dict())
    with pytest.raises(StateError, match="it is of another kind"):
        two.load_state_dict(gan().state_dict())
    with pytest.raises(StateError, match=r"must have optimizers named \['discriminator', 'generator'\]"):
        gan().load_state_dict(two.state_dict())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([Adam], TypeError, "optimizer must be a torch optimizer, or a list or dict of them, got type"),
        ([[Sgd(nn.Linear(1, 1).parameters()), 3]], TypeError, "a list or dict of them, got int"),
        ([None, 3], TypeError, "scheduler must be a torch scheduler, or a list or dict of them, got 3"),
        (
            [
                Sgd(nn.Linear(1, 1).parameters()),
                torch.optim.lr_scheduler.StepLR(Sgd(nn.Linear(1, 1).parameters()), 1),
            ],
            ValueError,
            "scheduler must belong to an optimizer of the model",
        ),
    ],
)
def test_invalid_optimizers_and_schedulers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        TorchModel.view(nn.Linear(1, 1), *arguments)
