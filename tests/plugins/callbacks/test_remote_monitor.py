"""RemoteMonitor: the events that it sends, and its behaviour as a callback."""

import contextlib
import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from onstage_remote_monitor import RemoteMonitor
from onstage_remote_monitor.client.encoding import MAX_BYTES, encode, to_json_values

from onstage import Callback, OnstageWarning, Run, StateError, hookimpl
from onstage.bus import Bus
from onstage.testing import FakeModel, check_callback, replay

LOGS = [{"loss": 0.5, "val_loss": 0.75}, {"loss": 0.25, "val_loss": 0.625}]
TOKEN = "s3cret-token-of-this-test"


@pytest.fixture
def server(event_server):
    return event_server()


def sent_to(server):
    """Return the events without the time and the description of the run."""
    described = ("wall_time", "name", "host", "pid", "model", "epochs", "params", "callbacks")
    return [
        {name: value for name, value in received.event.items() if name not in described}
        for received in server.events
        if received.event.get("event") != "train_resume"
    ]


def form(body):
    (text,) = parse_qs(body.decode())["data"]
    return json.loads(text)


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "onstage-remote-monitor"]


# -- events


def test_each_epoch_is_sent_as_a_form_with_the_field_data(scripted_server):
    server = scripted_server()

    replay(RemoteMonitor(server.url), LOGS)

    paths = {path for path, _, _ in server.requests}
    kinds = {headers["Content-Type"] for _, headers, _ in server.requests}
    assert paths == {"/publish/epoch/end/"}
    assert kinds == {"application/x-www-form-urlencoded"}
    assert [form(body) for _, _, body in server.requests] == [
        {"epoch": 0, "loss": 0.5, "val_loss": 0.75},
        {"epoch": 1, "loss": 0.25, "val_loss": 0.625},
    ]


def test_each_epoch_is_sent_as_json_if_requested(scripted_server):
    server = scripted_server()

    replay(RemoteMonitor(server.url, "/in", headers={"X-Who": "me"}, send_as_json=True), LOGS[:1])

    ((path, headers, body),) = server.requests
    assert path == "/in"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Who"] == "me"
    assert json.loads(body) == {"epoch": 0, "loss": 0.5, "val_loss": 0.75}


def test_another_path_and_field_are_used(scripted_server):
    server = scripted_server()

    replay(RemoteMonitor(server.url + "/", "in/", field="event"), LOGS[:1])

    ((path, _, body),) = server.requests
    assert path == "/in/"
    assert set(parse_qs(body.decode())) == {"event"}


def test_all_events_are_sent_in_order_with_epoch_and_batch(server):
    replay(RemoteMonitor(server.url, events="all"), LOGS[:1], batches=[{"loss": 1.0}, {"loss": 0.0}])

    assert sent_to(server) == [
        {"event": "train_begin"},
        {"event": "epoch_begin", "epoch": 0},
        {"event": "train_batch_end", "epoch": 0, "batch": 0, "loss": 1.0},
        {"event": "train_batch_end", "epoch": 0, "batch": 1, "loss": 0.0},
        {"event": "test_begin", "epoch": 0},
        {"event": "test_batch_end", "epoch": 0, "batch": 0, "loss": 0.75},
        {"event": "test_end", "epoch": 0, "loss": 0.75},
        {"event": "epoch_end", "epoch": 0, "loss": 0.5, "val_loss": 0.75},
        {"event": "train_end"},
    ]


def test_an_evaluation_alone_is_sent_with_all_events(server):
    for events in ("epoch", "all"):
        with Run(FakeModel(), [RemoteMonitor(server.url, events=events)]) as run:
            for _ in run.test_batches([1]):
                run.log(loss=0.5)

    assert [event["event"] for event in sent_to(server)] == ["test_begin", "test_batch_end", "test_end"]


def test_only_the_type_of_an_error_is_sent(server):
    class Fails(Callback):
        def on_epoch_end(self):
            raise InterruptedError(TOKEN)

    with pytest.raises(InterruptedError):
        replay([RemoteMonitor(server.url, events="all"), Fails()], LOGS)

    assert sent_to(server)[-1] == {
        "event": "exception",
        "error": "InterruptedError",
        "interrupted": False,
    }


