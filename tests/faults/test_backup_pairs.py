"""No faults in a row lose a backup: a search through the states of the files of a backup.

From each state that faults can lead to, every fault is tried on the real
files: each call to the system of a save fails or is the last one of a killed
process, a bit flips in a file, the program is run again, or twice at once. What
a state leads to depends only on which files are there, whole, and in which
order they were written, and on what the process knows; states that are equal
in that are visited once. So all sequences of faults of a length are covered.

``ONSTAGE_FAULTS`` sets the length.
"""

import contextlib
import copy
import errno
import os
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from onstage_backup_and_restore import BackupAndRestore

from onstage import OnstageWarning, Run, StateError
from onstage.state import storage
from onstage.testing import FakeModel

LENGTH = int(os.environ.get("ONSTAGE_FAULTS", "8"))
LAST, PREVIOUS = "backup.safetensors", "backup-previous.safetensors"


class Killed(BaseException):
    """Stands for a kill."""


@dataclass(frozen=True)
class Fault:
    """What happens at a call to the system: it fails, or the process dies before, in or after it."""

    call: str
    number: int
    how: str
    linkless: bool = False

    def __str__(self):
        return f"{self.how} {self.call} {self.number}{' without hard links' if self.linkless else ''}"


CALLS = [
    *(("write", n) for n in (1, 2)),
    ("fsync", 1),
    ("link", 1),
    ("replace", 1),
    ("replace", 2),
    ("fsync", 2),
]
FAULTS = [
    None,
    *(Fault(call, n, how) for call, n in CALLS for how in ("fails", "dies before", "dies after")),
    *(Fault("write", n, how) for n in (1, 2) for how in ("fails halfway", "dies halfway")),
    Fault("none", 1, "fails", linkless=True),
    *(
        Fault("replace", n, how, linkless=True)
        for n in (1, 2)
        for how in ("fails", "dies before", "dies after")
    ),
]


