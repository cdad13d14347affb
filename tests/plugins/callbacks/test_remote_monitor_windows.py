"""RemoteMonitor's files with stand-ins for the calls of Windows."""

import json
import os

import pytest
from onstage_remote_monitor.client import file_lock, spool_file
from onstage_remote_monitor.client.disk_queue import Spool
from onstage_remote_monitor.client.leftovers import Leftovers
from onstage_remote_monitor.client.spool_file import Entry

URL = "http://here"
LIMIT = 1 << 20


def entries(count):
    return [Entry("0a", n, json.dumps({"n": n})) for n in range(count)]


class Locks:
    """The call of Windows's msvcrt: locks bytes from the file's position on."""

    LK_NBLCK = 2

    def __init__(self):
        self.held = {}

    def locking(self, descriptor, mode, count):
        status = os.fstat(descriptor)
        key = status.st_dev, status.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR)
        if key in self.held:
            raise PermissionError(13, "Permission denied")
        self.held[key] = mode, count


@pytest.fixture
def locks(monkeypatch):
    made = Locks()
    monkeypatch.setattr(file_lock, "fcntl", None)
    monkeypatch.setattr(file_lock, "msvcrt", made)
    return made


def test_a_spool_in_use_is_left_alone(tmp_path, locks):
    in_use = Spool(tmp_path, URL, LIMIT)
    in_use.append(entries(3))
    spool = Spool(tmp_path, URL, LIMIT)

    assert Leftovers(tmp_path, URL, LIMIT).adopt(spool) == 0

    assert in_use.peek(5) == entries(3), "the position of the file is where it was"
    assert set(locks.held.values()) == {(locks.LK_NBLCK, 1)}
    ((_, _, position),) = locks.held
    assert position > 1 << 30, "no byte of the events is locked: others could not read it"
    in_use.close()


def test_a_spool_that_was_left_is_adopted(tmp_path, locks):
    earlier = Spool(tmp_path, URL, LIMIT)
    earlier.append(entries(3))
    left = earlier.close()
    locks.held.clear()  # as when its process ends
    spool = Spool(tmp_path, URL, LIMIT)

    assert Leftovers(tmp_path, URL, LIMIT).adopt(spool) == 3

    assert spool.peek(5) == entries(3)
    assert not left.exists()
    spool.close()


def test_files_are_opened_for_bytes(monkeypatch):
    monkeypatch.setattr(os, "O_BINARY", 1 << 28, raising=False)

    assert spool_file.open_flags(os.O_EXCL) == os.O_RDWR | os.O_CREAT | os.O_EXCL | 1 << 28
