"""Programs with a loop or a schedule of their own: a GAN, and fine-tuning, beside bare loops."""

import numpy as np
import pytest

from onstage import Callback, Run

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


def assert_same_weights(a, b):
    for (name, mine), theirs in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


class Net(nn.Module):
    """Two blocks of convolutions with normalization, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
            nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        )
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.drop(self.blocks(x).mean((2, 3))))


def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(24, 3, 8, 8, generator=generator), torch.arange(24) % 3


class Gan(nn.Module):
    """A generator and a discriminator of points in the plane."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def losses(self, real):
        """Return the loss of the discriminator, and a function that returns the generator's."""
        fake = self.generator(torch.randn(len(real), 2))
        judge = self.discriminator
        of_judge = F.softplus(judge(fake.detach())).mean() + F.softplus(-judge(real)).mean()
        return of_judge, lambda: F.softplus(-judge(fake)).mean()


def gan_step(module, optimizers, real):
    for name, loss in zip(("discriminator", "generator"), module.losses(real), strict=True):
        value = loss() if callable(loss) else loss
        optimizers[name].zero_grad()
        value.backward()
        optimizers[name].step()
    return value


def gan_optimizers(module):
    return {
        "generator": torch.optim.Adam(module.generator.parameters(), lr=1e-3, betas=(0.5, 0.9)),
        "discriminator": torch.optim.Adam(module.discriminator.parameters(), lr=4e-3, betas=(0.5, 0.9)),
    }


def test_a_gan_in_a_run_ends_with_the_bits_of_the_loop_and_halves_both_rates():
    class Halves(Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                for each in self.model.learning_rates.values():
                    each.assign(each / 2)

    real = images()[0].flatten()[:96].reshape(12, 4, 2)
    module = Gan()
    view = TorchModel.view(module, gan_optimizers(module))
    torch.manual_seed(1)
    with Run(view, [Halves()], epochs=3) as run:
        for _ in run.epochs():
            for batch in run.batches(real):
                run.log(loss=gan_step(module, view.optimizers, batch))

    loop = Gan()
    optimizers = gan_optimizers(loop)
    torch.manual_seed(1)
    for epoch in range(3):
        if epoch == 2:
            for each in optimizers.values():
                each.param_groups[0]["lr"] /= 2
        losses = [gan_step(loop, optimizers, batch).item() for batch in real]

    assert_same_weights(module, loop)
    assert run.history.history["loss"][-1] == pytest.approx(np.mean(losses), rel=1e-6)
    assert view.learning_rates == {"generator": 5e-4, "discriminator": 2e-3}


def set_trainable(module, flag):
    for each in module.parameters():
        each.requires_grad_(flag)


def fine_tuning(module):
    """Return an optimizer that trains the head faster than the body."""
    return torch.optim.AdamW(
        [{"params": module.head.parameters(), "lr": 1e-2}, {"params": module.blocks.parameters(), "lr": 1e-4}]
    )


class Unfreezes(Callback):
    """Trains the last block from epoch 1 on, freezes the head in epoch 2, halves all rates then."""

    def on_epoch_begin(self, epoch):
        module = self.model.module
        if epoch == 1:
            set_trainable(module.blocks[1], True)
        if epoch == 2:
            set_trainable(module.head, False)
            self.model.learning_rate = self.model.learning_rate / 2


def test_fine_tuning_with_frozen_blocks_and_a_rate_for_each_group_is_that_of_the_loop():
    x, y = images()
    module, loop, start = Net(), Net(), Net()
    for each in (module, loop):
        set_trainable(each.blocks, False)
    model = TorchModel(module, fine_tuning(module), "cross_entropy", clip_grad_norm=1.0, device="cpu")
    torch.manual_seed(1)
    model.fit(x, y, batch_size=8, epochs=4, shuffle=False, callbacks=[Unfreezes()], verbose=0)

    optimizer = fine_tuning(loop)
    torch.manual_seed(1)
    for epoch in range(4):
        if epoch == 1:
            set_trainable(loop.blocks[1], True)
        if epoch == 2:
            set_trainable(loop.head, False)
            for group in optimizer.param_groups:
                group["lr"] /= 2
        for inputs, targets in zip(x.split(8), y.split(8), strict=True):
            optimizer.zero_grad()
            F.cross_entropy(loop(inputs), targets).backward()
            nn.utils.clip_grad_norm_(loop.parameters(), 1.0)
            optimizer.step()

    assert_same_weights(module, loop)
    rates = [group["lr"] for group in model.optimizer.param_groups]
    assert rates == [5e-3, 5e-5]
    assert torch.equal(module.blocks[0][0].weight, start.blocks[0][0].weight)
    assert not torch.equal(module.blocks[1][0].weight, start.blocks[1][0].weight)


def test_a_group_added_in_mid_training_is_trained_as_in_the_loop():
    x, y = images()
    module, loop = Net(), Net()

    class Adds(Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 1:
                self.model.optimizer.add_param_group({"params": module.blocks.parameters(), "lr": 0.01})

    model = TorchModel(module, torch.optim.SGD(module.head.parameters(), lr=0.1), "cross_entropy")
    torch.manual_seed(1)
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, callbacks=[Adds()], verbose=0)

    optimizer = torch.optim.SGD(loop.head.parameters(), lr=0.1)
    torch.manual_seed(1)
    for epoch in range(2):
        if epoch == 1:
            optimizer.add_param_group({"params": loop.blocks.parameters(), "lr": 0.01})
        for inputs, targets in zip(x.split(8), y.split(8), strict=True):
            loop.zero_grad()
            F.cross_entropy(loop(inputs), targets).backward()
            optimizer.step()

    assert_same_weights(module, loop)