class Faulty:
    """While it is entered, one call to the system fails, or is the last one of a process.

    A process that is killed cleans nothing up: what its `finally` blocks do to
    the files is undone.
    """

    def __init__(self, folder, fault):
        self.folder = folder
        self.fault = fault
        self.counts = Counter()
        self.files = None
        self.patch = pytest.MonkeyPatch()

    def __enter__(self):
        for name in ("write", "fsync", "link", "replace"):
            self.patch.setattr(os, name, partial(self.call, name, getattr(os, name)))

    def __exit__(self, *error):
        self.patch.undo()
        if self.files is not None:
            fill(self.folder, self.files)

    def call(self, name, plain, *arguments):
        if name == "write" and not isinstance(arguments[1], memoryview):
            return plain(*arguments)  # of the lock
        fault = self.fault
        self.counts[name] += 1
        if fault and fault.linkless and name == "link":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        if fault and (name, self.counts[name]) == (fault.call, fault.number):
            self.fail(name, plain, arguments)
        return None if name == "fsync" else plain(*arguments)

    def fail(self, name, plain, arguments):
        if self.fault.how.endswith("halfway"):
            plain(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        if self.fault.how == "dies after" and name != "fsync":
            plain(*arguments)
        if self.fault.how == "fails" or self.fault.how == "fails halfway":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.files = content_of(self.folder)
        raise Killed


def content_of(folder):
    """Return the bytes of all files but the lock, which the system releases."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def fill(folder, files):
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def epochs_of(folder):
    """Return the epoch in each of the two files, None for one that is damaged."""
    found = {}
    for name in (LAST, PREVIOUS):
        if (folder / name).exists():
            try:
                found[name] = storage.load(folder / name)["epoch"]
            except StateError:
                found[name] = None
    return found


@dataclass
class Node:
    """Files, and the callback of the process that is running; None if there is none."""

    files: dict
    callback: BackupAndRestore | None
    epochs: dict
    trace: tuple = ()

    def key(self):
        """Return all that the next steps depend on."""
        order = sorted({epoch for epoch in self.epochs.values() if epoch is not None})
        ranks = {name: epoch if epoch is None else order.index(epoch) for name, epoch in self.epochs.items()}
        known = None if self.callback is None else (self.callback._last_is_good, self.callback.failures)
        litter = sum(name.startswith(".onstage-") for name in self.files)
        return tuple(sorted(ranks.items())), known, litter

    def newest(self):
        return max((epoch for epoch in self.epochs.values() if epoch is not None), default=None)


def step(folder, node, action):
    """Return the node after an action, None if the action cannot happen; check what it promises."""
    fill(folder, node.files)
    kind, fault = action
    callback = copy.deepcopy(node.callback)
    saved = None
    if kind == "damage":
        if node.epochs.get(fault) is None:
            return None
        content = bytearray((folder / fault).read_bytes())
        content[len(content) // 2] ^= 4
        (folder / fault).write_bytes(content)
    elif kind == "crash":
        callback = None
    elif kind == "save":
        callback, saved = save(folder, callback, 1 + (node.newest() or 0), fault)
    else:
        callback, saved = begin(folder, node, fault)
    after = Node(content_of(folder), callback, epochs_of(folder), (*node.trace, f"{kind} {fault or ''}"))
    check(node, after, kind, saved)
    return after


def save(folder, callback, epoch, fault):
    """Save in a run that is at the beginning of an epoch; return the callback, or None after its death."""
    run = Run(FakeModel(), [], epochs=None, initial_epoch=epoch)
    with contextlib.suppress(OSError, Killed), run, Faulty(folder, fault):
        next(run.epochs())
        callback.set_run(run)
        callback.on_epoch_end(epoch)
        return callback, epoch
    return (None if fault and "dies" in fault.how else callback), None


def begin(folder, node, fault):
    """Run the program, beside a second one; return the callback, and the epoch of its first backup."""
    callback, kept = BackupAndRestore(folder), None
    run = Run(FakeModel(), [callback], epochs=None)
    try:
        with warnings.catch_warnings(record=True) as caught, run, Faulty(folder, fault):
            warnings.simplefilter("always", OnstageWarning)
            epochs = run.epochs()
            assert run.initial_epoch == (node.newest() or 0), "the newest good backup is used"
            damaged = None in node.epochs.values() and node.epochs.get(LAST, 0) is None
            assert bool(caught) == damaged
            with (
                pytest.raises(RuntimeError, match="must be used by one training at a time"),
                Run(FakeModel(), [BackupAndRestore(folder)], epochs=None) as second,
            ):
                second.epochs()
            next(epochs)  # makes the first backup
            kept = copy.deepcopy(callback)
            raise Killed  # leaves the block without its end
    except StateError:
        assert node.epochs, "without backups there is nothing to refuse"
        assert node.newest() is None, "only if none of the backups is whole"
        return None, None
    except OSError:
        assert fault is not None
        return None, None
    except Killed:
        return kept, None if node.epochs or kept is None else 0


def check(before, after, kind, saved):
    """Hold that nothing but damage loses a backup."""
    trace = "; ".join(after.trace)
    if kind == "damage":
        return
    if before.newest() is not None:
        assert after.newest() is not None, f"all backups lost by: {trace}"
        assert after.newest() >= before.newest(), f"the newest backup lost by: {trace}"
    if saved is not None:
        assert after.epochs[LAST] == saved, f"a save that succeeded isn't there after: {trace}"
        assert not any(name.startswith(".onstage-") for name in after.files), f"litter after: {trace}"
    if saved is not None and kind == "save":
        # The callback keeps the file that it knows to be good, if no damage came unnoticed.
        good = LAST if before.callback._last_is_good else PREVIOUS
        kept = after.epochs.get(PREVIOUS) is not None
        assert kept or before.epochs.get(good) is None, f"no second backup after: {trace}"


def actions(node):
    yield from (("damage", name) for name in (LAST, PREVIOUS))
    if node.callback is None:
        # Only the first backup, where there is none yet, can meet a fault.
        yield from (("begin", fault) for fault in ([None] if node.epochs else FAULTS))
    else:
        yield "crash", None
        yield from (("save", fault) for fault in FAULTS)


def search(folder, length):
    """Visit all states up to a depth; return them, their steps, the greatest depth and the sequences."""
    start = Node({}, None, {})
    known, edges = {start.key(): start}, {}
    level, deepest = [start], 0
    for depth in range(length):
        following = []
        for node in level:
            edges[node.key()] = []
            for action in actions(node):
                after = step(folder, node, action)
                if after is None:
                    continue
                edges[node.key()].append(after.key())
                if after.key() not in known:
                    known[after.key()] = after
                    following.append(after)
        level, deepest = following, depth if following else deepest
    return known, edges, deepest, count_paths(edges, start.key(), length)


def count_paths(edges, start, length):
    reached = Counter({start: 1})
    for _ in range(length):
        following = Counter()
        for key, ways in reached.items():
            for target in edges.get(key, ()):
                following[target] += ways
        reached = following
    return reached.total()


@pytest.fixture
def folder():
    # In memory if possible: the search writes thousands of files.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


@pytest.mark.skipif(os.name != "posix", reason="Windows calls the system in another order")
def test_no_sequence_of_faults_loses_a_backup_that_was_not_damaged(folder):
    known, edges, deepest, sequences = search(folder, LENGTH)

    steps = sum(map(len, edges.values()))
    print(f"{len(known)} states, {steps} steps, {sequences:,} sequences of {LENGTH} faults")
    assert deepest < LENGTH - 1, "no state is new at the end: longer sequences lead to the same ones"
    assert len(known) > 20
    assert sequences > 10**LENGTH
    assert {len(epochs) for epochs, _, _ in known} == {0, 1, 2}
