"""Trainings on the page: what `Live` sends, how runs end, and the stop that the page asks for."""

import os
import threading
import time

import numpy as np
import pytest
from onstage_live import Live
from onstage_remote_monitor.client.http import Transport

import onstage
from onstage import Callback, Run, Sequential, layers
from onstage.callbacks import EarlyStopping
from onstage.hosts import HostCallback, HostView
from onstage.model_view import ModelView
from onstage.testing import FakeModel, replay

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int64")


def new_model():
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_fit_is_shown_with_all_that_is_known_of_it(client):
    model = new_model()

    history = model.fit(
        X,
        Y,
        epochs=3,
        batch_size=16,
        validation_split=0.25,
        seed=0,
        verbose=0,
        callbacks=[Live(client.server.url)],
    )

    (run,) = client.runs()
    assert run["name"].startswith("Sequential · ")
    expected = {"state": "finished", "why": None, "epoch": 3, "epochs": 3, "steps": 9, "pid": os.getpid()}
    assert expected.items() <= run.items()
    assert run["params"]["batch_size"] == 16
    assert run["params"]["compile.optimizer.config.learning_rate"] == pytest.approx(0.001)
    for name in ("loss", "val_loss", "accuracy", "val_accuracy"):
        curve = client.curve(run["id"], name, x="epoch")
        assert (curve["x"], curve["y"]) == ([1, 2, 3], history.history[name])
    assert client.curve(run["id"], "loss", kind="batch")["total"] == 9


def test_batches_are_shown_with_their_own_values(client):
    with Run(FakeModel(), [Live(client.server.url)], epochs=1) as run:
        for _ in run.epochs():
            for value in run.batches([1.0, 2.0, 6.0]):
                run.log(loss=value)

    (shown,) = client.runs()
    assert client.curve(shown["id"], "loss", kind="batch")["y"] == [1.0, 2.0, 6.0]
    assert client.curve(shown["id"], "loss", kind="epoch")["y"] == [3.0]


def test_a_run_has_the_name_that_it_was_given(client):
    replay(Live(client.server.url, name="the <b>best</b>"), [{"loss": 1.0}])

    assert client.runs()[0]["name"] == "the <b>best</b>"


def test_callbacks_are_named_without_their_secrets(client):
    class Breaks(Callback):
        def __repr__(self):
            raise ValueError

    others = [EarlyStopping(monitor="loss", patience=3), Breaks()]
    replay([Live(client.server.url, headers={"X-Token": "s3cret"}), *others], [{"loss": 1.0}])

    (run,) = client.runs()
    assert run["callbacks"] == ["EarlyStopping(monitor='loss', patience=3)", "Breaks", "Recorder()"]
    assert "s3cret" not in str(run)


