"""On a GPU: nothing waits in a step, and results are those of the CPU. Skipped without one."""

import numpy as np
import pytest

from onstage import Callback

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from onstage_torch.state_encoding import seed_generators  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = "cuda"
CLOCKS = 20_000_000  # About 10 ms, in which the host gets several batches ahead.


@pytest.fixture
def new_models(new_module):
    """Return a function that makes equal models, on the CPU and on the GPU."""

    def make(optimizer=torch.optim.Adam, **options):
        return [
            TorchModel(new_module(), optimizer, "cross_entropy", ["accuracy"], device=each, **options)
            for each in ("cpu", GPU)
        ]

    return make


@pytest.fixture(autouse=True)
def waiting_is_allowed_again():
    """Restore torch's setting after a test that has failed."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def in_form(form, x, y):
    """Return the arguments of fit: arrays, tensors on the GPU, either of them, or a loader."""
    on_gpu = torch.from_numpy(x).to(GPU), torch.from_numpy(y).to(GPU)
    return {
        "arrays": (x, y),
        "on the GPU": on_gpu,
        "x on the GPU": (on_gpu[0], y),
        "loader": (DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), 8),),
        "pinned loader": (
            DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), 8, pin_memory=True),
        ),
    }[form]


FORMS = ["arrays", "on the GPU", "x on the GPU", "loader", "pinned loader"]


class RefuseWaiting(Callback):
    """Make waiting for the GPU an error, but in a fit's first batch, which is checked, and between epochs."""

    def __init__(self):
        self.batches = 0

    def on_epoch_begin(self, epoch):
        if epoch:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, batch):
        self.batches += 1
        torch.cuda.set_sync_debug_mode("default" if batch + 1 == self.params["steps"] else "error")


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_no_step_of_a_training_waits(form, shuffle, data, new_models):
    refuses = RefuseWaiting()
    sizes = {} if "loader" in form else {"batch_size": 8, "shuffle": shuffle}

    new_models()[1].fit(*in_form(form, *data), epochs=3, verbose=0, callbacks=[refuses], **sizes)

    assert refuses.batches == 15


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 2, "clip_grad_norm": 1.0, "use_ema": True},
        {"clip_grad_value": 0.1, "amp": "bfloat16"},
        {"optimizer": lambda p: torch.optim.AdamW(p, fused=True)},
        {
            "optimizer": lambda p: torch.optim.SGD(p, lr=0.1),
            "scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 1),
            "schedule_on": "batch",
        },
    ],
    ids=["accumulate", "bfloat16", "fused", "scheduler"],
)
def test_no_step_with_options_waits(options, data, new_models):
    refuses = RefuseWaiting()

    new_models(**options)[1].fit(*data, batch_size=8, epochs=2, verbose=0, callbacks=[refuses])

    assert refuses.batches == 10


def test_a_wait_in_a_step_is_noticed(data, new_models):
    class Waits(Callback):
        def on_train_batch_end(self, logs):
            float(logs["loss"])

    with pytest.raises(RuntimeError, match="synchronizing"):
        new_models()[1].fit(*data, batch_size=8, verbose=0, callbacks=[RefuseWaiting(), Waits()])


def test_a_prediction_does_not_wait_for_its_batches(data, new_models):
    on_cpu, model = new_models()

    torch.cuda.set_sync_debug_mode("error")
    outputs = model.predict(data[0], batch_size=8, verbose=0)
    torch.cuda.set_sync_debug_mode("default")

    np.testing.assert_allclose(outputs, on_cpu.predict(data[0], verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "clip_grad_norm": 0.1}], ids=["plain", "options"])
def test_training_gives_the_weights_and_metrics_of_the_cpu(form, options, data, new_models):
    on_cpu, on_gpu = new_models(**options)
    arguments = in_form(form, *data)
    sizes = {} if len(arguments) == 1 else {"batch_size": 8}

    expected = on_cpu.fit(*(arguments if not sizes else data), epochs=3, verbose=0, seed=4, **sizes)
    history = on_gpu.fit(*arguments, epochs=3, verbose=0, seed=4, **sizes)

    for name, values in expected.history.items():
        assert history.history[name] == pytest.approx(values, rel=1e-3)
    for name, weight in on_cpu.module.state_dict().items():
        torch.testing.assert_close(on_gpu.module.state_dict()[name].cpu(), weight, rtol=1e-3, atol=1e-4)
    assert on_gpu.evaluate(*data, verbose=0) == pytest.approx(on_cpu.evaluate(*data, verbose=0), rel=1e-3)


