"""The server: what it takes from senders, and the runs that it lists and changes."""

import json
import math
import re
from urllib.parse import urlencode

import pytest
from live_events import BEGIN, EPOCH, batch, epoch_end

JSON = {"Content-Type": "application/json"}


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