def test_many_events_are_sent_in_one_request(scripted_server):
    server = scripted_server()

    monitor = RemoteMonitor(server.url, events="all", send_as_json=True)
    replay(monitor, LOGS, batches=200)

    lists = [json.loads(body) for _, _, body in server.requests]
    assert sum(len(events) for events in lists) == monitor.sent == 2 + 2 * (200 + 5)
    assert max(len(events) for events in lists) <= 256
    assert server.attempts < 50


def test_logs_of_batches_are_not_computed_unless_they_are_sent():
    assert Bus([RemoteMonitor()]).stages.on_train_batch_end is None
    assert Bus([RemoteMonitor(events="all")]).stages.on_train_batch_end.reads_logs is True


def test_nan_and_infinity_are_sent_as_null_with_a_flag():
    event = to_json_values(
        {"a": float("nan"), "b": np.float32("inf"), "c": -np.inf, "d": 1.0, "e": [1.0, np.nan]}
    )

    assert event == {
        "a": None,
        "b": None,
        "c": None,
        "d": 1.0,
        "e": [1.0, None],
        "non_finite": {"a": "nan", "b": "inf", "c": "-inf", "e": "nan"},
    }
    assert json.loads(encode({"a": float("nan")}), parse_constant=pytest.fail)["a"] is None


def test_arrays_are_sent_as_lists_and_other_objects_as_text():
    event = to_json_values(
        {
            "matrix": np.arange(4).reshape(2, 2),
            "single": np.array([3.5]),
            "scalar": np.int64(7),
            "flag": np.bool_(True),
            "nothing": None,
            "nested": {"x": (1, np.float64(2))},
            "object": RuntimeError("x" * 2000),
            5: "<b>",
        }
    )

    assert event["matrix"] == [[0, 1], [2, 3]]
    assert (event["single"], event["scalar"], event["flag"], event["nothing"]) == (3.5, 7, True, None)
    assert event["nested"] == {"x": [1, 2.0]}
    assert event["object"] == "x" * 1000
    assert event["5"] == "<b>"


def test_a_list_that_contains_itself_is_cut_off():
    endless = []
    endless.append(endless)

    assert len(encode({"a": endless})) < 1000


def test_an_array_is_sent_as_it_was_when_the_stage_fired(server):
    array = np.zeros(2)

    class Adds(Callback):
        def on_epoch_end(self, logs):
            logs["array"] = array

    class Changes(Callback):
        def on_epoch_end(self):
            array[:] += 1

    replay([Adds(), RemoteMonitor(server.url), Changes()], LOGS)

    assert [event["array"] for event in sent_to(server)] == [[0, 0], [1, 1]]


def test_an_event_that_is_too_large_is_dropped_and_counted(server):
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 0:
                logs["large"] = np.zeros(MAX_BYTES)

    monitor = RemoteMonitor(server.url)
    with pytest.warns(OnstageWarning, match="events are lost: an event was larger than 256 KiB"):
        replay([Adds(), monitor], LOGS)

    assert [event["epoch"] for event in sent_to(server)] == [1]
    assert (monitor.sent, monitor.dropped) == (1, 1)


# -- runs


def test_each_fit_is_a_separate_run(server):
    monitor = RemoteMonitor(server.url)

    replay(monitor, LOGS)
    replay(monitor, LOGS)

    runs = [(received.run, received.sequence) for received in server.events]
    assert [sequence for _, sequence in runs] == [0, 1, 0, 1]
    assert runs[0][0] == runs[1][0] != runs[2][0] == runs[3][0]
    assert monitor.sent == 2


def train(url, events, *others):
    """Train 3 epochs of 2 batches."""
    with Run(FakeModel(), [RemoteMonitor(url, events=events), *others], epochs=3) as run:
        for epoch in run.epochs():
            for batch in run.batches([1.0, 2.0]):
                run.log(loss=epoch + batch)


class Saves(Callback):
    """Keeps the state after a batch; raises, or stops the training, some batches later."""

    def __init__(self, batches, later, how):
        self.save_at, self.end_at, self.how = batches, batches + later, how
        self.batches = 0

    @hookimpl(trylast=True)
    def on_train_batch_end(self, run):
        self.batches += 1
        if self.batches == self.save_at:
            self.state = copy.deepcopy(run.state_dict())
        if self.batches == self.end_at:
            if self.how == "fails":
                raise InterruptedError
            run.stop("enough")


class Resumes(Callback):
    def __init__(self, state):
        self.state = state

    def on_train_begin(self, run):
        run.load_state_dict(self.state)


