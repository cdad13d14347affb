"""The receiving server: accepted events, refused requests, the page."""

import base64
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from onstage_remote_monitor import Server
from onstage_remote_monitor.server.access import Guard, Refusal
from onstage_remote_monitor.server.event_store import EventStore

TOKEN = "0123456789abcdef-token"
PATH = "/publish/epoch/end/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server():
    with Server(port=0) as running:
        yield running


def ask(server, method, path, body=None, headers=None):
    """Send one request; return status, headers, content."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post(server, content, headers=None, path=PATH):
    body = content if isinstance(content, (bytes, str)) else json.dumps(content)
    return ask(server, "POST", path, body, {**JSON, **(headers or {})})[0]


def raw(server, data, patience=5):
    """Send raw bytes; return the answer until the server closes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=patience) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


# -- events


def test_it_accepts_a_form_field_and_json_and_a_list(server):
    form = urlencode({"data": json.dumps({"epoch": 0, "loss": 0.5})})

    assert ask(server, "POST", PATH, form, FORM)[0] == 200
    assert post(server, {"epoch": 1, "loss": 0.25}) == 200
    assert post(server, [{"epoch": 2}, {"epoch": 3}]) == 200

    assert [received.event for received in server.events] == [
        {"epoch": 0, "loss": 0.5},
        {"epoch": 1, "loss": 0.25},
        {"epoch": 2},
        {"epoch": 3},
    ]


def test_nan_which_keras_sends_becomes_null_with_a_flag(server):
    assert post(server, '{"epoch": 0, "loss": NaN, "high": 1e999, "low": -Infinity}') == 200

    (received,) = server.events
    assert received.event == {
        "epoch": 0,
        "loss": None,
        "high": None,
        "low": None,
        "non_finite": {"loss": "nan", "high": "inf", "low": "-inf"},
    }


def test_a_sender_without_a_name_starts_a_run_when_its_epochs_start_again(server):
    for epoch in (0, 1, 2, 0, 1):
        post(server, {"epoch": epoch})

    assert [(received.run, received.sequence) for received in server.events] == [
        *(("run1", n) for n in range(3)),
        *(("run2", n) for n in range(2)),
    ]


def test_repeated_events_are_skipped():
    hub = EventStore(100)

    hub.publish([{"n": 0}, {"n": 1}], "a.1", 0)
    hub.publish([{"n": 1}, {"n": 2}], "a.1", 1)
    hub.publish([{"n": 0}], "b.1", 0)

    assert [(each.run, each.event["n"]) for each in hub.events()] == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert (hub.received, hub.repeated) == (4, 1)


def test_a_resumed_run_replaces_the_events_it_repeats_and_late_ones_are_skipped():
    hub = EventStore(100)
    start = hub.start()
    hub.publish([{"n": n} for n in range(5)], "a.1", 0)
    hub.publish([{"n": 9}], "b.1", 0)

    hub.publish([{"n": 30}], "a.2", 3)
    hub.publish([{"n": 5}], "a.1", 5)  # left on disk by the first attempt: too late

    assert [each.event["n"] for each in hub.events()] == [0, 1, 2, 9, 30]
    told, _ = hub.read(start, 100, timeout=0)
    assert [type(each).__name__ for each in told] == ["Received"] * 4 + ["Truncated", "Received"]
    assert told[4][:2] == ("a", 3)


def test_only_the_newest_events_and_runs_are_kept():
    hub = EventStore(10)

    for n in range(2000):
        hub.publish([{"n": n}], f"{n}.1", 0)

    assert [each.event["n"] for each in hub.events()] == list(range(1990, 2000))
    assert len(hub._runs) <= 1000


# -- refusals


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b'{"epoch": 0',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"3",
        b'["text"]',
        b"[[]]",
        b"\xff\xfe",
        b'{"epoch": ' + b"9" * 5000 + b"}",
        json.dumps([{}] * 1001).encode(),
    ],
    ids=lambda body: str(body[:12]),
)
def test_bad_json_gets_400(server, body):
    assert post(server, body) == 400

    assert server.events == []
    assert ask(server, "GET", "/health/")[0] == 200