@pytest.mark.parametrize("form", ["arrays", "on the GPU", "loader", "pinned loader"])
def test_a_batch_holds_its_rows_when_the_gpu_lags_behind_the_host(form):
    x = np.random.default_rng(1).random((320, 4096), np.float32)
    seen = []

    def step(module, x, y):
        torch.cuda._sleep(CLOCKS)
        seen.append((x.clone(), y.clone()))
        return module(x[:, :4]).mean()

    model = TorchModel(nn.Linear(4, 1), torch.optim.SGD, step=step, device=GPU)
    sizes = {} if "loader" in form else {"batch_size": 8}
    model.fit(*in_form(form, x, np.arange(320)), verbose=0, seed=2, **sizes)

    rows = torch.cat([y for _, y in seen]).cpu().numpy()
    expected = np.arange(320) if "loader" in form else np.random.default_rng(2).permutation(320)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(torch.cat([each for each, _ in seen]).cpu().numpy(), x[rows])


def test_outputs_are_those_of_their_batches_when_the_gpu_lags_behind_the_host():
    class Slow(nn.Module):
        def forward(self, x):
            torch.cuda._sleep(CLOCKS)
            return {"same": x * 1, "half": (x * 1).bfloat16()}

    x = np.random.default_rng(1).integers(0, 100, (320, 4096)).astype(np.float32)
    model = TorchModel(Slow(), device=GPU)
    model._pending._limit = 2**20  # Less than all: some are waited for.

    outputs = model.predict(x, batch_size=8, verbose=0)

    np.testing.assert_array_equal(outputs["same"], x)
    np.testing.assert_array_equal(outputs["half"], x)


def test_a_callback_reads_outputs_that_have_arrived(data, new_models):
    parts = []

    class Reads(Callback):
        def on_predict_batch_end(self, logs):
            parts.append(logs["outputs"].copy())

    outputs = new_models()[1].predict(data[0], batch_size=8, verbose=0, callbacks=[Reads()])

    np.testing.assert_array_equal(np.concatenate(parts), outputs)


def test_shuffled_arrays_are_gathered_in_pinned_memory(data, new_models):
    on_cpu, on_gpu = new_models()

    for model, pinned in ((on_cpu, False), (on_gpu, True)):
        x, y, _ = next(iter(model.make_batches(*data, batch_size=8, shuffle=True)))
        assert (x.is_pinned(), y.is_pinned()) == (pinned, pinned)


def test_a_model_on_the_cpu_takes_tensors_of_the_gpu(data, new_models):
    on_cpu = new_models()[0]
    many = np.tile(data[0], (2000, 1))

    outputs = on_cpu.predict(torch.from_numpy(many).to(GPU), batch_size=len(many), verbose=0)

    np.testing.assert_array_equal(outputs, on_cpu.predict(many, batch_size=len(many), verbose=0))


def test_a_training_goes_on_from_a_file_with_the_same_random_numbers(data, new_module, tmp_path):
    def new():
        return TorchModel(new_module(dropout=0.5), torch.optim.Adam, "cross_entropy", device=GPU)

    whole = new()
    whole.fit(*data, batch_size=8, verbose=0, seed=1)
    whole.save(tmp_path / "model.safetensors")
    expected = whole.fit(*data, batch_size=8, verbose=0).history

    resumed = new()
    resumed.load(tmp_path / "model.safetensors")

    assert resumed.fit(*data, batch_size=8, verbose=0).history == expected
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight)


def test_seeding_one_gpu_draws_the_numbers_of_torchs_manual_seed_and_leaves_the_others():
    devices = [torch.device(GPU, number) for number in range(torch.cuda.device_count())]
    torch.manual_seed(3)
    expected = torch.rand(9), torch.rand(9, device=devices[0])
    before = [torch.cuda.get_rng_state(each) for each in devices]

    seed_generators(3, devices[0])

    assert torch.equal(torch.rand(9), expected[0])
    assert torch.equal(torch.rand(9, device=devices[0]), expected[1])
    for each, state in zip(devices[1:], before[1:], strict=True):
        assert torch.equal(torch.cuda.get_rng_state(each), state)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
@pytest.mark.parametrize("dynamic", [None, False])
def test_cuda_graphs_train_the_last_short_batch_too(dynamic, data, new_models):
    options = {"mode": "reduce-overhead", "dynamic": dynamic}
    plain, graphs = new_models()[1], new_models(compile=options)[1]

    expected = plain.fit(*data, batch_size=16, epochs=4, verbose=0, seed=4).history
    history = graphs.fit(*data, batch_size=16, epochs=4, verbose=0, seed=4).history

    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    np.testing.assert_allclose(
        graphs.predict(data[0], batch_size=16, verbose=0),
        plain.predict(data[0], verbose=0),
        rtol=1e-2,
        atol=1e-3,
    )
