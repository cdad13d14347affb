"""A resumed run of a torch model warns if its optimizer, loss or data differ."""

from functools import partial

import numpy as np
import pytest

from onstage import Callback, OnstageWarning, Run
from onstage.callbacks import BackupAndRestore

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset, TensorDataset  # noqa: E402

X = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Killed(BaseException):
    """Stands for a kill."""


class KillIn(Callback):
    def __init__(self, epoch):
        self.at = epoch

    def on_epoch_begin(self, epoch):
        if epoch == self.at:
            raise Killed


def fit(folder, *callbacks, optimizer=None, loss="mse", scheduler=None, x=X, y=Y, data=None):
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    model = TorchModel(
        module,
        optimizer or partial(torch.optim.SGD, lr=0.1, momentum=0.5),
        loss,
        scheduler=scheduler,
        device="cpu",
    )
    arguments = [x, y] if data is None else [data(x, y)]
    backup = BackupAndRestore(folder, delete_checkpoint=False)
    model.fit(*arguments, callbacks=[*callbacks, backup], epochs=3, seed=0, verbose=0)


def own_loop(folder, *callbacks, x=X):
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    view = TorchModel.view(module, torch.optim.SGD(module.parameters(), lr=0.1))
    backup = BackupAndRestore(folder, delete_checkpoint=False)
    with Run(view, [*callbacks, backup], epochs=3) as run:
        for _ in run.epochs():
            for _x, _y in run.batches(DataLoader(TensorDataset(x, Y), 4, shuffle=True)):
                run.log(loss=1.0)


def killed(train, *arguments, **options):
    with pytest.raises(Killed):
        train(*arguments, KillIn(2), **options)


def loader(x, y):
    return DataLoader(TensorDataset(x, y), 4, shuffle=True)


class Random(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number] + torch.rand(3), self.y[number]


@pytest.mark.parametrize("data", [None, loader, Random, TensorDataset])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": partial(torch.optim.AdamW, lr=0.1, fused=False)},
        {"loss": nn.HuberLoss(delta=0.5)},
        {"loss": partial(nn.functional.huber_loss, delta=0.5)},
        {"scheduler": partial(torch.optim.lr_scheduler.StepLR, step_size=1)},
    ],
)
def test_the_same_program_resumes_without_a_warning(tmp_path, options, data):
    killed(fit, tmp_path, **options, data=data)

    fit(tmp_path, **options, data=data)


@pytest.mark.parametrize(
    ("before", "changed", "message"),
    [
        (
            {},
            {"optimizer": partial(torch.optim.SGD, lr=0.2, momentum=0.5)},
            r"model\.optimizer\.optimizer\.groups\[0\]\.lr is 0\.2, was 0\.1",
        ),
        (
            {},
            {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9)},
            r"groups\[0\]\.momentum is 0\.9, was 0\.5",
        ),
        ({}, {"loss": "l1_loss"}, r"model\.loss is 'l1_loss', was 'mse'"),
        (
            {"loss": nn.HuberLoss(delta=0.5)},
            {"loss": nn.HuberLoss(delta=0.7)},
            r"model\.loss\.delta is 0\.7, was 0\.5",
        ),
        (
            {"loss": partial(nn.functional.huber_loss, delta=0.5)},
            {"loss": partial(nn.functional.huber_loss, delta=0.7)},
            r"model\.loss\.delta is 0\.7, was 0\.5",
        ),
        (
            {"loss": nn.functional.mse_loss},
            {"loss": nn.functional.l1_loss},
            r"model\.loss is 'l1_loss', was 'mse_loss'",
        ),
        (
            {"scheduler": partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0)},
            {"scheduler": partial(torch.optim.lr_scheduler.LinearLR, start_factor=1.0)},
            r"model\.scheduler\.scheduler is 'LinearLR', was 'ConstantLR'",
        ),
    ],
)
def test_an_optimizer_a_scheduler_or_a_loss_that_differs_is_named(tmp_path, before, changed, message):
    killed(fit, tmp_path, **before)

    with pytest.warns(OnstageWarning, match=message):
        fit(tmp_path, **changed)


@pytest.mark.parametrize("data", [None, loader, TensorDataset], ids=["tensors", "loader", "dataset"])
@pytest.mark.parametrize("row", [0, -1])
def test_other_tensors_are_warned_of(tmp_path, data, row):
    killed(fit, tmp_path, data=data)
    other = Y.clone()
    other[row] += 1

    with pytest.warns(OnstageWarning, match="continues with data whose first or last sample differs"):
        fit(tmp_path, y=other, data=data)


def test_other_tensors_in_a_loop_of_ones_own_are_warned_of(tmp_path):
    killed(own_loop, tmp_path)

    with pytest.warns(OnstageWarning, match="continues with data whose first or last sample differs"):
        own_loop(tmp_path, x=X + 1)


def test_the_same_loop_of_ones_own_resumes_without_a_warning(tmp_path):
    killed(own_loop, tmp_path)

    own_loop(tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.bool, torch.complex64])
def test_rows_of_every_type_have_a_digest(dtype):
    from onstage_torch.fingerprint import of_rows

    rows = torch.ones(4, 2).to(dtype)
    other = rows.clone()
    other[-1, -1] = 0

    assert of_rows((rows, None, {"a": rows.T})) != of_rows((other, None, {"a": rows.T}))


def test_data_of_numpy_and_of_torch_are_one(tmp_path):
    killed(fit, tmp_path)

    fit(tmp_path, x=X.numpy(), y=np.asarray(Y))
