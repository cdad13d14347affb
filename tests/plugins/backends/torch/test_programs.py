"""Programs as users write them, each compared with the bare loop that it replaces."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils.rnn import pad_sequence  # noqa: E402
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402


def assert_same_weights(a, b):
    for (name, mine), theirs in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, d_in, d_out):
        super().__init__()
        self.first = nn.Conv2d(d_in, d_out, 3, 2, 1, bias=False)
        self.second = nn.Conv2d(d_out, d_out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(d_out), nn.BatchNorm2d(d_out)])
        self.shortcut = nn.Conv2d(d_in, d_out, 1, 2, bias=False)

    def forward(self, x):
        inside = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(inside)) + self.shortcut(x))


class ResNet(nn.Module):
    """Two blocks on images of 3 channels, with dropout before the classes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.Sequential(Block(3, 4), Block(4, 8))
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.drop(self.blocks(x).mean((2, 3))))


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(24, 3, 8, 8, generator=generator), torch.randint(0, 3, (24,), generator=generator)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=7)


def test_a_resnet_with_all_options_ends_with_the_bits_of_the_loop():
    x, y = images()
    module, options = ResNet(), {"amp": "bfloat16", "compile": {"backend": "eager"}, "channels_last": True}
    model = TorchModel(
        module,
        sgd,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        ["accuracy"],
        scheduler=one_cycle,
        schedule_on="batch",
        accumulate=2,
        clip_grad_norm=0.5,
        use_ema=True,
        ema_momentum=0.9,
        deterministic=True,
        device="cpu",
        **options,
    )
    torch.manual_seed(1)
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, validation_data=(x, y), verbose=0)

    loop = ResNet().to(memory_format=torch.channels_last)
    compiled = torch.compile(loop, backend="eager")
    optimizer = sgd(loop.parameters())
    scheduler = one_cycle(optimizer)
    average = AveragedModel(loop, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    torch.manual_seed(1)
    losses = []
    for _ in range(2):
        loop.train()
        for number, (inputs, targets) in enumerate(zip(x.split(4), y.split(4), strict=True)):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = compiled(inputs.contiguous(memory_format=torch.channels_last))
                loss = F.cross_entropy(outputs, targets, label_smoothing=0.1)
            losses.append(loss.item())
            (loss / 2).backward()
            if number % 2 == 0:
                continue
            nn.utils.clip_grad_norm_(loop.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            average.update_parameters(loop)
    with torch.no_grad():  # After a fit with use_ema the weights are the average.
        for mine, theirs in zip(loop.parameters(), average.module.parameters(), strict=True):
            mine.copy_(theirs)

    assert_same_weights(module, loop)
    assert history.history["loss"] == pytest.approx([np.mean(losses[:6]), np.mean(losses[6:])], rel=1e-6)
    assert model.optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


class Padded(nn.Module):
    """Classifies sequences of token numbers of several lengths; 0 is padding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(12, 8, padding_idx=0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, tokens, mask):
        hidden = self.encoder(self.embedding(tokens), src_key_padding_mask=~mask)
        return self.head((hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))


def pad(samples):
    tokens = pad_sequence([each for each, _ in samples], batch_first=True)
    return {"tokens": tokens, "mask": tokens != 0}, torch.tensor([label for _, label in samples])


def sentences():
    generator = torch.Generator().manual_seed(0)
    lengths = (3, 7, 5, 2, 6, 4, 7, 3, 5, 5)
    return [(torch.randint(1, 12, (n,), generator=generator), n % 2) for n in lengths]


def test_a_transformer_on_padded_batches_ends_with_the_bits_of_the_loop():
    module, loop = Padded(), Padded()
    model = TorchModel(module, torch.optim.AdamW, "cross_entropy", ["accuracy"], device="cpu")
    loader = DataLoader(sentences(), 4, shuffle=True, collate_fn=pad)
    torch.manual_seed(1)
    history = model.fit(loader, epochs=3, verbose=0)

    optimizer = torch.optim.AdamW(loop.parameters())
    torch.manual_seed(1)
    hits = []
    for _ in range(3):
        loop.train()
        hits.append(0)
        for x, y in loader:
            outputs = loop(**x)
            hits[-1] += (outputs.argmax(1) == y).sum().item()
            optimizer.zero_grad()
            F.cross_entropy(outputs, y).backward()
            optimizer.step()

    assert_same_weights(module, loop)
    assert history.history["accuracy"] == pytest.approx([each / 10 for each in hits])
    loop.eval()
    alone = torch.cat([loop(*pad([each])[0].values()) for each in sentences()])
    together = model.predict(DataLoader(sentences(), 4, collate_fn=pad), verbose=0)
    np.testing.assert_allclose(together, alone.detach(), rtol=1e-4, atol=1e-6)  # Padding adds zeros.


def nt_xent(module, x, y=None):
    """Return the contrastive loss of two views of each sample (SimCLR, arXiv 2002.05709)."""
    z = F.normalize(torch.cat([module(view) for view in x]))
    n = len(z) // 2
    similarity = (z @ z.T / 0.5).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(similarity, torch.arange(2 * n).roll(n))


def test_contrastive_views_are_trained_as_in_the_loop():
    x, _ = images()
    views = (x + 0.1 * images(1)[0], x.flip(-1))
    module, loop = ResNet(), ResNet()
    model = TorchModel(module, sgd, step=nt_xent, device="cpu")
    torch.manual_seed(1)
    history = model.fit(views, batch_size=8, epochs=2, shuffle=False, verbose=0)

    optimizer = sgd(loop.parameters())
    torch.manual_seed(1)
    for _ in range(2):
        losses = []
        for pair in zip(*(view.split(8) for view in views), strict=True):
            optimizer.zero_grad()
            loss = nt_xent(loop, pair)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    assert_same_weights(module, loop)
    assert history.history["loss"][-1] == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_student_learns_from_a_teacher_as_in_the_loop():
    x, y = images()
    teacher = ResNet().eval()
    module = copy.deepcopy(teacher)
    nn.init.zeros_(module.head.weight)
    loop = copy.deepcopy(module)

    def distill(student, x, y):
        with torch.no_grad():
            soft = F.softmax(teacher(x) / 2, -1)
        outputs = student(x)
        return F.cross_entropy(outputs, y) + 4 * F.cross_entropy(outputs / 2, soft), outputs

    model = TorchModel(module, sgd, metrics=["accuracy"], step=distill, device="cpu")
    torch.manual_seed(1)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)

    loop.train()
    optimizer = sgd(loop.parameters())
    torch.manual_seed(1)
    for inputs, targets in zip(x.split(8), y.split(8), strict=True):
        optimizer.zero_grad()
        distill(loop, inputs, targets)[0].backward()
        optimizer.step()
    assert_same_weights(module, loop)