@pytest.mark.parametrize("form", ["", "x", "other=1", "data=1&data=2", "data=%ff", "&".join(["a=1"] * 50)])
def test_a_bad_form_gets_400(server, form):
    assert ask(server, "POST", PATH, form, FORM)[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Onstage-Run": "a.1", "X-Onstage-Sequence": "3"}, 200),
        ({"X-Onstage-Run": "a/../b"}, 400),
        ({"X-Onstage-Run": "a" * 200}, 400),
        ({"X-Onstage-Run": "a.1", "X-Onstage-Sequence": "-1"}, 400),
        ({"X-Onstage-Run": "a.1", "X-Onstage-Sequence": "9" * 30}, 400),
    ],
)
def test_names_and_numbers_of_runs_are_checked(server, headers, status):
    assert post(server, {"epoch": 0}, headers) == status


def test_a_large_body_is_refused_unread(server):
    host = urlsplit(server.url).netloc.encode()
    head = b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 99999999\r\n\r\n" % (PATH.encode(), host)

    answer = raw(server, head)

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "length", [b"", b"Content-Length: x\r\n", b"Content-Length: -5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_a_body_of_unknown_length_is_refused(server, length):
    host = urlsplit(server.url).netloc.encode()

    answer = raw(
        server, b"POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n5\r\nhello\r\n" % (PATH.encode(), host, length)
    )

    assert answer.startswith(b"HTTP/1.1 411")
    assert answer.count(b"HTTP/1.1") == 1, "the rest must not be taken for another request"


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x00\xa5", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"X" * 70_000 + b"\r\n\r\n"]
)
def test_bytes_that_are_not_a_request_do_no_harm(server, data):
    raw(server, data + b"\r\n\r\n")

    assert ask(server, "GET", "/health/")[0] == 200


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/page/page.js", "//page.js/..", "/%2e%2e/", "/../server.py"]
)
def test_there_are_no_other_paths(server, path):
    assert ask(server, "GET", path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", "", "a]b"])
def test_a_page_under_another_host_name_is_refused(server, host):
    status, _, _ = ask(server, "GET", "/", headers={"Host": host})

    assert status == 421


def test_it_answers_under_its_addresses_and_its_allowed_names():
    with Server(port=0, hosts=["monitor.example"]) as server:
        for host in ("localhost", "localhost:9000", "127.0.0.1", "[::1]:80", "Monitor.Example"):
            assert ask(server, "GET", "/", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost", "http://127.0.0.1:1"])
def test_pages_of_other_sites_can_neither_post_nor_listen(server, origin):
    assert post(server, {"epoch": 0}, {"Origin": origin}) == 403
    assert ask(server, "GET", "/subscribe/epoch/end/", headers={"Origin": origin})[0] == 403

    assert server.events == []


def test_its_own_page_can_post_and_listen(server):
    assert post(server, {"epoch": 0}, {"Origin": server.url}) == 200


def test_an_address_that_other_machines_reach_requires_a_token():
    for host in ("0.0.0.0", "::", "192.168.1.5", "monitor.example"):
        with pytest.raises(ValueError, match="token must be set"):
            Server(host, 0)


@pytest.mark.parametrize("token", ["short", "ä" * 20, ""])
def test_a_token_that_can_be_guessed_is_refused(token):
    with pytest.raises(ValueError, match="token must be at least 16 ASCII characters") as caught:
        Server(port=0, token=token)

    assert not token or token not in str(caught.value)


def test_a_server_with_a_token_answers_nothing_without_it():
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    wrong = base64.b64encode(f"anyone:{TOKEN[:-1]}".encode()).decode()
    with Server(port=0, token=TOKEN) as server:
        for path in ("/", "/page.js", "/health/", "/subscribe/epoch/end/"):
            status, headers, content = ask(server, "GET", path)
            assert (status, headers["WWW-Authenticate"][:5]) == (401, "Basic")
            assert b"script" not in content
        for refused in (
            "",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Basic {wrong}",
            "Basic !!!",
            f"Digest {TOKEN}",
            TOKEN,
        ):
            assert post(server, {"epoch": 0}, {"Authorization": refused}) == 401
        for accepted in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Basic {basic}"):
            assert post(server, {"epoch": 0}, {"Authorization": accepted}) == 200
            assert ask(server, "GET", "/", headers={"Authorization": accepted})[0] == 200

        assert len(server.events) == 3


def test_wrong_tokens_are_slowed_down():
    with Server(port=0, token=TOKEN, rate=200) as server:
        statuses = [post(server, {"epoch": 0}, {"Authorization": "Bearer guess"}) for _ in range(10)]

        assert statuses[:3] == [401, 401, 401]
        assert statuses[-1] == 429


def test_requests_are_limited_for_each_address():
    guard = Guard(["localhost"], None, rate=50)
    headers = http.client.HTTPMessage()
    headers["Host"] = "localhost"

    def passed(address, count):
        ok = 0
        for _ in range(count):
            with contextlib.suppress(Refusal):
                guard.check(headers, address)
                ok += 1
        return ok

    assert 100 <= passed("10.0.0.1", 300) <= 130
    assert passed("10.0.0.2", 50) == 50
    time.sleep(0.2)
    assert 8 <= passed("10.0.0.1", 50) <= 30
    with pytest.raises(Refusal, match="too many requests"):
        guard.check(headers, "10.0.0.1")


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(server, monkeypatch):
    monkeypatch.setattr("onstage_remote_monitor.server.request_handler.Handler.timeout", 0.2)
    address = urlsplit(server.url)
    began = time.monotonic()
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.settimeout(0.05)
        answer = None
        while answer is None:
            assert time.monotonic() - began < 3
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"X")
                answer = connection.recv(100)

    assert answer == b""


