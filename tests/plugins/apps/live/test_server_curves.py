"""The server: values as curves and as a table."""

import csv
import io
import json

import pytest
from live_events import BEGIN, EPOCH, batch, epoch_end


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