@pytest.mark.parametrize("events", ["epoch", "all"])
@pytest.mark.parametrize("how", ["fails", "stops"])
@pytest.mark.parametrize(("batches", "later"), [(1, 0), (1, 2), (2, 1), (3, 0), (4, 2)])
def test_a_resumed_training_is_shown_as_an_uninterrupted_one(event_server, events, how, batches, later):
    server, another = event_server(), event_server()
    saves = Saves(batches, later, how)
    with contextlib.suppress(InterruptedError):
        train(server.url, events, saves)

    train(server.url, events, Resumes(saves.state))

    train(another.url, events)
    assert sent_to(server) == sent_to(another)
    assert [received.sequence for received in server.events] == list(range(len(server.events)))
    assert len({received.run for received in server.events}) == 1


@pytest.mark.parametrize(
    "state", [{}, {"run": "0a", "sequence": -1}, {"run": 3, "sequence": 0}, {"run": "a/../b", "sequence": 0}]
)
def test_a_damaged_state_is_refused(state):
    with pytest.raises(StateError):
        RemoteMonitor().load_state_dict(state)


# -- secrets


def test_the_token_is_sent_and_appears_nowhere_else(server, monkeypatch, capsys, caplog):
    caplog.set_level(0)
    monkeypatch.setenv("MONITOR_TOKEN", TOKEN)
    server.tokens = [f"Bearer {TOKEN}"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monitor = RemoteMonitor(server.url, token_env="MONITOR_TOKEN", events="all")
        state = {}

        class Looks(Callback):
            def on_epoch_end(self, run):
                state["run"], state["pickle"] = run.state_dict(), pickle.dumps(monitor)
                state["vars"] = repr(vars(monitor))

        result = replay([monitor, Looks()], LOGS, verbose=2)
        assert len(server.events) == monitor.sent > 5
        server.tokens = ["Bearer another"]
        replay(monitor, LOGS)

    shown = capsys.readouterr()
    for text in (
        *(repr(monitor), str(state), shown.out, shown.err, caplog.text),
        *(str(result.history.plugins), str([str(one.message) for one in caught])),
    ):
        assert TOKEN not in text
    assert TOKEN.encode() not in pickle.dumps(monitor) + state["pickle"]
    assert any("answered 401" in str(one.message) for one in caught)


def test_headers_are_not_in_the_record_of_a_run(server):
    result = replay(RemoteMonitor(server.url, headers={"Authorization": TOKEN}), LOGS)

    assert TOKEN not in str(result.history.plugins) + str(result.run.state_dict())


@pytest.mark.parametrize(
    "root", [f"http://user:{TOKEN}@localhost:9000", f"http://{TOKEN}@localhost", f"https://:{TOKEN}@host/"]
)
def test_credentials_in_an_address_are_refused_without_being_repeated(root):
    with pytest.raises(ValueError, match="must not hold a user or a password") as caught:
        RemoteMonitor(root)

    assert TOKEN not in str(caught.value)


def test_a_token_that_cannot_be_a_header_is_refused_without_being_repeated(monkeypatch):
    monkeypatch.setenv("MONITOR_TOKEN", f"{TOKEN}\r\nX: y")

    with pytest.raises(ValueError, match="'MONITOR_TOKEN' must hold visible ASCII") as caught:
        RemoteMonitor(token_env="MONITOR_TOKEN")

    assert TOKEN not in str(caught.value)


def test_a_token_that_would_go_unencrypted_is_warned_of(monkeypatch):
    monkeypatch.setenv("MONITOR_TOKEN", TOKEN)

    with pytest.warns(OnstageWarning, match="is sent unencrypted to http://monitor.example"):
        RemoteMonitor("http://monitor.example", token_env="MONITOR_TOKEN")
    RemoteMonitor("https://monitor.example", token_env="MONITOR_TOKEN")
    RemoteMonitor("http://127.0.0.1:9000", token_env="MONITOR_TOKEN")


def test_a_password_for_the_host_in_netrc_is_not_sent(scripted_server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = scripted_server()

    replay(RemoteMonitor(server.url), LOGS[:1])

    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": ""}, "root must be an address such as 'http://localhost:9000', got an empty string"),
        ({"root": "localhost:9000"}, "got one without http:// or https:// before it"),
        ({"root": "ftp://host"}, "got one of another protocol"),
        ({"root": "http://host/?a=b"}, "got one with a query or a fragment"),
        ({"root": "http://host:99999"}, "got one whose host or port is invalid"),
        ({"events": "epochs"}, "events must be one of 'epoch', 'all', got 'epochs'"),
        ({"timeout": 0}, "timeout must be a number > 0, got 0"),
        ({"timeout": float("nan")}, "timeout must be a number"),
        ({"retries": -1}, "retries must be an integer >= 0"),
        ({"queue_size": 0}, "queue_size must be an integer >= 1"),
        ({"token_env": "NO_SUCH_VARIABLE"}, "token_env must name an environment variable that is set"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers must be visible characters on one line"),
    ],
)
def test_wrong_settings_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        RemoteMonitor(**options)


# -- the closing line and others


def test_a_line_at_the_end_reports_the_totals(server, capsys):
    monitor = RemoteMonitor(server.url)

    replay(monitor, LOGS, verbose=2)

    assert "RemoteMonitor: 2 sent, 0 retried, 0 spooled, dropped: 0\n" in capsys.readouterr().out
    assert (monitor.sent, monitor.retried, monitor.spooled, monitor.dropped, monitor.left) == (
        2,
        0,
        0,
        0,
        None,
    )

    replay(monitor, LOGS, verbose=0)
    assert capsys.readouterr().out == ""


def test_queueing_an_event_is_much_faster_than_sending_it(server):
    """Queueing is an append; requests takes a hundred times as long for one event."""
    monitor = RemoteMonitor(server.url, events="all")
    handed = []

    class Times(Callback):
        def on_train_begin(self):
            gc.disable()

        def on_train_batch_end(self, batch, logs, run):
            began = time.perf_counter()
            monitor.on_train_batch_end(batch, logs)
            handed.append(time.perf_counter() - began)

        def on_teardown(self):
            gc.enable()

    replay([Times(), monitor], LOGS[:1], batches=2000)
    import requests

    began = time.perf_counter()
    for _ in range(20):
        requests.post(server.url + "/publish/epoch/end/", {"data": '{"epoch": 0}'}, timeout=5)
    a_request = (time.perf_counter() - began) / 20

    assert np.median(handed) < a_request / 20


_SINK = Path(__file__).parents[2] / "sink_server.py"


@contextlib.contextmanager
def a_server_process():
    """Run a server as a program, so that its sockets are not those of this process."""
    command = [sys.executable, _SINK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def test_it_passes_the_conformance_checks(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    check_callback(lambda: RemoteMonitor("http://127.0.0.1:1", spool=tmp_path / "spool"))
    with a_server_process() as url:
        check_callback(lambda: RemoteMonitor(url, events="all"))

    assert not threads()


def test_it_refuses_unknown_arguments():
    with pytest.raises(TypeError, match="no_such_argument"):
        RemoteMonitor(no_such_argument=1)


def test_a_pickled_one_sends(server):
    monitor = pickle.loads(pickle.dumps(RemoteMonitor(server.url, events="all")))

    replay(pickle.loads(pickle.dumps(monitor)), LOGS[:1])

    assert len(server.events) == 8


def test_eight_trainings_in_threads_keep_their_order(server):
    def train():
        replay(RemoteMonitor(server.url, events="all"), LOGS * 3, batches=20)

    trainings = [threading.Thread(target=train) for _ in range(8)]
    for training in trainings:
        training.start()
    for training in trainings:
        training.join()

    runs = {}
    for received in server.events:
        runs.setdefault(received.run, []).append(received.sequence)
    assert len(runs) == 8
    assert all(sequences == list(range(2 + 6 * 25)) for sequences in runs.values())
    assert not threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_neither_sends_nor_hangs(server):
    class Forks(Callback):
        def on_train_batch_end(self, batch):
            if batch != 1:
                return
            if (child := os.fork()) == 0:
                raise SystemExit(7)
            self.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    forks, parent = Forks(), os.getpid()
    try:
        replay([RemoteMonitor(server.url, events="all"), forks], LOGS[:1], batches=4)
    except SystemExit:
        os._exit(7 if os.getpid() != parent else 1)

    assert forks.code == 7
    assert [e["batch"] for e in sent_to(server) if e["event"] == "train_batch_end"] == [0, 1, 2, 3]
    assert server.repeated == 0