# -- the page


def messages(server, count):
    """Listen until `count` events have arrived; return ``(id, data)`` of each."""
    address = urlsplit(server.url)
    found = []
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"GET /subscribe/epoch/end/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = connection.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        headers = http.client.parse_headers(stream)
        assert headers["Content-Type"] == "text/event-stream"
        identity = b""
        while len(found) < count:
            line = stream.readline().rstrip(b"\n")
            if line.startswith(b"id: "):
                identity = line[4:]
            elif line.startswith(b"data: "):
                found.append((identity.decode(), json.loads(line[6:])))
    return found


def test_earlier_and_later_events_are_sent_to_the_page(server):
    post(server, {"epoch": 0, "loss": 0.5}, {"X-Onstage-Run": "aa.1", "X-Onstage-Sequence": "0"})
    later = threading.Timer(
        0.2, post, (server, {"epoch": 1}, {"X-Onstage-Run": "aa.1", "X-Onstage-Sequence": "1"})
    )
    later.start()

    found = messages(server, 2)

    later.join()
    assert found == [("aa/0", {"epoch": 0, "loss": 0.5}), ("aa/1", {"epoch": 1})]


def test_an_event_cannot_break_out_of_its_message(server):
    name = "x\n\ndata: {}\n\nid: evil/9\r\u2028</script>"
    post(server, {"epoch": 0, name: name})
    post(server, {"epoch": 1})

    assert messages(server, 2) == [("run1/0", {"epoch": 0, name: name}), ("run1/1", {"epoch": 1})]


def test_the_page_may_load_and_call_only_its_own_server(server):
    status, headers, page = ask(server, "GET", "/")

    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert b"http://" not in page
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        status, headers, content = ask(server, "GET", f"/{name}")
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert content


def test_the_page_sets_names_as_text(server):
    script = ask(server, "GET", "/page.js")[2].decode()

    for risky in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert risky not in script


# -- others


def test_nothing_is_left_when_it_closes():
    before = set(threading.enumerate())
    with Server(port=0) as server:
        post(server, {"epoch": 0})
        address = urlsplit(server.url)
        idle = socket.create_connection((address.hostname, address.port))
        listening = socket.create_connection((address.hostname, address.port))
        listening.sendall(b"GET /subscribe/epoch/end/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert listening.recv(10)
        began = time.monotonic()

    assert time.monotonic() - began < 5
    assert set(threading.enumerate()) == before
    idle.close()
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port))


def test_a_port_that_is_taken_is_an_error(server):
    with pytest.raises(OSError, match="in use"):
        Server(port=urlsplit(server.url).port)


def test_the_program_prints_its_address_and_refuses_to_be_open_to_all():
    program = [sys.executable, "-m", "onstage_remote_monitor"]
    process = subprocess.Popen([*program, "--port", "0"], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    process.terminate()
    process.wait(10)
    process.stdout.close()
    assert line.startswith("RemoteMonitor's page is at http://127.0.0.1:")

    refused = subprocess.run([*program, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "token must be set" in refused.stderr


def test_under_load_nothing_is_lost_and_each_run_keeps_its_order():
    script = Path(__file__).parents[2] / "benchmarks/remote_monitor_load.py"
    options = ["--senders", "8", "--rate", "2000", "--seconds", "2", "--threads", "--json"]

    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["received"] == counts["given"] == 8 * (500 + 4)
    assert (counts["lost"], counts["dropped"], counts["runs_in_order"]) == (0, 0, 8)
