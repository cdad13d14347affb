"""The server: its streams, restarts, connections and files."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from importlib.resources import files
from urllib.parse import urlsplit

import onstage_live
import pytest
from live_events import BEGIN, EPOCH, batch
from onstage_live import Server
from onstage_live import server as server_module

JSON = {"Content-Type": "application/json"}


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
    port = urlsplit(client.server.url).port

    with pytest.raises(OSError, match=rf"port {port} of 127\.0\.0\.1 is in use; take another, or 0"):
        Server(port=port, store=tmp_path / "other")


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


def test_git_ignores_a_store_in_a_folder_of_its_own(tmp_path):
    for name in ("made", "."):
        with Server(port=0, store=tmp_path / name):
            pass

    assert [path.parent.name for path in tmp_path.rglob(".gitignore")] == ["made"]
