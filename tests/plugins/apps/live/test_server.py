"""The server: what it takes from senders and tells the page."""

import csv
import http.client
import io
import json
import math
import re
import socket
import subprocess
import sys
import threading
import time
from importlib.resources import files
from urllib.parse import urlencode, urlsplit

import onstage_live
import pytest
from onstage_live import Server
from onstage_live import server as server_module

JSON = {"Content-Type": "application/json"}
BEGIN = {
    "event": "train_begin",
    "model": "Net",
    "epochs": 4,
    "params": {"steps": 2, "batch_size": 32},
    "callbacks": ["EarlyStopping(patience=3)"],
    "host": "here",
    "pid": 7,
}


def batch(epoch, number, loss):
    return {"event": "train_batch_end", "epoch": epoch, "batch": number, "loss": loss}


def epoch_end(epoch, **logs):
    return {"event": "epoch_end", "epoch": epoch, **logs}


EPOCH = [batch(0, 0, 1.0), batch(0, 1, 3.0), epoch_end(0, loss=2.0, val_loss=2.5, accuracy=0.25)]


def stream(server):
    """Open the stream of events; return the connection and the answer."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request("GET", "/api/stream")
    return connection, connection.getresponse()


def message(answer):
    """Read the next message that is no comment."""
    lines = []
    while (line := answer.readline().rstrip(b"\n")) or not lines:
        if line.startswith((b"event:", b"data:")):
            lines.append(line.decode())
    kind, data = lines
    return kind.removeprefix("event: "), data.removeprefix("data:").strip()


# -- what senders send


def test_it_takes_the_requests_of_keras_by_form_and_json(client):
    for body, headers in [
        (urlencode({"data": '{"epoch": 0, "loss": 0.5}'}), {}),
        ('{"epoch": 1, "loss": NaN}', JSON),
        (urlencode({"anything": '{"epoch": 2, "loss": 0.25}'}), {}),
    ]:
        status, _, _ = client.ask(
            "POST",
            "/publish/epoch/end/",
            body,
            **{"Content-Type": "application/x-www-form-urlencoded", **headers},
        )
        assert status == 200

    (run,) = client.runs()
    assert client.curve(run["id"], "loss") == {"x": [1, 2, 3], "y": [0.5, None, 0.25], "total": 3}
    assert run["last"] == {"loss": 0.25}


@pytest.mark.parametrize("body", ["", "{", "[1]", "1", '"text"', "[[]]", "[" * 100_000, "[{}, 3]"])
def test_bad_json_gets_400(client, body):
    status, _, answer = client.ask("POST", "/publish/epoch/end/", body, **JSON)

    assert status == 400
    assert "JSON" in json.loads(answer)["error"]


def test_more_events_than_senders_send_at_once_get_400(client):
    status, _, _ = client.ask("POST", "/publish/epoch/end/", json.dumps([{}] * 1001), **JSON)

    assert status == 400


@pytest.mark.parametrize("form", ["", "nothing", "data=1&data=2", "data=%FF", "a=1&b=2"])
def test_a_bad_form_gets_400(client, form):
    assert client.ask("POST", "/publish/epoch/end/", form)[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Onstage-Run": ""},
        {"X-Onstage-Run": "a b"},
        {"X-Onstage-Run": "a" * 65},
        {"X-Onstage-Run": "a.b.c"},
        {"X-Onstage-Run": "a.b", "X-Onstage-Sequence": "-1"},
        {"X-Onstage-Run": "a.b", "X-Onstage-Sequence": "1" * 16},
    ],
)
def test_names_and_numbers_of_runs_are_checked(client, headers):
    assert client.ask("POST", "/publish/epoch/end/", "{}", **JSON, **headers)[0] == 400


def test_a_large_body_is_refused(client):
    status, _, _ = client.ask("POST", "/publish/epoch/end/", b"x" * (2**20 + 1), **JSON)

    assert status == 413


def test_a_large_body_of_unknown_length_is_refused(client):
    chunks = iter([b"x" * 2**19] * 3)

    assert client.ask("POST", "/publish/epoch/end/", chunks, **JSON)[0] == 413


def test_non_finite_values_and_strange_ones_harm_nothing(client):
    event = {
        "loss": None,
        "non_finite": {"loss": "-inf", "other": ["nan"]},
        "text": "fast",
        "list": [1, 2],
        "huge": 10**400,
        "yes": True,
        "\ud800": 3.0,
        "n" * 1000: 4.0,
    }

    client.send([{**epoch_end(0), **event}], "a.1")

    (run,) = client.runs()
    assert run["last"] == {"loss": None, "yes": 1.0, "?": 3.0, "n" * 300: 4.0}
    assert client.curve("a", "loss") == {"x": [1], "y": [None], "total": 1}


@pytest.mark.parametrize(
    "event",
    [
        {"event": ["list"]},
        {"event": "unknown"},
        {"event": "train_begin", "params": 3, "callbacks": {"a": 1}, "epochs": -1, "pid": 1e300, "name": [1]},
        {"event": "train_begin", "params": {"a": [1], "b": {"c": 2}, "d": math.inf}, "wall_time": "soon"},
        {"event": "epoch_end", "epoch": -3, "loss": 1.0, "wall_time": math.nan},
        {"event": "epoch_end", "epoch": 10**30, "loss": 1.0, "wall_time": 1e300},
        {"event": "train_batch_end", "batch": "x", "epoch": [], "loss": 1.0},
        {"event": "exception", "error": {"a": "\udcff"}},
        {"event": "train_end", "stop_reason": 5, "stopped_by": None},
    ],
)
def test_a_strange_event_leaves_a_list_that_the_page_can_read(client, event):
    client.send([event, *EPOCH], "a.1")

    (run,) = client.runs()
    assert run["id"] == "a"
    assert client.get("/api/series", runs="a", metric="loss", x="time")["series"]["loss"]["a"]["total"] >= 1


def test_metrics_of_a_run_are_limited_in_number(client):
    client.send([{**epoch_end(0), **{f"m{n}": 1.0 for n in range(1500)}}], "a.1")

    assert len(client.runs()[0]["metrics"]) == 1000


# -- the list of runs


def test_a_run_is_described_with_its_results(client):
    client.send([BEGIN, {"event": "epoch_begin", "epoch": 0}, *EPOCH, batch(1, 0, 5.0)], "a.1")

    answer = client.get("/api/runs")
    (run,) = answer["runs"]
    assert answer["steer"] is True
    assert re.fullmatch(r"Net · \d{4}-\d\d-\d\d \d\d:\d\d", run["name"])
    assert run["metrics"] == [
        {"name": "loss", "kinds": ["epoch", "batch"]},
        {"name": "val_loss", "kinds": ["epoch"]},
        {"name": "accuracy", "kinds": ["epoch"]},
    ]
    expected = {"state": "running", "epoch": 1, "epochs": 4, "steps": 3, "count": 6, "attempt": 1}
    assert expected.items() <= run.items()
    assert run["best"] == {
        "loss": {"value": 2.0, "epoch": 1},
        "val_loss": {"value": 2.5, "epoch": 1},
        "accuracy": {"value": 0.25, "epoch": 1},
    }
    assert run["last"]["loss"] == 5.0
    assert (run["params"], run["callbacks"]) == (BEGIN["params"], BEGIN["callbacks"])
    assert (run["host"], run["pid"]) == ("here", 7)


@pytest.mark.parametrize(
    ("event", "state", "why"),
    [
        ({"event": "train_end"}, "finished", None),
        (
            {"event": "train_end", "stop_reason": "no progress", "stopped_by": "EarlyStopping"},
            "stopped",
            "EarlyStopping: no progress",
        ),
        ({"event": "exception", "error": "ValueError: bad"}, "failed", "ValueError: bad"),
        (
            {"event": "exception", "error": "KeyboardInterrupt", "interrupted": True},
            "stopped",
            "KeyboardInterrupt",
        ),
    ],
)
def test_a_run_ends_with_its_state_and_the_reason(client, event, state, why):
    client.send([BEGIN, *EPOCH, {**event, "wall_time": 2e9}], "a.1")

    (run,) = client.runs()
    assert (run["state"], run["why"], run["finished"], run["eta"]) == (state, why, 2e9, None)


def test_a_run_that_is_not_heard_of_is_silent_until_it_beats_its_heart(start):
    client = start()
    client.send([BEGIN], "a.1")
    store = client.server._store

    store.heard["a"] -= 41
    silent = client.runs()[0]["state"]
    headers = client.send([], "a.1", 1)

    assert (silent, client.runs()[0]["state"]) == ("silent", "running")
    assert headers["X-Onstage-Live"] == "1"


def test_the_remaining_time_follows_from_the_epochs_done(start):
    client = start()
    client.send([BEGIN, *EPOCH], "a.1")
    run = client.server._store.runs["a"]
    run.begun = run.updated - 10.0  # one epoch of four took 10 s

    assert client.runs()[0]["eta"] == pytest.approx(30.0)


def test_a_resumed_run_is_one_run_with_two_attempts(client):
    client.send([BEGIN, *EPOCH, {"event": "exception", "error": "OSError"}], "a.1")

    client.send([{**BEGIN, "event": "train_resume", "pid": 8}, batch(1, 0, 5.0)], "a.2", 4)

    (run,) = client.runs()
    assert (run["state"], run["attempt"], run["pid"], run["steps"], run["why"]) == ("running", 2, 8, 3, None)


# -- curves


def test_values_are_answered_on_each_axis(client):
    client.send([{**BEGIN, "wall_time": 1000.0}], "a.1")
    times = [1001.0, 1002.5, 1003.0]
    client.send(
        [{**event, "wall_time": moment} for event, moment in zip(EPOCH, times, strict=True)], "a.1", 1
    )

    def on(axis, kind):
        return client.curve("a", "loss", kind=kind, x=axis)["x"]

    assert (on("step", "batch"), on("step", "epoch")) == ([1, 2], [2])
    assert (on("epoch", "batch"), on("epoch", "epoch")) == ([0.5, 1.0], [1.0])
    assert (on("relative", "batch"), on("relative", "epoch")) == ([1.0, 2.5], [3.0])
    assert (on("time", "batch"), on("time", "epoch")) == ([1001.0, 1002.5], [1003.0])


def test_several_metrics_of_several_runs_are_one_request(client):
    client.send([BEGIN, *EPOCH], "a.1")
    client.send([BEGIN, epoch_end(0, loss=9.0)], "b.1")

    found = client.get("/api/series", runs="a,b,none", metric=["loss", "val_loss", "nothing"], kind="epoch")

    assert {name: sorted(runs) for name, runs in found["series"].items()} == {
        "loss": ["a", "b"],
        "val_loss": ["a"],
    }


def test_git_ignores_a_store_in_a_folder_of_its_own(tmp_path):
    for name in ("made", "."):
        with Server(port=0, store=tmp_path / name):
            pass

    assert [path.parent.name for path in tmp_path.rglob(".gitignore")] == ["made"]


def test_a_long_curve_has_the_spread_of_its_buckets(client):
    for begin in range(0, 5000, 1000):
        client.send([batch(0, begin + n, (begin + n) % 7) for n in range(1000)], "a.1", begin)

    curve = client.curve("a", "loss", kind="batch", pixels=100)

    assert curve["total"] == 5000
    assert len(curve["x"]) <= 200
    assert (set(curve["min"]), set(curve["max"])) == ({0.0}, {6.0})
    assert (curve["x"][0], curve["x"][-1]) == (1, 5000)


@pytest.mark.parametrize("query", ["kind=x", "x=y", "from=2&to=1", "from=nan", "pixels=many", "from=here"])
def test_a_wrong_question_gets_400(client, query):
    status, _, body = client.ask("GET", f"/api/series?runs=a&metric=loss&{query}")

    assert status == 400
    assert "must be" in json.loads(body)["error"]


def test_validation_and_evaluation_have_names_of_their_own(client):
    during = [{"event": "test_batch_end", "epoch": 0, "batch": 0, "loss": 2.0}]
    during.append({"event": "test_end", "epoch": 0, "loss": 2.0})  # which the epoch's end repeats
    alone = [{"event": "test_batch_end", "batch": 0, "loss": 3.0}, {"event": "test_end", "loss": 3.0}]

    client.send([BEGIN, *EPOCH[:2], *during, EPOCH[2], *alone], "a.1")

    kinds = {metric["name"]: metric["kinds"] for metric in client.runs()[0]["metrics"]}
    assert kinds["val_loss"] == ["epoch", "batch"]
    assert kinds["test_loss"] == ["epoch", "batch"]
    assert client.curve("a", "val_loss")["y"] == [2.5]


def test_the_export_has_every_value(client):
    client.send([{**BEGIN, "name": "=cmd()"}, *EPOCH], "a.1")

    _, headers, body = client.ask("GET", "/api/export.csv?runs=a&metrics=loss,val_loss&kind=epoch")

    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert [(row["run"], row["metric"], row["step"], row["epoch"], row["value"]) for row in rows] == [
        ("a", "loss", "2", "1.0", "2.0"),
        ("a", "val_loss", "2", "1.0", "2.5"),
    ]
    assert rows[0]["name"] == "'=cmd()", "a spreadsheet does not compute it"
    assert headers["Content-Disposition"].startswith("attachment")


# -- changes by the page


def test_name_note_pin_and_colour_are_kept(client):
    client.send([BEGIN], "a.1")
    changes = {"name": "<b>best</b>", "note": "n" * 20_000, "pinned": True, "colour": "#a0B0c0"}

    status, _, body = client.ask("PATCH", "/api/runs/a", json.dumps(changes))

    assert status == 200
    kept = {**changes, "note": "n" * 10_000}
    assert kept.items() <= json.loads(body).items()
    assert kept.items() <= client.runs()[0].items()


@pytest.mark.parametrize(
    "changes",
    [[], {"name": 3}, {"state": "failed"}, {"pinned": 1}, {"colour": "red"}, {"colour": 7}, {"note": None}],
)
def test_other_changes_are_refused(client, changes):
    client.send([BEGIN], "a.1")

    assert client.ask("PATCH", "/api/runs/a", json.dumps(changes))[0] == 400


def test_a_run_is_deleted(client):
    client.send([BEGIN, *EPOCH], "a.1")

    assert client.ask("DELETE", "/api/runs/a")[0] == 200

    assert client.runs() == []
    assert client.ask("DELETE", "/api/runs/a")[0] == 404
    assert client.get("/api/series", runs="a", metric="loss") == {"series": {}}


def test_a_stop_is_told_to_the_sender_until_the_run_is_over(client):
    client.send([BEGIN], "a.1")
    before = client.send([batch(0, 0, 1.0)], "a.1", 1)

    status, _, _ = client.ask("POST", "/api/runs/a/stop")
    during = client.send([batch(0, 1, 1.0)], "a.1", 2)
    after = client.send([{"event": "train_end", "stop_reason": "asked"}], "a.1", 3)

    assert status == 200
    assert (before["X-Onstage-Stop"], after["X-Onstage-Stop"]) == (None, None)
    assert during["X-Onstage-Stop"] == "asked from the page"
    assert client.ask("POST", "/api/runs/a/stop")[0] == 409


def test_without_steer_nothing_can_be_changed(start):
    client = start(steer=False)
    client.send([BEGIN], "a.1")

    answers = [
        client.ask(*asked)[0]
        for asked in [
            ("PATCH", "/api/runs/a", '{"name": "x"}'),
            ("DELETE", "/api/runs/a"),
            ("POST", "/api/runs/a/stop"),
        ]
    ]

    assert answers == [403, 403, 403]
    assert client.get("/api/runs")["steer"] is False


# -- the stream


def test_the_page_is_told_which_runs_have_changed(client):
    connection, answer = stream(client.server)

    assert message(answer) == ("runs", "")
    client.send([BEGIN, *EPOCH], "a.1")
    kind, data = message(answer)
    while kind != "changed":
        kind, data = message(answer)
    assert json.loads(data) == {"a": 5}
    assert message(answer)[0] == "runs", "the list has changed too"
    connection.close()


def test_the_page_is_told_of_a_new_name(client):
    client.send([BEGIN], "a.1")
    connection, answer = stream(client.server)
    message(answer)

    client.ask("PATCH", "/api/runs/a", '{"name": "x"}')

    kinds = [message(answer)[0], message(answer)[0]]
    assert "runs" in kinds
    connection.close()


def test_a_page_that_does_not_read_is_cut_off_and_harms_nobody(start, monkeypatch):
    monkeypatch.setattr("onstage_live.stream._WAITING", 3)
    client = start()
    hub = client.server._hub
    connection, answer = stream(client.server)
    message(answer)

    for n in range(10):
        hub._send(f"event: changed\ndata: {n}\n\n".encode() * 200_000)

    assert client.ask("GET", "/health/")[0] == 200
    assert b"".join(iter(lambda: answer.read(1 << 16), b"")).count(b"event") < 2_000_000
    connection.close()


# -- the whole


def test_a_restarted_server_shows_the_same(start):
    first = start()
    first.send([BEGIN, *EPOCH], "a.1")
    before = first.runs(), first.curve("a", "loss")
    first.server.close()

    second = start()

    (run,) = second.runs()
    assert {**before[0][0], "updated": 0} == {**run, "updated": 0}
    assert second.curve("a", "loss") == before[1]


def test_events_that_can_not_be_written_are_not_acknowledged(start, caplog):
    client = start()
    client.server._store._db.execute("PRAGMA query_only = 1")  # as a full disk
    headers = {**JSON, "X-Onstage-Run": "a.1"}

    status, _, body = client.ask("POST", "/publish/epoch/end/", json.dumps(EPOCH), **headers)
    client.server._store._db.execute("PRAGMA query_only = 0")
    again = client.ask("POST", "/publish/epoch/end/", json.dumps(EPOCH), **headers)[0]

    assert (status, again) == (503, 200)
    assert "can't be written" in json.loads(body)["error"]
    assert client.curve("a", "loss", kind="batch")["y"] == [1.0, 3.0]


def test_a_killed_server_loses_nothing_that_it_acknowledged(tmp_path):
    code = (
        "import sys, onstage_live\n"
        "with onstage_live.Server(port=0, store=sys.argv[1]) as server:\n"
        "    print(server.url, flush=True)\n"
        "    sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "store")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = urlsplit(process.stdout.readline().strip())
    acknowledged = []

    def send():
        connection = http.client.HTTPConnection(url.netloc, timeout=10)
        for n in range(10_000):
            try:
                headers = {**JSON, "X-Onstage-Run": "a.1", "X-Onstage-Sequence": str(n)}
                connection.request("POST", "/publish/epoch/end/", json.dumps(batch(0, n, float(n))), headers)
                assert connection.getresponse().read()
            except (OSError, http.client.HTTPException, AssertionError):
                break
            acknowledged.append(float(n))
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    while len(acknowledged) < 50:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    sender.join()

    with Server(port=0, store=tmp_path / "store") as server:
        stored = [point.value for point in server._store.points("a", "batch", "loss")]
    assert stored[: len(acknowledged)] == acknowledged


def test_nothing_is_left_when_it_closes(start):
    client = start()
    connection, answer = stream(client.server)
    message(answer)

    began = time.monotonic()
    client.server.close()

    assert time.monotonic() - began < 10
    assert answer.read() == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "onstage-live"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(urlsplit(client.server.url).netloc.split(":"), timeout=5)
    connection.close()


def test_a_server_that_never_served_frees_its_port_and_store(tmp_path):
    server = Server(port=0, store=tmp_path)
    server.close()

    Server(port=urlsplit(server.url).port, store=tmp_path).close()


def test_a_port_that_is_taken_is_an_error(client, tmp_path):
    with pytest.raises(OSError, match="in use"):
        Server(port=urlsplit(client.server.url).port, store=tmp_path / "other")


def test_a_connection_without_a_whole_request_is_closed(start, monkeypatch):
    monkeypatch.setattr(server_module, "_PATIENCE", 0.2)
    client = start()
    address = urlsplit(client.server.url)
    slow = [socket.create_connection((address.hostname, address.port), timeout=10) for _ in range(3)]
    slow[1].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    slow[2].sendall(b"GET /health/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")

    for connection in slow:
        with connection:
            while connection.recv(65536):
                pass


def test_the_page_and_its_parts_are_served_under_a_strict_policy(client):
    for path in ["/", "/static/main.js", "/static/page.css"]:
        status, headers, _ = client.ask("GET", path)

        assert status == 200
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-cache"
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = (files(onstage_live) / "page" / "page.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", page)


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/../server.py", "/static/%2e%2e/server.py", "/api/runs/"]
)
def test_there_are_no_other_paths(client, path):
    status, _, body = client.ask("GET", path)

    assert status == 404 or (status == 307 and path == "/api/runs/")
    assert b"class" not in body
