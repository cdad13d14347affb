"""One plugin, every backend: the same trace and the same decisions.

Each built-in callback, and the third party's of the examples, takes part in the
same small training from the same weights: of `Sequential`, of `TorchModel`, and
of a loop by hand with a view of a torch module.
"""

import importlib.util
import json
import re
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from onstage import Callback, Run, Sequential, layers, optimizers
from onstage.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from onstage.state import storage
from onstage.testing import Recorder

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

BATCH, EPOCHS, RATE = 16, 8, 2.5

_rng = np.random.default_rng(12)
Y = np.arange(60) % 3
X = _rng.normal(size=(60, 4)).astype(np.float32)
X[np.arange(60), Y] += 0.6
X_VAL, Y_VAL = X[:20] + _rng.normal(size=(20, 4)).astype(np.float32), Y[:20]
KERNELS = [_rng.normal(size=shape).astype(np.float32) for shape in ((4, 8), (8,), (8, 3), (3,))]


# -- the three backends: each trains, and returns its history and its model


def on_sequential(callbacks, x=X, ema=False, verbose=0):
    model = Sequential([layers.Input((4,)), layers.Dense(8, "tanh"), layers.Dense(3, "softmax")])
    model.set_weights(KERNELS)
    model.compile(
        optimizers.SGD(RATE, use_ema=ema, ema_momentum=0.7), "sparse_categorical_crossentropy", ["accuracy"]
    )
    return _fit(model, callbacks, x, verbose), model


def torch_module():
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(1))
    weights = [torch.from_numpy(k.T.copy()) for k in KERNELS]
    module.load_state_dict(dict(zip(module.state_dict(), weights, strict=True)))
    return module


def on_torch(callbacks, x=X, ema=False, verbose=0):
    model = TorchModel(
        torch_module(),
        lambda p: torch.optim.SGD(p, RATE),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        device="cpu",
        use_ema=ema,
        ema_momentum=0.7,
    )
    return _fit(model, callbacks, x, verbose), model


def _fit(model, callbacks, x, verbose):
    return model.fit(
        x,
        Y,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        validation_data=(X_VAL, Y_VAL),
        callbacks=callbacks,
        verbose=verbose,
    )


def by_hand(callbacks, x=X, ema=False, verbose=0):
    module = torch_module()
    optimizer = torch.optim.SGD(module.parameters(), RATE)
    view = TorchModel.view(module, optimizer)

    def batches(x, y):
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        return [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]

    def measure(x, y):
        outputs = module(x)
        loss = F.nll_loss(outputs.log(), y)
        return loss, {"loss": loss, "accuracy": (outputs.argmax(1) == y).float().mean()}

    train, validation = batches(x, Y), batches(X_VAL, Y_VAL)
    with Run(
        view, callbacks, epochs=EPOCHS, steps=len(train), batch_size=BATCH, samples=len(x), verbose=verbose
    ) as run:
        for _ in run.epochs():
            for inputs, targets in run.batches(train):
                optimizer.zero_grad()
                loss, values = measure(inputs, targets)
                loss.backward()
                optimizer.step()
                run.log(values)
            for inputs, targets in run.test_batches(validation):
                with torch.no_grad():
                    run.log(measure(inputs, targets)[1])
    return run.history, view


BACKENDS = {"Sequential": on_sequential, "TorchModel": on_torch, "own loop": by_hand}


# -- the callbacks: each case makes them, and returns their decisions


class Sees(Callback):
    """Records the rate of each epoch."""

    def __init__(self):
        self.rates = []

    def on_epoch_end(self):
        self.rates.append(self.model.learning_rate)


def early_stopping(folder):
    callback = EarlyStopping(patience=2, min_delta=0.01, restore_best_weights=True)
    return [callback], lambda: (callback.stopped_epoch, callback.best_epoch, callback.wait, callback.best)


def reduce_lr_on_plateau(folder):
    sees = Sees()
    return [ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.02), sees], lambda: sees.rates


