"""Shared by the kill tests: the program, and the results that a user sees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

PROGRAM = Path(__file__).with_name("program.py")


def start(folder, *arguments):
    """Start the program with its stdout as a pipe of lines."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def curves(folder):
    """Return all values in a run's event files as sorted ``(tag, step, bytes)``, without times."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            found += [
                (value.tag, event.step, value.SerializeToString(deterministic=True))
                for value in event.summary.value
            ]
            at += 16 + length
    return sorted(found)


def seen(folder):
    """Return all results of a finished training that a user sees."""
    return {
        "result": json.loads((folder / "result.json").read_text()),
        "csv": (folder / "log.csv").read_bytes(),
        "files": {path.name: path.read_bytes() for path in (folder / "saved").iterdir()},
        "curves": {run: curves(folder / "board" / run) for run in ("train", "validation")},
    }


@pytest.fixture(scope="session")
def unkilled(tmp_path_factory):
    """Results of the program when it isn't killed and makes no backups."""
    folder = tmp_path_factory.mktemp("unkilled")
    process = start(folder)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    ended = seen(folder)
    assert ended["result"]["ended"][1] == "EarlyStopping"
    for run, values in ended["curves"].items():
        assert len({value[:2] for value in values}) == len(values) > 100, f"{run} has steps once"
    return ended


@pytest.fixture(scope="session")
def program():
    return start


@pytest.fixture(scope="session")
def seen_of():
    return seen
