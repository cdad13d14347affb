"""Who may use the server: host, origin, token and rate."""

import base64
import socket
from urllib.parse import urlsplit

import pytest
from onstage_live import Server

TOKEN = "0123456789abcdef-token"
PUBLISH = "/publish/epoch/end/"


def raw(server, data):
    """Send bytes; return all that the server sends until it closes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9000", "", "a@localhost.evil", "[", "localhost.evil"]
)
def test_another_host_name_is_refused(client, host):
    assert client.ask("GET", "/", Host=host)[0] == 421


def test_it_answers_under_its_addresses_and_its_allowed_names(start):
    client = start(hosts=["Monitor.example"])

    hosts = ("localhost:1", "127.0.0.1", "[::1]:9000", "monitor.example", "10.0.0.7:80")
    assert {client.ask("GET", "/health/", Host=host)[0] for host in hosts} == {200}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://[", "http://localhost:9000"]
)
def test_pages_of_other_sites_can_do_nothing(client, origin):
    for method, path in [("POST", PUBLISH), ("GET", "/api/stream"), ("DELETE", "/api/runs/a")]:
        assert client.ask(method, path, Origin=origin)[0] == 403


def test_its_own_page_can_post(client):
    answer = client.ask(
        "POST", PUBLISH, "{}", Origin=client.server.url, **{"Content-Type": "application/json"}
    )

    assert answer[0] == 200


def test_an_address_that_other_machines_reach_requires_a_token(tmp_path):
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ValueError, match="token must be set"):
            Server(host, 0, store=tmp_path)


@pytest.mark.parametrize("token", ["", "short", "ä" * 20])
def test_a_token_that_can_be_guessed_is_refused(tmp_path, token):
    with pytest.raises(ValueError, match="at least 16 ASCII characters"):
        Server(port=0, token=token, store=tmp_path)


def test_a_server_with_a_token_answers_nothing_without_it(start):
    client = start(token=TOKEN)
    password = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    wrong = [
        {},
        *({"Authorization": each} for each in ("Bearer wrong", "Basic %%%", f"Digest {TOKEN}", "Bearer")),
    ]

    for path in ("/", "/static/main.js", "/api/runs", "/api/stream", "/api/export.csv", "/health/"):
        for headers in wrong:
            status, answer, _ = client.ask("GET", path, **headers)
            assert status == 401
            assert answer["WWW-Authenticate"].startswith("Basic")
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"Basic {password}"):
        assert client.ask("GET", "/", Authorization=right)[0] == 200


def test_other_addresses_and_names_are_not_steered_by_default(tmp_path):
    for options, expected in [
        ({}, True),
        ({"host": "0.0.0.0", "token": TOKEN}, False),
        ({"hosts": ["monitor.example"]}, False),
        ({"host": "0.0.0.0", "token": TOKEN, "steer": True}, True),
    ]:
        with Server(**{"port": 0, "store": tmp_path, **options}) as server:
            assert server.steer is expected


def test_wrong_tokens_are_slowed_down(start):
    client = start(token=TOKEN, rate=200)

    answers = [client.ask("GET", "/", Authorization="Bearer guess")[0] for _ in range(8)]

    assert answers[:3] == [401, 401, 401]
    assert answers[-1] == 429


def test_requests_are_limited_for_each_address(start):
    client = start(rate=1)

    answers = [client.ask("GET", "/health/") for _ in range(4)]

    assert [status for status, _, _ in answers] == [200, 200, 429, 429]
    assert answers[-1][1]["Retry-After"] == "1"


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: localhost\r\nHost: localhost",
        b"Host: localhost\r\nHost: evil.example",
        b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example",
        b"Host: localhost\r\nContent-Length: 3\r\nContent-Length: 4",
        b"Host: localhost\r\nContent-Length: -1",
    ],
)
def test_ambiguous_headers_are_refused(client, lines):
    answer = raw(client.server, b"POST " + PUBLISH.encode() + b" HTTP/1.1\r\n" + lines + b"\r\n\r\n{}")

    assert answer.split()[1] in (b"400", b"403", b"421")


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"x" * 100_000])
def test_bytes_that_are_not_a_request_do_no_harm(client, data):
    raw(client.server, data + b"\r\n\r\n")

    assert client.ask("GET", "/health/")[0] == 200
