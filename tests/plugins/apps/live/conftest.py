"""A server on loopback with its store in a temporary folder, and a client of it."""

import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from onstage_live import Server

sys.path.insert(0, str(Path(__file__).parent))  # for live_page.py


class Client:
    """Asks a server over one connection a request."""

    def __init__(self, server, **headers):
        self.server, self.headers = server, headers

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body."""
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=30)
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, **query):
        """Return the JSON of a path."""
        status, _, body = self.ask("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)
        assert status == 200, body
        return json.loads(body)

    def send(self, events, run=None, sequence=0):
        """Publish events as RemoteMonitor does; return the answer's headers."""
        named = {} if run is None else {"X-Onstage-Run": run, "X-Onstage-Sequence": str(sequence)}
        kind = {"Content-Type": "application/json"}
        status, headers, body = self.ask("POST", "/publish/epoch/end/", json.dumps(events), **named, **kind)
        assert status == 200, body
        return headers

    def runs(self):
        return self.get("/api/runs")["runs"]

    def curve(self, run, metric, **query):
        return self.get("/api/series", runs=run, metric=metric, **query)["series"][metric][run]


@pytest.fixture
def start(tmp_path):
    """Return a function that starts servers on one store; they are closed after the test."""
    running = []

    def start(**options):
        server = Server(**{"port": 0, "store": tmp_path / "store", **options})
        running.append(server)
        return Client(server.__enter__())

    yield start
    for server in running:
        server.close()


@pytest.fixture
def client(start):
    return start()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a browser for all tests of a module."""
    from live_page import open_browser  # skips without one

    driver = open_browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, client):
    """Return the page of a new server; the browser must have nothing to complain about."""
    from live_page import Page

    browser.get_log("browser")  # of a test before, whose server has gone
    yield Page(browser, client)
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    browser.get("about:blank")
    assert not complaints, complaints
