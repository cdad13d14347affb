"""RemoteMonitor and Keras's send the same logs to a recording server."""

import json
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs
from urllib.request import urlopen

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onstage_live import Server
from onstage_remote_monitor import RemoteMonitor

from onstage.testing import replay

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")
    pytest.importorskip("requests")  # not a dependency of Keras


@pytest.fixture(scope="module")
def recorder():
    """Record path, type and body of each POST."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, self.headers["Content-Type"], self.headers["X-Mine"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}", taken
    http.shutdown()
    thread.join()
    http.server_close()


def both(recorder, logs, *arguments, **options):
    """Return the requests of Keras's and of ours."""
    url, taken = recorder
    taken.clear()
    theirs = keras.callbacks.RemoteMonitor(url, *arguments, **options)
    for epoch, each in enumerate(logs):
        theirs.on_epoch_end(epoch, dict(each))
    from_keras = list(taken)
    taken.clear()
    replay(RemoteMonitor(url, *arguments, **options), logs)
    return from_keras, list(taken)


def content(request):
    path, kind, mine, body = request
    if kind == "application/json":
        return path, kind, mine, json.loads(body)
    fields = parse_qs(body.decode())
    return path, kind, mine, {name: [json.loads(text) for text in texts] for name, texts in fields.items()}


METRICS = st.dictionaries(
    st.sampled_from(["loss", "val_loss", "acc uracy", "précision", "a/b"]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    min_size=1,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs=st.lists(METRICS, min_size=1, max_size=3), as_json=st.booleans())
def test_sends_the_same_requests_as_keras(recorder, logs, as_json):
    theirs, ours = both(recorder, logs, send_as_json=as_json, headers={"X-Mine": "yes"})

    assert [content(request) for request in ours] == [content(request) for request in theirs]


@pytest.mark.parametrize(
    "arguments", [("/in",), ("/in/", "event"), ("/a/b", "data", {"X-Mine": "1"}), ("/", "data", None, True)]
)
def test_positional_arguments_equal_those_of_keras(recorder, arguments):
    theirs, ours = both(recorder, [{"loss": 0.5}], *arguments)

    assert [content(request) for request in ours] == [content(request) for request in theirs]


def test_numpy_scalars_are_numbers_in_both(recorder):
    logs = [{"a": np.float32(0.5), "b": np.int64(3), "c": np.array(2.5), "d": np.array([1.5])}]

    theirs, ours = both(recorder, logs, send_as_json=True)

    assert content(ours[0]) == content(theirs[0])


def test_sends_null_and_lists_if_keras_sends_invalid_json_or_fails(recorder):
    url, taken = recorder
    with pytest.raises(ValueError):  # noqa: PT011  # numpy's message
        both(recorder, [{"many": np.arange(3)}], send_as_json=True)
    taken.clear()
    keras.callbacks.RemoteMonitor(url).on_epoch_end(0, {"loss": float("nan")})
    assert b"NaN" in taken.pop()[3]

    replay(RemoteMonitor(url, send_as_json=True), [{"many": np.arange(3), "loss": float("nan")}])

    sent = json.loads(taken[0][3], parse_constant=pytest.fail)
    assert sent == {"epoch": 0, "many": [0, 1, 2], "loss": None, "non_finite": {"loss": "nan"}}


def test_the_server_accepts_requests_of_keras(tmp_path):
    with Server(port=0, store=tmp_path) as server:
        theirs = keras.callbacks.RemoteMonitor(server.url)
        theirs.on_epoch_end(0, {"loss": 0.5})
        theirs.on_epoch_end(1, {"loss": float("nan")})
        keras.callbacks.RemoteMonitor(server.url, send_as_json=True).on_epoch_end(2, {"loss": 0.25})
        another = keras.callbacks.RemoteMonitor(server.url)
        another.on_epoch_end(0, {"loss": 4.0})

        with urlopen(f"{server.url}/api/runs") as answer:
            runs = [run["id"] for run in json.load(answer)["runs"]]
        with urlopen(f"{server.url}/api/series?runs={','.join(runs)}&metric=loss&x=epoch") as answer:
            curves = json.load(answer)["series"]["loss"]
    assert [curves[run]["y"] for run in runs] == [[0.5, None, 0.25], [4.0]]
    assert curves[runs[0]]["x"] == [1, 2, 3]
