"""Steps do not read from the device: on the meta device, reading is an error."""

import pytest

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


@pytest.fixture(params=["a function", "cross_entropy"])
def model(request):
    """A model on the meta device, where reading a number is an error."""
    loss = (
        request.param if request.param == "cross_entropy" else lambda outputs, y: F.cross_entropy(outputs, y)
    )
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    return TorchModel(
        module,
        torch.optim.Adam,
        loss,
        ["accuracy", "top_k_categorical_accuracy", "mse", "auc", "precision", "f1_score"],
        weighted_metrics=["mae"],
        device="meta",
        clip_grad_norm=1.0,
        accumulate=2,
        use_ema=True,
        scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, 1),
        schedule_on="batch",
    )


BATCH = (torch.rand(10, 6), F.one_hot(torch.arange(10) % 3, 3).float(), None)


def test_steps_and_unread_logs_do_not_wait_for_the_device(model):
    accumulator = model.new_accumulator()

    for _ in range(4):
        model.train_step(BATCH, accumulator)
        logs, batch_logs = accumulator.logs(), accumulator.batch_logs()
        model.test_step(BATCH, accumulator)

    assert accumulator.loss.device.type == "meta"
    for read_later in (logs, batch_logs):
        with pytest.raises(Exception, match="meta"):
            read_later["loss"]


def test_logs_keep_their_values_when_more_batches_come(new_model, data):
    # As on a device, but on the CPU: sums stay tensors.
    model = new_model()
    accumulator = model.new_accumulator()
    accumulator._on_host = False
    x, y = torch.from_numpy(data[0]), torch.from_numpy(data[1])

    model.test_step((x[:10], y[:10], None), accumulator)
    early = accumulator.logs()
    model.test_step((x[10:], y[10:], None), accumulator)

    assert dict(early) == pytest.approx(model.test_on_batch(x[:10], y[:10], return_dict=True))
    assert dict(accumulator.logs()) == pytest.approx(model.test_on_batch(x, y, return_dict=True))
    assert accumulator.batch_logs()["loss"] == pytest.approx(model.test_on_batch(x[10:], y[10:])[0])
