"""Memory does not grow with steps, nor with fits."""

import gc
import sys
from pathlib import Path

import pytest

from onstage import Callback, Run
from onstage.callbacks import CSVLogger, EarlyStopping, ReduceLROnPlateau

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402

STATM = Path("/proc/self/statm")
PAGE = 4096
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATM.exists(), reason="resident memory is read from Linux's /proc"),
]
BLOCKS, BYTES = 2000, 12_000_000
"""Python's blocks and the process's bytes that may be added; one kept tensor in each step adds more."""


class Memory:
    """Growth of Python's allocated blocks and of the process's bytes since the first call."""

    before = None

    def __call__(self):
        gc.collect()
        now = sys.getallocatedblocks(), int(STATM.read_text().split()[1]) * PAGE
        if self.before is None:
            self.before = now
        return now[0] - self.before[0], now[1] - self.before[1]


@pytest.fixture
def memory():
    return Memory()


class Measures(Callback):
    """Measures after the first and the last of 11 epochs of 1000 steps."""

    def __init__(self, memory):
        self.memory = memory

    def on_epoch_end(self, epoch):
        if epoch in (0, 10):
            self.grown = self.memory()


class Leaks(Callback):
    def __init__(self):
        self.kept = []

    def on_train_batch_end(self, batch):
        self.kept.append(torch.zeros(500) + batch)


def new_model(**options):
    return TorchModel(
        torch.nn.Linear(6, 3), torch.optim.Adam, "cross_entropy", ["accuracy"], device="cpu", **options
    )


def rows(n):
    return torch.randn(n, 6), torch.arange(n) % 3


def train(memory, *callbacks, **options):
    x, y = rows(4000)
    measures = Measures(memory)
    new_model(**options).fit(x, y, batch_size=4, epochs=11, verbose=0, callbacks=[*callbacks, measures])
    return measures.grown


@pytest.mark.parametrize(
    "options", [{}, {"accumulate": 2, "clip_grad_norm": 1.0, "use_ema": True, "amp": "bfloat16"}], ids=str
)
def test_10_000_steps_add_no_memory(options, memory):
    blocks, size = train(memory, **options)

    assert blocks < BLOCKS
    assert size < BYTES


def test_a_tensor_kept_in_each_step_is_seen(memory):
    blocks, size = train(memory, Leaks())

    assert blocks > BLOCKS
    assert size > BYTES


def test_10_000_steps_of_a_loop_of_ones_own_add_no_memory(memory):
    module = torch.nn.Linear(6, 3)
    optimizer = torch.optim.Adam(module.parameters())
    measures = Measures(memory)
    batches = list(zip(*(part.split(4) for part in rows(4000)), strict=True))
    with Run(TorchModel.view(module, optimizer), [measures], epochs=11) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                loss = torch.nn.functional.cross_entropy(module(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss)

    blocks, size = measures.grown
    assert blocks < BLOCKS
    assert size < BYTES


@pytest.mark.parametrize("which", ["one model", "a new model for each"])
def test_100_fits_add_no_memory(which, memory, tmp_path):
    data = rows(64)
    one = new_model()

    def fit(times):
        for _ in range(times):
            model = one if which == "one model" else new_model()
            callbacks = [EarlyStopping(patience=3), ReduceLROnPlateau(), CSVLogger(tmp_path / "log.csv")]
            model.fit(*data, epochs=2, validation_split=0.5, verbose=0, callbacks=callbacks)

    fit(10)
    memory()
    fit(100)

    blocks, size = memory()
    assert blocks < BLOCKS
    assert size < BYTES
