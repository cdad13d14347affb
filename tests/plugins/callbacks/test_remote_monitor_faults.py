"""RemoteMonitor with servers that are away, slow, broken, and come back."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest
from onstage_remote_monitor import RemoteMonitor

from onstage import Callback, OnstageWarning
from onstage.testing import replay

EPOCHS = [{"loss": float(n)} for n in range(12)]


def epochs_at(server):
    return [json.loads(parse_qs(body.decode())["data"][0])["epoch"] for _, _, body in server.requests]


def monitor_threads():
    return [thread for thread in threading.enumerate() if thread.name == "onstage-remote-monitor"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class At(Callback):
    """Calls a function after an epoch."""

    def __init__(self, epoch, act):
        self.at, self.act = epoch, act

    def on_epoch_end(self, epoch):
        if epoch == self.at:
            self.act()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def fit(monitor, *others, epochs=EPOCHS):
    """Train; return the warnings, and the seconds that the epochs took."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        began = time.monotonic()
        ended = []
        result = replay(
            [monitor, *others, At(len(epochs) - 1, lambda: ended.append(time.monotonic()))], epochs
        )
    assert result.epochs_run == len(epochs)
    assert not monitor_threads()
    return [str(one.message) for one in caught], ended[0] - began


def test_a_server_that_answers_500_for_a_while_gets_all_events_in_order(scripted_server):
    server = scripted_server()
    server.script = [500, 503, 500]

    monitor = RemoteMonitor(server.url, retries=5)
    messages, _ = fit(monitor)

    assert epochs_at(server) == list(range(12))
    assert (monitor.sent, monitor.retried, monitor.spooled, monitor.dropped) == (12, 3, 0, 0)
    assert messages == []


def test_a_lost_connection_is_made_again(scripted_server):
    server = scripted_server()
    server.script = [200, "reset", 200, "reset"]

    monitor = RemoteMonitor(server.url)
    fit(monitor)

    assert epochs_at(server) == list(range(12))
    assert monitor.retried == 2


def test_a_server_that_answers_late_does_not_delay_the_training(scripted_server):
    server = scripted_server()
    server.behaviour = 0.1

    monitor = RemoteMonitor(server.url)
    _, seconds = fit(monitor)

    assert seconds < 0.6, "twelve answers take 1.2 s"
    assert epochs_at(server) == list(range(12))
    assert monitor.dropped == 0


def test_a_request_to_a_server_that_hangs_ends_after_the_timeout(scripted_server):
    server = scripted_server()
    server.script = ["hang"]

    monitor = RemoteMonitor(server.url, timeout=0.3)
    _, seconds = fit(monitor)

    assert seconds < 0.3
    assert epochs_at(server) == list(range(12))
    assert monitor.retried == 1


def test_a_request_whose_answer_never_ends_is_aborted(scripted_server):
    server = scripted_server()
    server.script = ["trickle"]

    monitor = RemoteMonitor(server.url, timeout=0.2)  # each byte comes in time, the answer takes 50 s
    fit(monitor, At(10, lambda: time.sleep(0.9)))

    assert epochs_at(server) == list(range(12))
    assert monitor.retried == 1


def test_the_end_does_not_wait_longer_than_the_deadline(scripted_server):
    server = scripted_server()
    server.behaviour = "hang"

    monitor = RemoteMonitor(server.url, timeout=30, flush_timeout=0.5)
    began = time.monotonic()
    messages, _ = fit(monitor)

    assert time.monotonic() - began < 3
    assert monitor.sent == monitor.dropped == 0
    assert monitor.spooled == 12
    assert any("events wait on disk" in message for message in messages)
    assert any("events that could not be sent are in" in message for message in messages)


def test_events_queued_while_the_server_was_away_are_sent_when_it_is_back(scripted_server):
    port = free_port()
    servers = []
    monitor = RemoteMonitor(f"http://127.0.0.1:{port}", retries=1)

    def comes_back():
        until(lambda: monitor._sender.spooled > 5)
        servers.append(scripted_server(port))
        until(lambda: servers[0].requests)

    messages, _ = fit(monitor, At(9, comes_back))

    assert epochs_at(servers[0]) == list(range(12))
    assert monitor.sent == 12
    assert monitor.spooled >= 6
    assert (monitor.dropped, monitor.left) == (0, None)
    assert [message for message in messages if "the server is away" in message] == messages[:1]


