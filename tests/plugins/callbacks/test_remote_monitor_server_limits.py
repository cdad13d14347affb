"""The receiving server under attack: floods, huge bodies, ambiguous requests."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

import onstage_remote_monitor.server as server_package
import pytest
from onstage_remote_monitor import Server
from onstage_remote_monitor.server.connections import Connections
from onstage_remote_monitor.server.event_store import EventStore, Truncated
from onstage_remote_monitor.server.server import address_option

TOKEN = "0123456789abcdef-token"
PATH = b"/publish/epoch/end/"


@pytest.fixture
def server():
    with Server(port=0) as running:
        yield running


def connect(server, data=b""):
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(data)
    return connection


def answer_to(server, *lines, body=b""):
    """Send a request; return all that the server sends until it closes."""
    with connect(server, b"\r\n".join([*lines, b"", body])) as connection:
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def is_healthy(server, token=None):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("GET", "/health/", headers=headers)
        return connection.getresponse().status == 200
    finally:
        connection.close()


# -- connections


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /publish/epoch/end/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_half_sent_requests_shut_nobody_out(token, half):
    with Server(port=0, token=token) as server:
        opened = [connect(server, half) for _ in range(140)]

        assert all(is_healthy(server, token) for _ in range(5))

        for connection in opened:
            connection.close()


def test_a_sender_between_two_events_outlives_a_flood(server):
    sender = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    sender.request("POST", PATH.decode(), b"{}", {"Content-Type": "application/json"})
    assert sender.getresponse().read() == b"OK\n"
    used = sender.sock

    opened = [connect(server) for _ in range(140)]
    assert is_healthy(server)

    sender.request("POST", PATH.decode(), b"{}", {"Content-Type": "application/json"})
    assert sender.getresponse().status == 200
    assert sender.sock is used
    sender.close()
    for connection in opened:
        connection.close()


def test_connections_that_are_served_are_limited_and_it_recovers(server):
    listen = b"GET /subscribe/epoch/end/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    opened = []
    for _ in range(128):
        opened.append(connect(server, listen))
        assert opened[-1].recv(12) == b"HTTP/1.1 200"

    with connect(server, listen) as refused:
        assert refused.recv(12) == b"HTTP/1.1 503"

    for connection in opened:
        connection.close()
    server.hub.publish([{"epoch": 0}], None, 0)  # to listeners that are gone
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if is_healthy(server):
                break
        server.hub.publish([{"epoch": 0}], None, 0)
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def pairs():
    """Return a function that makes a connected socket."""
    made = []

    def pair():
        made.extend(socket.socketpair())
        return made[-1]

    yield pair
    for one in made:
        one.close()


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def test_room_is_made_by_the_longest_wait_among_those_that_never_had_a_request(pairs):
    connections = Connections(3)
    known, oldest, newest = pairs(), pairs(), pairs()
    for one in (known, oldest, newest):
        assert connections.add(one)
    connections.serve(known)
    connections.wait(known, 60)

    assert connections.add(pairs())
    assert [is_open(one) for one in (known, oldest, newest)] == [True, False, True]
    served = pairs()
    assert connections.add(served)
    assert [is_open(one) for one in (known, newest)] == [True, False]
    connections.serve(served)
    connections.serve(known)

    assert connections.add(pairs()), "one waits still"
    connections.serve(last := pairs())  # unknown: no error
    connections.remove(last)


def test_no_room_is_made_by_those_that_are_served(pairs):
    connections = Connections(1)
    served = pairs()
    connections.add(served)
    connections.serve(served)

    assert not connections.add(pairs())

    assert is_open(served)
    connections.remove(served)
    assert connections.add(pairs())


def test_those_that_take_too_long_are_closed_and_a_stream_is_not(pairs):
    connections = Connections(3)
    late, in_time, stream = pairs(), pairs(), pairs()
    for one, seconds in ((late, -1), (in_time, 60), (stream, -1)):
        connections.add(one)
        connections.wait(one, seconds)
    connections.serve(stream, endless=True)

    connections.abort_late()

    assert [is_open(one) for one in (late, in_time, stream)] == [False, True, True]


# -- requests


@pytest.mark.parametrize("second", [b"Content-Length: 2", b"Content-Length: 40", b"content-length:  x"])
def test_two_content_lengths_are_refused(server, second):
    head = (b"POST %s HTTP/1.1" % PATH, b"Host: localhost", b"Content-Type: application/json")

    answer = answer_to(server, *head, b"Content-Length: 2", second, body=b"{}")

    assert answer.startswith(b"HTTP/1.1 400")
    assert server.events == []


def test_a_body_of_a_get_is_not_taken_for_a_request(server):
    inner = b"GET /health/ HTTP/1.1\r\nHost: localhost\r\n\r\n"

    answer = answer_to(
        server, b"GET /page.css HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(inner), body=inner
    )

    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("origin", [b"http://[", b"http://]", b"http://[::1", b"http://a[b]c"])
def test_an_origin_that_is_no_address_is_refused(server, caplog, origin):
    answer = answer_to(server, b"GET / HTTP/1.1", b"Host: localhost", b"Origin: " + origin)

    assert answer.startswith(b"HTTP/1.1 403")
    assert caplog.records == []


def test_each_of_two_origins_is_checked(server):
    own, other = b"Origin: http://localhost", b"Origin: http://evil.example"

    for pair in ((own, other), (other, own)):
        assert answer_to(server, b"GET / HTTP/1.1", b"Host: localhost", *pair).startswith(b"HTTP/1.1 403")


def test_two_hosts_are_refused(server):
    answer = answer_to(server, b"GET / HTTP/1.1", b"Host: localhost", b"Host: evil.example")

    assert answer.startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_path_that_is_no_address_is_refused(server, caplog, method):
    answer = answer_to(server, method + b" http://[ HTTP/1.1", b"Host: localhost")

    assert answer.startswith(b"HTTP/1.1 400")
    assert caplog.records == []


# -- events


def test_the_lock_is_free_while_a_large_event_is_converted():
    store = EventStore(100)
    inside, go_on = threading.Event(), threading.Event()

    class Slow(dict):
        def items(self):
            inside.set()
            assert go_on.wait(10)
            return super().items()

    thread = threading.Thread(target=store.publish, args=([Slow(epoch=0)], None, 0))
    thread.start()
    assert inside.wait(10)

    store.publish([{"epoch": 5}], "a.1", 0)
    events = [one.event for one in store.events()]

    go_on.set()
    thread.join()
    assert events == [{"epoch": 5}]


def test_the_history_is_bounded_in_bytes():
    store = EventStore(history=1000, size=10_000)

    for n in range(300):
        store.publish([{"text": "x" * 90, "n": n}], "a.1", n)

    kept = store.events()
    assert sum(len(one.text) for one in kept) <= 10_000
    assert [one.event["n"] for one in kept] == list(range(300 - len(kept), 300))
    assert len(kept) > 80


def test_after_a_resume_the_bytes_of_the_removed_events_are_free():
    store = EventStore(history=1000, size=10_000)
    store.publish([{"text": "x" * 900}] * 10, "a.1", 0)

    store.publish([{"text": "x" * 900}] * 9, "a.2", 1)

    assert len(store.events()) == 10


def test_a_listener_reads_at_its_own_pace_and_everything_once():
    store = EventStore(100)
    position = store.start()
    seen = []

    for n in range(50):
        store.publish([{"n": n}], "a.1", n)
        if n % 7 == 0:
            news, position = store.read(position, most=5, timeout=0)
            seen += news
    while (found := store.read(position, most=5, timeout=0))[0]:
        assert len(found[0]) <= 5
        seen, position = seen + found[0], found[1]

    assert [one.event["n"] for one in seen] == list(range(50))


def test_a_listener_that_is_too_slow_is_ended():
    store = EventStore(10)
    start = store.start()

    store.publish([{"n": n} for n in range(11)], "a.1", 0)

    assert store.read(start, 100, timeout=0) is None
    news, _ = store.read(store.start(), 100, timeout=0)
    assert len(news) == 10


def test_a_batch_for_a_listener_is_bounded_in_bytes():
    store = EventStore(100)
    store.publish([{"text": ["x" * 900] * 400}] * 9, "a.1", 0)

    news, position = store.read(store.start(), 100, timeout=0)

    assert len(news) == 2
    assert len(store.read(position, 100, timeout=0)[0]) == 2


def test_a_listener_waits_for_news_and_ends_when_the_store_closes():
    store = EventStore(10)
    found = []
    thread = threading.Thread(target=lambda: found.append(store.read(0, 10, timeout=10)))
    thread.start()
    store.publish([{"n": 1}], "a.1", 0)
    thread.join(10)
    assert [one.event for one in found[0][0]] == [{"n": 1}]

    thread = threading.Thread(target=lambda: found.append(store.read(1, 10, timeout=10)))
    thread.start()
    store.close()
    thread.join(10)
    assert found[1] is None
    assert store.read(0, 10, timeout=0) is None


def test_a_listener_that_reads_after_a_resume_gets_no_removed_event():
    store = EventStore(100)
    store.publish([{"n": n} for n in range(5)], "a.1", 0)
    store.publish([{"n": 30}], "a.2", 3)

    news, _ = store.read(store.start(), 100, timeout=0)

    assert [one.sequence if isinstance(one, Truncated) else one.event["n"] for one in news] == [
        0,
        1,
        2,
        3,
        30,
    ]


def test_the_attempts_of_a_run_are_bounded():
    store = EventStore(10)

    for attempt in range(3000):
        store.publish([{}], f"a.{attempt}", 0)

    assert len(store._runs["a"].earlier) == 1000


# -- Windows


def test_the_port_can_not_be_taken_over_on_windows(monkeypatch):
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", ~socket.SO_REUSEADDR, raising=False)
    assert address_option() == ~socket.SO_REUSEADDR

    monkeypatch.delattr(socket, "SO_EXCLUSIVEADDRUSE")
    assert address_option() == socket.SO_REUSEADDR


# -- the page


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the script of the page")
@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1.0, 1.0000000000000002),
        (1e300, 1.0000000000000002e300),
        (0.1, 0.1),
        (0.0, 0.0),
        (0.0, 5e-324),
        (-5e-324, 5e-324),
        (-1.7e308, 1.7e308),
        (9007199254740992.0, 9007199254740994.0),
        (0.25, 0.75),
        (-3.0, 1200.0),
    ],
)
def test_any_two_values_have_few_ticks(low, high):
    folder = next(iter(server_package.__path__))
    with open(f"{folder}/page/page.js", encoding="utf-8") as file:
        script = file.read()
    functions = script[script.index("function widened") : script.index("function number")]
    program = f"{functions}\nconsole.log(JSON.stringify(ticks(...widened({low!r}, {high!r}), 5)));"

    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, timeout=20)

    assert done.returncode == 0, done.stderr
    ticks = json.loads(done.stdout)
    assert len(ticks) <= 11
    assert ticks == sorted(set(ticks))
    if high - low > 0.1 and high < 1e6:
        assert len(ticks) >= 3
        assert low <= ticks[0] < ticks[-1] <= high + 1e-6