def test_a_training_that_a_callback_stops_says_why(client):
    replay(
        [Live(client.server.url), EarlyStopping(monitor="loss", patience=1)],
        [{"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0}],
    )

    (run,) = client.runs()
    assert run["state"] == "stopped"
    assert run["why"].startswith("EarlyStopping: ")


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (ValueError("shapes (3,) and (4,)"), "failed", "ValueError: shapes (3,) and (4,)"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt: "),
    ],
)
def test_a_training_that_fails_says_why(client, error, state, why):
    class Fails(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 1:
                raise error

    with pytest.raises(type(error)):
        replay([Live(client.server.url), Fails()], [{"loss": 1.0}] * 3)

    (run,) = client.runs()
    assert (run["state"], run["why"].strip(), run["epoch"]) == (state, why.strip(), 2)


def test_the_page_stops_a_real_training_at_its_next_batch(client):
    model, live = new_model(), Live(client.server.url)

    def press():
        until(lambda: any(run["epoch"] >= 1 for run in client.runs()))
        client.ask("POST", f"/api/runs/{client.runs()[0]['id']}/stop")

    page = threading.Thread(target=press)
    page.start()
    history = model.fit(X, Y, epochs=1_000_000, batch_size=16, verbose=0, callbacks=[live])
    page.join()

    (run,) = client.runs()
    assert history.stop_reason == "asked from the page"
    assert (run["state"], run["why"]) == ("stopped", "Live: asked from the page")
    assert history.stopped_by == "Live"


def test_the_next_training_with_the_same_callback_goes_on(client):
    live = Live(client.server.url)

    class Asks(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 0:
                until(client.runs)
                client.ask("POST", f"/api/runs/{client.runs()[0]['id']}/stop")
                until(lambda: self.run.stopping or live._sender.asked_to_stop)

    first = replay([Asks(), live], [{"loss": 1.0}] * 3, batches=2)
    second = replay([live], [{"loss": 1.0}] * 3, batches=2)

    assert (first.epochs_run, second.epochs_run) == (1, 3)


def test_an_idle_run_beats_its_heart(client, monkeypatch):
    monkeypatch.setattr("onstage_remote_monitor.client.sender._HEARTBEAT", 0.2)
    store = client.server._store

    class Thinks(Callback):
        def on_train_batch_end(self, batch):
            if batch != 1:
                return
            until(lambda: store.heard)
            (name,) = store.heard
            time.sleep(0.3)  # the batches are sent
            before = store.heard[name]
            until(lambda: store.heard[name] > before)

    replay([Live(client.server.url), Thinks()], [{"loss": 1.0}], batches=2)

    assert client.runs()[0]["state"] == "finished"


def test_a_server_without_the_header_gets_no_heartbeat(client, monkeypatch):
    monkeypatch.setattr("onstage_remote_monitor.client.sender._HEARTBEAT", 0.0)
    monkeypatch.setattr("onstage_live.app.LIVE_HEADER", "X-Other")
    beats = []
    monkeypatch.setattr(Transport, "beat", lambda *_: beats.append(1))

    class Waits(Callback):
        def on_epoch_end(self):
            time.sleep(0.5)

    replay([Live(client.server.url), Waits()], [{"loss": 1.0}])

    assert client.runs()[0]["epoch"] == 1
    assert beats == []


def test_a_restarted_server_gets_what_was_missed(start):
    first = start()
    url, port = first.server.url, int(first.server.url.rpartition(":")[2])
    restarted = []

    class Restarts(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 1:
                until(lambda: first.runs() and first.runs()[0]["epoch"] >= 1)
                first.server.close()
            if epoch == 3:
                restarted.append(start(port=port))

    replay([Live(url), Restarts()], [{"loss": float(n)} for n in range(6)], batches=5)

    (client,) = restarted
    (run,) = client.runs()
    assert client.curve(run["id"], "loss", x="epoch")["y"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert (run["state"], run["steps"]) == ("finished", 30)


def test_a_resumed_training_is_one_run(client):
    saved = []

    class Saves(Callback):
        def on_train_batch_end(self, batch, run):
            if run.epoch == 1 and batch == 1:
                saved.append(run.state_dict())
            if run.epoch == 2:
                raise InterruptedError

    class Resumes(Callback):
        def on_train_begin(self, run):
            run.load_state_dict(saved[0])

    def train(*others):
        with Run(FakeModel(), [Live(client.server.url), *others], epochs=4) as run:
            for epoch in run.epochs():
                for batch in run.batches([1.0, 2.0, 3.0]):
                    run.log(loss=10 * epoch + batch)

    with pytest.raises(InterruptedError):
        train(Saves())
    failed = client.runs()[0]["state"]
    train(Resumes())

    (run,) = client.runs()
    assert (failed, run["state"], run["attempt"], run["steps"]) == ("failed", "finished", 2, 12)
    assert client.curve(run["id"], "loss", kind="batch")["y"] == [
        10 * epoch + batch for epoch in range(4) for batch in (1, 2, 3)
    ]


def test_a_host_that_adapts_another_trainer_feeds_it(client):
    class Adapter(HostCallback):
        host = "Foreign"

    adapter = Adapter([Live(client.server.url)])
    adapter.start(HostView(ModelView(), "Foreign"), epochs=2)
    for epoch in range(2):
        for batch in range(3):
            adapter.begin("train_batch", batch)
            adapter.end("train_batch", {"loss": epoch + batch / 10}, samples=4)
        adapter.end("epoch", {"val_loss": 0.5})
    adapter.finish()

    (run,) = client.runs()
    assert run["name"].startswith("Foreign · ")
    assert (run["state"], run["epoch"], run["steps"]) == ("finished", 2, 6)
    assert client.curve(run["id"], "val_loss")["y"] == [0.5, 0.5]


def test_it_is_chosen_by_name_and_its_address_by_the_environment(client, monkeypatch):
    monkeypatch.setenv("ONSTAGE_LIVE", client.server.url)

    new_model().fit(X, Y, epochs=1, verbose=0, callbacks=["live"])

    assert client.runs()[0]["state"] == "finished"
    assert onstage.callback("live", name="x").name == "x"


def test_a_torch_model_is_named_by_its_module(client):
    torch = pytest.importorskip("torch")
    onstage_torch = pytest.importorskip("onstage_torch")

    class TinyNet(torch.nn.Linear):
        pass

    module = TinyNet(4, 2)
    model = onstage_torch.TorchModel(module, torch.optim.SGD, "cross_entropy")
    live = Live(client.server.url)
    history = model.fit(X, Y, epochs=2, batch_size=16, verbose=0, callbacks=[live])

    (run,) = client.runs()
    assert run["name"].startswith("TinyNet · ")
    assert run["state"] == "finished"
    assert client.curve(run["id"], "loss", x="epoch")["y"] == history.history["loss"]
    assert client.curve(run["id"], "loss", kind="batch")["total"] == 8