def test_a_server_that_is_killed_and_started_again_has_each_epoch_once(scripted_server):
    port = free_port()
    servers = [scripted_server(port)]
    monitor = RemoteMonitor(servers[0].url, retries=0)

    def dies():
        until(lambda: len(servers[0].requests) == 4)
        servers[0].close()

    def returns():
        until(lambda: monitor._sender.spooled >= 4)
        servers.append(scripted_server(port))

    fit(monitor, At(3, dies), At(8, returns))

    assert epochs_at(servers[0]) == [0, 1, 2, 3]
    assert epochs_at(servers[1]) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert monitor.dropped == 0


def test_a_lost_answer_does_not_duplicate_events(event_server):
    server = event_server()
    accept, lost = server.accept, []

    def accept_and_lose(*request):
        accept(*request)
        if len(lost) < 3:
            lost.append(1)
            raise ConnectionResetError

    server.accept = accept_and_lose
    monitor = RemoteMonitor(server.url, events="all")
    fit(monitor)

    assert [received.sequence for received in server.events] == list(range(monitor.sent))
    assert server.repeated > 0


def test_the_end_does_not_wait_for_a_server_that_was_never_reached():
    monitor = RemoteMonitor(f"http://127.0.0.1:{free_port()}")

    began = time.monotonic()
    messages, _ = fit(monitor)

    assert time.monotonic() - began < 2
    assert (monitor.sent, monitor.spooled, monitor.dropped) == (0, 12, 0)
    assert "Connection refused" in messages[0]


def test_the_next_training_sends_the_events_that_the_last_could_not(scripted_server, tmp_path):
    port = free_port()
    options = {"spool": tmp_path / "spool"}
    first = RemoteMonitor(f"http://127.0.0.1:{port}", **options)
    fit(first)
    assert first.left is not None

    server = scripted_server(port)
    second = RemoteMonitor(f"http://127.0.0.1:{port}", **options)
    fit(second, epochs=EPOCHS[:2])

    assert epochs_at(server) == [*range(12), 0, 1]
    assert second.sent == 14
    assert not list((tmp_path / "spool").iterdir())


