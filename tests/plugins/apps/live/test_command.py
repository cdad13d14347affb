"""The command ``onstage live``."""

import http.client
import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from onstage_live.command import live


def test_it_serves_until_ctrl_c_and_keeps_the_runs(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "onstage", "live", "--port", "0", "--store", str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    line = process.stdout.readline()
    connection = http.client.HTTPConnection(urlsplit(re.search(r"http://\S+", line)[0]).netloc, timeout=10)
    connection.request("GET", "/")
    page = connection.getresponse().read()
    connection.request("GET", "/api/stream")  # an open page does not hold it
    connection.getresponse().readline()

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert "<title>" in page.decode()
    assert (process.returncode, out, err) == (0, "", "")
    assert (tmp_path / "runs" / "runs.sqlite3").exists()
    connection.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "token must be set for a server at '0.0.0.0'"),
        (["--token-env", "NOT_SET_ANYWHERE"], "token_env must name an environment variable that is set"),
        (["--keep-days", "-1"], "-1.0 is not in the range"),
        (["--port", "none"], "'none' is not a valid integer"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    result = CliRunner().invoke(live, [*options, "--store", str(tmp_path)])

    assert result.exit_code != 0
    assert message in result.output


def test_a_store_that_is_no_database_is_named(tmp_path):
    (tmp_path / "runs.sqlite3").write_bytes(b"no database" * 100)

    result = CliRunner().invoke(live, ["--port", "0", "--store", str(tmp_path)])

    assert result.exit_code == 1
    assert result.output == "Error: file is not a database\n"


def test_its_help_says_what_it_does():
    result = CliRunner().invoke(live, ["--help"])

    assert "Show all trainings on a live page" in result.output
    assert "--keep-runs" in result.output