def learning_rate_scheduler(folder):
    sees = Sees()
    return [LearningRateScheduler(lambda epoch, rate: rate * 0.8), sees], lambda: sees.rates


def model_checkpoint(folder):
    callback = ModelCheckpoint(folder / "{epoch:02d}", save_best_only=True)

    def decisions():
        names = sorted(path.name for path in folder.iterdir())
        pointers = [storage_name.read_text() for storage_name in (folder / "best", folder / "latest")]
        return names, pointers, callback.best

    return [callback], decisions


def csv_logger(folder):
    def rows():
        table = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()]
        return table[0], [[float(cell) for cell in row] for row in table[1:]]

    return [CSVLogger(folder / "log.csv")], rows


def tensorboard(folder):
    def curves():
        return {part: sorted(_events(folder / part)) for part in ("train", "validation")}

    return [TensorBoard(folder, update_freq=2, write_graph=False)], curves


def _events(folder):
    """Return tag, step and value from event files in the TFRecord format."""
    from tensorboardX.proto.event_pb2 import Event

    for path in folder.iterdir():
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4
            for value in event.summary.value:
                number = value.tensor.float_val[0] if value.tensor.float_val else value.simple_value
                yield value.tag, event.step, float(number)


def progbar_logger(folder):
    file = StringIO()

    def lines():
        return re.sub(r" +[\d.]+ ?(m|u|µ)?s(/step|/epoch)?", " TIME", file.getvalue())

    return [ProgbarLogger(file=file)], lines


def lambda_callback(folder):
    seen = []
    return [
        LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["val_accuracy"])),
            on_train_batch_end=lambda batch, logs: seen.append((batch, logs["accuracy"])),
        )
    ], lambda: seen


def swap_ema_weights(folder):
    return [SwapEMAWeights()], lambda: None


