"""The spool: events that RemoteMonitor could not send, kept in a file."""

import json
import os

from onstage_remote_monitor.client.disk_queue import Entry, Spool


def entries(count, run="0a"):
    return [Entry(run, n, json.dumps({"n": n})) for n in range(count)]


def test_a_spool_returns_events_in_order(tmp_path):
    spool = Spool(tmp_path, "http://here", 1 << 20)

    assert spool.append(entries(5)) == 5
    assert spool.peek(2) == entries(5)[:2]
    spool.drop(2)
    spool.append(entries(3, run="0b"))

    assert len(spool) == 6
    assert spool.peek(10) == entries(5)[2:], "events of one run in a request"
    spool.drop(3)
    assert spool.peek(10) == entries(3, run="0b")
    spool.drop(3)
    assert spool.close() is None
    assert not list(tmp_path.iterdir())


def test_the_spool_of_a_killed_process_is_adopted_at_its_position(tmp_path):
    killed = Spool(tmp_path, "http://here", 1 << 20)
    killed.append(entries(6))
    killed.drop(2)
    os.close(os.dup(killed._file.fileno()))
    killed._file.close()  # as when its process ends: the lock goes, the file stays
    (left,) = tmp_path.iterdir()
    with open(left, "ab") as file:
        file.write(b'["0a", 6, "{')  # cut off in the middle of a line

    spool = Spool(tmp_path, "http://here", 1 << 20)

    assert spool.adopt() == 4
    assert spool.peek(10) == entries(6)[2:]
    assert spool.close() != left
    assert not left.exists()


def test_a_spool_in_use_by_another_process_is_left_alone(tmp_path):
    in_use = Spool(tmp_path, "http://here", 1 << 20)
    in_use.append(entries(3))
    spool = Spool(tmp_path, "http://here", 1 << 20)

    assert spool.adopt() == 0

    assert in_use.peek(3) == entries(3)
    in_use.close()


def test_files_that_are_not_spools_are_left_alone(tmp_path):
    strange = {
        "a.spool": b"\xff\xfe",
        "b.spool": b"onstage-spool-1 x http://here\n",
        "c.spool": b"x" * 100_000,
    }
    for name, content in strange.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "d.spool").write_bytes(
        b"onstage-spool-1 "
        + b"0" * 18
        + b"48 http://here\n"
        + b'{"a": 1}\n[1]\n["../x", 1, "{}"]\n["0a", 1, "{}"]\n'
    )

    spool = Spool(tmp_path, "http://here", 1 << 20)

    assert spool.adopt() == 1
    assert spool.peek(5) == [Entry("0a", 1, "{}")]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("?.spool")} == strange
    spool.close()


def test_a_spool_is_readable_only_by_its_user(tmp_path):
    spool = Spool(tmp_path / "made", "http://here", 1 << 20)
    spool.append(entries(1))

    path = spool.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_temporary_spool_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool(None, "http://here", 1 << 20)
    spool.append(entries(1))
    spool.drop(1)

    assert spool.close() is None

    assert not list(tmp_path.iterdir())
