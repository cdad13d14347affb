"""Fixtures of several plugins: a reader of TensorBoard files, a scripted HTTP server."""

import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from tensorboardX.proto.event_pb2 import Event

sys.path.insert(0, str(Path(__file__).parent))  # for screen.py


def slow_crc32c(data):
    """Compute CRC-32C bit by bit: RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmasked(value):
    rotated = (value - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def records(path):
    """Read the records of a file and verify every checksum."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        (of_length,) = struct.unpack_from("<I", data, at + 8)
        content = data[at + 12 : at + 12 + length]
        (of_content,) = struct.unpack_from("<I", data, at + 12 + length)
        assert unmasked(of_length) == slow_crc32c(data[at : at + 8])
        assert unmasked(of_content) == slow_crc32c(content)
        yield Event.FromString(content)
        at += 16 + length


def values_of(folder):
    """Return ``[(tag, step, value)]`` of a run, in the order of the files."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in records(path):
            found += [(value.tag, event.step, value) for value in event.summary.value]
    return found


def points(folder):
    """Return the curves of a run: ``{tag: [(step, value)]}``."""
    curves = {}
    for tag, step, value in values_of(folder):
        if value.HasField("simple_value"):
            curves.setdefault(tag, []).append((step, value.simple_value))
    return curves


def single(folder, tag):
    (value,) = [value for name, _, value in values_of(folder) if name == tag]
    return value


@pytest.fixture(scope="session")
def tfevents():
    """Read event files according to the format, and verify every checksum."""
    return SimpleNamespace(records=records, values_of=values_of, points=points, single=single)


class ScriptedServer:
    """HTTP server on loopback that answers according to a script, and keeps the requests.

    Attributes
    ----------
    script
        Answers to the next requests: a status, or ``hang``, ``trickle``,
        ``reset``; after them, `behaviour`.
    requests
        ``(path, headers, body)`` of the requests answered with 200, in order.
    attempts
        Number of requests.
    reason
        Reason phrase of the answers; None: the usual one.
    """

    def __init__(self, port=0):
        self.script, self.behaviour = [], 200
        self.requests, self.attempts = [], 0
        self.headers, self.reason, self.connections = {}, None, []
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_POST(self):
                server.answer(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = False

            def process_request(self, request, address):
                server.connections.append(request)
                super().process_request(request, address)

            def handle_error(self, *_):
                pass

        self._http = Quiet(("127.0.0.1", port), Handler)
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.attempts += 1
        act = self.script.pop(0) if self.script else self.behaviour
        if act == "reset":
            handler.close_connection = True
            return
        if act == "hang":
            handler.close_connection = True
            self.released.wait(20)
            return
        if act == "trickle":
            handler.close_connection = True
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                handler.wfile.write(bytes([byte]))
                if self.released.wait(0.05):
                    return
        if isinstance(act, float):
            time.sleep(act)
            act = 200
        if act == 200:
            self.accept(handler.path, dict(handler.headers), body)
        handler.send_response(act, self.reason)
        for name, value in {"Content-Length": "2", **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"ok")

    def accept(self, path, headers, body):
        """Keep a request that is answered with 200."""
        self.requests.append((path, headers, body))

    def close(self):
        """Close the server and all connections; a second call does nothing."""
        self.released.set()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def scripted_server():
    """Return a function that makes scripted servers, which are closed after the test."""
    made = []

    def make(port=0):
        made.append(ScriptedServer(port))
        return made[-1]

    yield make
    for server in made:
        server.close()


class Received(NamedTuple):
    """One event, with the name of its run and its number in it."""

    run: str
    sequence: int
    event: dict


class EventServer(ScriptedServer):
    """Scripted server that keeps the events, skips repeated ones and removes those that a resume repeats.

    Attributes
    ----------
    events
        What it received, oldest first.
    repeated
        Number of events skipped.
    tokens
        Bearer tokens that it accepts; None: no token is required.
    """

    def __init__(self, port=0):
        self.events, self.repeated, self.tokens, self.attempts_of = [], 0, None, {}
        self._lock = threading.Lock()
        super().__init__(port)

    def answer(self, handler):
        if self.tokens is not None and handler.headers["Authorization"] not in self.tokens:
            self.script.insert(0, 401)
        super().answer(handler)

    def accept(self, path, headers, body):
        with self._lock:
            self._receive(headers, body)

    def _receive(self, headers, body):
        text = body.decode()
        if headers["Content-Type"] != "application/json":
            (text,) = parse_qs(text)["data"]
        content = json.loads(text)
        run, _, attempt = headers.get("X-Onstage-Run", "").partition(".")
        number = int(headers.get("X-Onstage-Sequence", 0))
        known = [each for each in self.events if each.run == run]
        if attempt != self.attempts_of.setdefault(run, attempt):
            self.attempts_of[run] = attempt
            self.events = [each for each in self.events if each.run != run or each.sequence < number]
            known = [each for each in known if each.sequence < number]
        last = known[-1].sequence if known else -1
        for sequence, event in enumerate(content if isinstance(content, list) else [content], number):
            if sequence > last:
                self.events.append(Received(run, sequence, event))
            else:
                self.repeated += 1


@pytest.fixture
def event_server():
    """Return a function that makes servers which keep the events; they are closed after the test."""
    made = []

    def make():
        made.append(EventServer())
        return made[-1]

    yield make
    for server in made:
        server.close()


OPENER = build_opener(ProxyHandler({}))
PATIENCE = 60


class TensorBoardServer:
    """Run TensorBoard on a free port of loopback."""

    def __init__(self, log_dir):
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(log_dir), "--port", "0"]
        command += ["--host", "127.0.0.1", "--load_fast", "false"]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        printed = ""
        for line in self.process.stderr:
            printed += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                self.url = found[0]
                return
        self.close()
        raise AssertionError(printed)

    def get(self, path, **query):
        """Ask until there is an answer: the server reads the files on its own time."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.read(f"{path}?{urlencode(query)}")
            except (HTTPError, URLError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def read(self, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        with OPENER.open(Request(self.url + path, body, headers), timeout=PATIENCE) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def wait_for(self, path, ready):
        deadline = time.monotonic() + PATIENCE
        while not ready(answer := self.get(path)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
        return answer

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def tensorboard_server():
    """Return a function that runs TensorBoard on a directory until the module's tests are over."""
    running = []

    def start(log_dir):
        running.append(TensorBoardServer(log_dir))
        return running[-1]

    yield start
    for server in running:
        server.close()