def time_budget(folder):
    source = Path(__file__).parents[4] / "examples/third_party_plugin/src/onstage_time_budget/__init__.py"
    spec = importlib.util.spec_from_file_location("onstage_time_budget", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    callback = module.TimeBudget(seconds=1e-9)
    return [callback], lambda: callback.spent > 0


def remote_monitor(folder):
    received = []

    class Receives(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            """Do not log requests."""

    server = HTTPServer(("127.0.0.1", 0), Receives)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def payloads():
        server.shutdown()
        thread.join()
        server.server_close()
        return [sorted(each.items()) for each in received]

    root = f"http://127.0.0.1:{server.server_port}"
    return [RemoteMonitor(root=root, send_as_json=True)], payloads


CASES = [
    early_stopping,
    reduce_lr_on_plateau,
    learning_rate_scheduler,
    model_checkpoint,
    csv_logger,
    tensorboard,
    progbar_logger,
    lambda_callback,
    remote_monitor,
    time_budget,
]


def close(one, other):
    """Return whether two trees are equal, their floats to five digits."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=2e-5, abs=2e-6)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    return one == other


def outcome(backend, case, folder, **options):
    folder.mkdir()
    callbacks, decisions = case(folder)
    recorder = Recorder()
    history, _ = BACKENDS[backend]([*callbacks, recorder], **options)
    return {
        "trace": recorder.trace,
        "logs": [sorted(logs.items()) for logs in recorder.logs],
        "decisions": decisions(),
        "history": history.history,
        "stopped": (history.stopped_by, history.epoch),
    }


@pytest.mark.parametrize("backend", ["TorchModel", "own loop"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_callback_sees_and_decides_the_same_on_every_backend(case, backend, tmp_path):
    verbose = 2 if case is progbar_logger else 0

    here = outcome(backend, case, tmp_path / "here", verbose=verbose)
    on_numpy = outcome("Sequential", case, tmp_path / "numpy", verbose=verbose)

    assert here["trace"] == on_numpy["trace"]
    assert close(here["logs"], on_numpy["logs"])
    assert close(here["decisions"], on_numpy["decisions"]), (here["decisions"], on_numpy["decisions"])
    assert close(here["history"], on_numpy["history"])
    if case is not time_budget:
        assert here["stopped"] == on_numpy["stopped"]


def test_the_problem_makes_the_callbacks_decide_something(tmp_path):
    stops = outcome("Sequential", early_stopping, tmp_path / "a")
    rates = outcome("Sequential", reduce_lr_on_plateau, tmp_path / "b")["decisions"]
    saved = outcome("Sequential", model_checkpoint, tmp_path / "c")["decisions"][0]

    assert stops["stopped"][0] == "EarlyStopping"
    assert 0 < stops["decisions"][1] < stops["decisions"][0] < EPOCHS - 1
    assert len(set(rates)) > 1
    assert 1 < len([name for name in saved if name.endswith(".safetensors")]) < EPOCHS


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_restored_model_has_the_weights_of_the_best_epoch(backend, tmp_path):
    kept = []

    class Keeps(Callback):
        def on_epoch_end(self):
            kept.append(self.model.get_weights())

    callback = EarlyStopping(patience=2, min_delta=0.01, restore_best_weights=True)

    _, model = BACKENDS[backend]([Keeps(), callback])

    for restored, best in zip(model.get_weights(), kept[callback.best_epoch], strict=True):
        np.testing.assert_array_equal(restored, best)


@pytest.mark.filterwarnings("ignore:x holds NaN")  # that is the point
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_nan_loss_ends_the_training_at_its_batch(backend, capsys):
    x = X.copy()
    x[BATCH + 3] = np.nan  # in batch 1

    history, _ = BACKENDS[backend]([TerminateOnNaN()], x=x)

    assert history.epoch == [0]
    assert history.stopped_by == "TerminateOnNaN"
    assert history.stop_reason.startswith("loss was nan in epoch 1, batch 1")
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_averaged_weights_are_evaluated_on_every_backend_that_averages():
    runs = {}
    for backend in ("Sequential", "TorchModel"):
        recorder = Recorder()
        history, model = BACKENDS[backend]([SwapEMAWeights(), recorder], ema=True)
        runs[backend] = (recorder.trace, history.history, [w.sum() for w in model.get_weights()])

    assert runs["TorchModel"][0] == runs["Sequential"][0]
    assert close(runs["TorchModel"][1], runs["Sequential"][1])
    np.testing.assert_allclose(runs["TorchModel"][2], runs["Sequential"][2], rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="SwapEMAWeights needs a model with finalize_weights"):
        by_hand([SwapEMAWeights()])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_killed_training_ends_with_the_same_bits_on_every_backend(save_freq, backend, tmp_path):
    class Killed(Exception):
        pass

    class Dies(Callback):
        def on_train_batch_end(self, batch):
            if (self.run.epoch, batch) == (4, 2):
                raise Killed

    def callbacks(folder, *more):
        return [
            BackupAndRestore(folder / "backup", save_freq=save_freq),
            ReduceLROnPlateau(factor=0.5, patience=1),
            CSVLogger(folder / "log.csv"),
            *more,
        ]

    whole, model = BACKENDS[backend](callbacks(tmp_path / "whole"))
    with pytest.raises(Killed):
        BACKENDS[backend](callbacks(tmp_path / "killed", Dies()))
    resumed, again = BACKENDS[backend](callbacks(tmp_path / "killed"))

    assert resumed.history == whole.history
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "killed/log.csv").read_text() == (tmp_path / "whole/log.csv").read_text()
    assert not (tmp_path / "killed/backup").exists()


def arrays_in(tree):
    """The arrays of a saved tree, in its order."""
    if isinstance(tree, np.ndarray):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [array for branch in branches for array in arrays_in(branch)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkpoint_holds_the_weights_of_its_epoch(backend, tmp_path):
    class Loads(Callback):
        """Runs after the checkpoint: reads the file that it has written."""

        def on_epoch_end(self):
            saved = arrays_in(storage.load(tmp_path / "weights.safetensors"))
            for one, other in zip(saved, self.model.get_weights(), strict=True):
                np.testing.assert_array_equal(one, other)

    BACKENDS[backend]([ModelCheckpoint(tmp_path / "weights", save_weights_only=True), Loads()])
