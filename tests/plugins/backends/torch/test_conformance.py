"""Every installed callback works with a torch model, which fires the documented stages."""

import numpy as np
import pytest

from onstage import Model
from onstage.callbacks import BackupAndRestore, CSVLogger, LearningRateScheduler, ModelCheckpoint, TensorBoard
from onstage.registry import _discovery
from onstage.testing import FakeModel, Recorder, check_callback

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402


def torch_model():
    return TorchModel(
        nn.Linear(2, 1), lambda p: torch.optim.SGD(p, 0.1), "mse", ["mae"], device="cpu", use_ema=True
    )


@pytest.fixture
def makers(tmp_path):
    """Factories of the installed callbacks that need an argument."""
    return {
        "backup_and_restore": lambda: BackupAndRestore(tmp_path / "backup", save_freq=1),
        "csv_logger": lambda: CSVLogger(tmp_path / "log.csv"),
        "learning_rate_scheduler": lambda: LearningRateScheduler(halved),
        "model_checkpoint": lambda: ModelCheckpoint(tmp_path / "{epoch}"),
        "remote_monitor": lambda: _discovery.find("remote_monitor").load()(
            "http://127.0.0.1:1", spool=tmp_path / "spool"
        ),
        "tensorboard": lambda: TensorBoard(tmp_path / "board", histogram_freq=1),
        "time_limit": lambda: _discovery.find("time_limit").load()(3600.0),
    }


def halved(epoch, rate):
    return rate / 2


@pytest.mark.parametrize("name", [plugin.name for plugin in _discovery.installed("onstage.callbacks")])
def test_an_installed_callback_conforms_on_a_torch_model(name, makers):
    check_callback(makers.get(name, _discovery.find(name).load()), model=torch_model)


def test_a_torch_model_implements_the_whole_protocol():
    assert isinstance(torch_model(), Model)


def traces(model):
    """Stages that a callback sees in a fit, an evaluation and a prediction."""
    recorder = Recorder()
    x, y = np.ones((5, 2), np.float32), np.ones((5, 1), np.float32)
    model.fit(x, y, batch_size=2, epochs=2, validation_data=(x, y), callbacks=[recorder], verbose=0)
    model.evaluate(x, y, batch_size=2, callbacks=[recorder], verbose=0)
    model.predict(x, batch_size=2, callbacks=[recorder], verbose=0)
    return [
        (stage, number, tuple(key.replace("mae", "accuracy") for key in keys))
        for stage, number, keys in recorder.trace
    ]


def test_it_fires_the_same_stages_as_any_model():
    # FakeModel's are held to the table by the core's own golden traces.
    sorted_keys = [(s, n, tuple(sorted(k))) for s, n, k in traces(torch_model())]

    assert sorted_keys == [(s, n, tuple(sorted(k))) for s, n, k in traces(FakeModel())]


def test_the_logs_of_a_predicted_batch_hold_its_outputs():
    recorder = Recorder()
    model = torch_model()

    outputs = model.predict(np.ones((3, 2), np.float32), batch_size=2, callbacks=[recorder], verbose=0)

    seen = [
        logs["outputs"]
        for (stage, *_), logs in zip(recorder.trace, recorder.logs, strict=True)
        if stage == "on_predict_batch_end"
    ]
    np.testing.assert_array_equal(np.concatenate(seen), outputs)