def test_events_for_one_server_are_not_sent_to_another(scripted_server, tmp_path):
    fit(RemoteMonitor(f"http://127.0.0.1:{free_port()}", spool=tmp_path), epochs=EPOCHS[:3])

    other = scripted_server()
    fit(RemoteMonitor(other.url, spool=tmp_path), epochs=EPOCHS[:1])

    assert epochs_at(other) == [0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_refused_event_does_not_delay_the_others(scripted_server):
    server = scripted_server()
    server.script = [200, 400, 200]

    monitor = RemoteMonitor(server.url)
    messages, _ = fit(monitor)

    assert epochs_at(server) == [0, *range(2, 12)]
    assert (monitor.sent, monitor.dropped) == (11, 1)
    assert messages == [f"RemoteMonitor, {server.url}: events are lost: the server answered 400 Bad Request"]


def test_only_the_refused_one_of_many_events_in_a_request_is_lost(scripted_server):
    server = scripted_server()
    wrong = [{"loss": 1.0}] * 40
    wrong[17] = {"loss": 17.0}
    answer = server.answer

    def refuse_17(handler):
        text = handler.rfile.peek().decode()
        server.script = [422 if '"batch":17' in text.replace("%22", '"').replace("%3A", ":") else 200]
        answer(handler)

    server.answer = refuse_17

    monitor = RemoteMonitor(server.url, events="all")
    with pytest.warns(OnstageWarning, match="answered 422"):
        replay(monitor, EPOCHS[:1], batches=wrong)

    events = [
        event for _, _, body in server.requests for event in json.loads(parse_qs(body.decode())["data"][0])
    ]
    batches = [event["batch"] for event in events if event["event"] == "train_batch_end"]
    assert batches == [n for n in range(40) if n != 17]
    assert (monitor.dropped, monitor.sent) == (1, len(events))


def test_a_reason_phrase_of_the_server_can_not_drive_the_terminal(scripted_server):
    server = scripted_server()
    server.behaviour, server.reason = 400, "no\x1b]0;owned\x07" + "n" * 5000
    monitor = RemoteMonitor(server.url)

    caught, _ = fit(monitor, epochs=EPOCHS[:1])

    (text,) = [text for text in caught if "400" in text]
    assert r"400 no\x1b]0;owned\x07" in text
    assert text.isprintable()
    assert len(text) < 500


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(scripted_server, status):
    elsewhere, server = scripted_server(), scripted_server()
    server.behaviour, server.headers = status, {"Location": elsewhere.url + "/"}

    monitor = RemoteMonitor(server.url, retries=0)
    messages, _ = fit(monitor, epochs=EPOCHS[:2])

    assert elsewhere.attempts == 0
    assert (monitor.sent, monitor.spooled) == (0, 2)
    assert "redirects are not followed" in messages[0]


def test_a_retry_after_header_is_respected(scripted_server):
    server = scripted_server()
    server.script, server.headers = [200, 429], {"Retry-After": "1"}

    began = time.monotonic()
    monitor = RemoteMonitor(server.url)
    fit(monitor)

    assert time.monotonic() - began > 1
    assert epochs_at(server) == list(range(12))


def test_cookies_are_not_sent_back(scripted_server):
    server = scripted_server()
    server.headers = {"Set-Cookie": "follow=me"}

    fit(RemoteMonitor(server.url))

    assert not [headers for _, headers, _ in server.requests if "Cookie" in headers]


def test_a_full_queue_drops_events_with_a_warning(scripted_server):
    server = scripted_server()
    server.behaviour = "hang"

    monitor = RemoteMonitor(server.url, timeout=20, queue_size=50, flush_timeout=0.2, events="all")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        replay(monitor, EPOCHS[:2], batches=500)

    assert any("more than 50 waited; pass a larger queue_size" in str(one.message) for one in caught)
    assert monitor.dropped > 0
    assert monitor.dropped + monitor.spooled == 2 + 2 * 502
    assert monitor.sent == 0


def test_events_in_memory_are_bounded_at_any_rate(scripted_server):
    server = scripted_server()
    most = [0]

    class SlowToWrite:
        def __str__(self):
            time.sleep(0.001)
            return "slow"

    def flood():
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            monitor._send("flood", {"it": SlowToWrite()})
            most[0] = max(most[0], len(monitor._sender._ready))
            time.sleep(1e-5)

    monitor = RemoteMonitor(server.url, queue_size=200, events="all")
    fit(monitor, At(0, flood), epochs=EPOCHS[:1])

    assert 0 < most[0] <= 300, "half the queue, and once what the queue held"
    assert monitor.dropped > 0


def test_a_spool_that_is_full_or_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    url = f"http://127.0.0.1:{free_port()}"

    messages, _ = fit(RemoteMonitor(url, spool=tmp_path / "file"))
    assert any("the spool could not be written" in message for message in messages)

    monitor = RemoteMonitor(url, spool=tmp_path / "spool", spool_size=500)
    messages, _ = fit(monitor)
    assert any("events are lost: the spool is full" in message for message in messages)
    assert monitor.spooled + monitor.dropped == 12
    assert 0 < monitor.spooled < 12


def test_an_event_that_cannot_be_written_does_not_delay_the_others(scripted_server):
    class Spiteful:
        def __str__(self):
            raise SystemError

    class Adds(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 3:
                logs["it"] = Spiteful()

    server = scripted_server()
    monitor = RemoteMonitor(server.url)
    with pytest.warns(OnstageWarning, match="an event could not be written: SystemError"):
        replay([Adds(), monitor], EPOCHS)

    assert epochs_at(server) == [0, 1, 2, *range(4, 12)]
    assert (monitor.sent, monitor.dropped) == (11, 1)


def test_a_value_that_ends_its_thread_costs_its_event_alone(scripted_server):
    class Exits:
        def __str__(self):
            raise SystemExit("only for this thread")

    class Adds(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 3:
                logs["it"] = Exits()

    server = scripted_server()
    monitor = RemoteMonitor(server.url)
    with pytest.warns(OnstageWarning, match="an event could not be written: SystemExit"):
        replay([Adds(), monitor], EPOCHS)

    assert epochs_at(server) == [0, 1, 2, *range(4, 12)]


def test_a_spool_that_can_not_be_read_any_more_is_set_aside_and_later_events_are_sent(
    scripted_server, tmp_path
):
    port = free_port()
    monitor = RemoteMonitor(f"http://127.0.0.1:{port}", retries=0, spool=tmp_path)
    servers = []

    def closed():
        until(lambda: monitor._sender.spooled == 6)
        monitor._sender._spool._file.close()  # every access now raises
        until(lambda: monitor._sender.dropped)
        servers.append(scripted_server(port))  # later: an attempt under way would send an event that is lost

    messages, _ = fit(monitor, At(5, closed))

    (aside,) = tmp_path.iterdir()
    assert aside.suffix == ".unreadable"
    assert any(
        f"events are lost: ValueError: seek of closed file; those on disk are in {aside}" in text
        for text in messages
    )
    assert (monitor.sent, monitor.dropped) == (6, 6)
    assert epochs_at(servers[0]) == [6, 7, 8, 9, 10, 11]


def test_a_line_that_can_not_be_sent_does_not_silence_the_next_training(scripted_server, tmp_path):
    port = free_port()
    first = RemoteMonitor(f"http://127.0.0.1:{port}", retries=0, spool=tmp_path)
    fit(first, epochs=EPOCHS[:3])
    with open(first.left, "ab") as file:
        file.write(b'["0a", 3, "\\ud800"]\n')
    server = scripted_server(port)

    second = RemoteMonitor(server.url, spool=tmp_path)
    messages, _ = fit(second)

    assert epochs_at(server) == [0, 1, 2, *range(12)]
    assert [text for text in messages if "1 of the events in" in text]
    assert (second.sent, second.dropped) == (15, 1)
    assert fit(RemoteMonitor(server.url, spool=tmp_path))[0] == []


def test_events_left_above_the_size_of_the_spool_are_sent_in_parts(scripted_server, tmp_path):
    port = free_port()
    fit(RemoteMonitor(f"http://127.0.0.1:{port}", retries=0, spool=tmp_path))
    server = scripted_server(port)

    messages, _ = fit(RemoteMonitor(server.url, spool=tmp_path, spool_size=500))

    assert sorted(epochs_at(server)) == sorted([*range(12), *range(12)])
    assert messages == []
    assert not list(tmp_path.iterdir())


def test_a_spool_truncated_by_another_program_loses_its_events_and_no_later_ones(scripted_server, tmp_path):
    port = free_port()
    monitor = RemoteMonitor(f"http://127.0.0.1:{port}", retries=0, spool=tmp_path)
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()

    def emptied():
        until(lambda: monitor._sender.spooled == 6)
        (path,) = tmp_path.iterdir()
        os.truncate(path, 0)
        servers.append(scripted_server(port))
        until(lambda: monitor._sender.dropped)

    servers = []
    messages, _ = fit(monitor, At(5, emptied))
    (server,) = servers

    assert any("are gone: another program has truncated it" in message for message in messages)
    assert monitor.dropped + monitor.sent == 12
    assert epochs_at(server)[-6:] == [6, 7, 8, 9, 10, 11]
    left = set(os.listdir("/proc/self/fd")) - before if before else set()
    assert not [number for number in left if str(tmp_path) in os.path.realpath(f"/proc/self/fd/{number}")]


def certificate(folder):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    made = subprocess.run(command.split(), cwd=folder, capture_output=True)
    if made.returncode:
        pytest.skip("openssl cannot make a certificate")


def test_certificates_are_verified(tmp_path, monkeypatch):
    try:
        certificate(tmp_path)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    taken = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_POST(self):
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Quiet(HTTPServer):
        def handle_error(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    http = Quiet(("127.0.0.1", 0), Handler)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        monitor = RemoteMonitor(f"https://localhost:{http.server_port}", retries=0)
        messages, _ = fit(monitor, epochs=EPOCHS[:1])
    finally:
        http.shutdown()
        thread.join()
        http.server_close()

    assert taken == []
    assert (monitor.sent, monitor.spooled) == (0, 1)
    assert "certificate verify failed" in messages[0]


def test_threads_end_with_every_kind_of_server(scripted_server):
    for behaviour in ("hang", "reset", "trickle", 500, 200, 404):
        server = scripted_server()
        server.behaviour = behaviour
        with contextlib.suppress(InterruptedError):
            fit(RemoteMonitor(server.url, timeout=0.1, flush_timeout=0.2), epochs=EPOCHS[:2])
