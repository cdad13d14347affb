"""Store: every run and every point, in SQLite."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from onstage.state.lock import FileLock
from onstage_live.blocks import COLUMNS, SIZE, Axis, Block, Curve, Point, unpack
from onstage_live.runs import SILENT_AFTER, Run

_TABLES = f"""
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
    run TEXT NOT NULL, kind TEXT NOT NULL, metric TEXT NOT NULL,
    number INTEGER NOT NULL, count INTEGER NOT NULL, sequence0 INTEGER NOT NULL, sequence1 INTEGER NOT NULL,
    low REAL, high REAL, mean REAL,
    step0 REAL NOT NULL, step1 REAL NOT NULL, epoch0 REAL NOT NULL, epoch1 REAL NOT NULL,
    time0 REAL NOT NULL, time1 REAL NOT NULL,
    {", ".join(f"{column} BLOB NOT NULL" for column in COLUMNS)},
    PRIMARY KEY (run, kind, metric, number)
) STRICT;
"""
_WRITE = f"REPLACE INTO blocks VALUES ({', '.join('?' * (16 + len(COLUMNS)))})"
_VERSION = 1
_IS = "run = ? AND kind = ? AND metric = ?"

_Series = tuple[str, str, str]
"""Run, kind, metric."""


class Store:
    """Runs in memory, their points in a database.

    One thread calls its methods; `curve` and `points` may be called by any.

    Parameters
    ----------
    folder
        Made if it does not exist; used by one store at a time.

    Attributes
    ----------
    runs
        By their names.
    heard
        When each run that is not over gave its last sign of life.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "runs.sqlite3"
        self._lock = FileLock(folder / ".lock", f"store {str(folder)!r}")
        with ExitStack() as undo:
            self._lock.acquire()
            undo.callback(self._lock.release)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            records = self._read_runs()
            undo.pop_all()
        now = time.time()
        self.runs = {run.id: run for run in (Run(**json.loads(record)) for (record,) in records)}
        self.heard = {run.id: now for run in self.runs.values() if run.state == "running"}
        self._blocks: dict[_Series, Block] = {}
        self._dirty: dict[tuple[str, str, str, int], Block] = {}
        self._changed: set[str] = set()
        self._deleted: set[str] = set()
        self._is_open = True

    def _read_runs(self) -> list[tuple[str]]:
        if self._db.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            raise RuntimeError(f"{self.path} is of another version of onstage-live; use another store")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
        return self._db.execute("SELECT record FROM runs").fetchall()

    def close(self) -> None:
        """Write all, and release the folder; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            self.flush()
            self._db.close()
            self._lock.release()

    # -- events

    def publish(
        self, events: Sequence[Mapping[str, Any]], name: str | None, sequence: int, peer: str
    ) -> Run | None:
        """Accept consecutive events of one run, which `flush` writes.

        An event whose number, or a later one, was received before is skipped:
        its sender got no answer and repeats it. If a run is resumed, the points
        that it sent after the state it resumes from are removed.

        Parameters
        ----------
        name
            ``run.attempt``, with another attempt for each resume. None if the
            sender has no name (Keras's): the run is found by `peer` and epoch.
        sequence
            Number of the first event.
        """
        now = time.time()
        if name is None:
            for event in events:
                unnamed = self._unnamed(event.get("epoch"), peer, now)
                self._accept(unnamed, unnamed.sequence + 1, event, now)
            return None
        identity, _, attempt = name.partition(".")
        run = self.runs.get(identity)
        if run is None:
            if not events or name in self._deleted:
                return None
            run = self.runs[identity] = Run(identity, now, attempt=attempt)
        if attempt in run.earlier:
            return run
        if attempt != run.attempt:
            self._resume(run, attempt, sequence)
        for number, event in enumerate(events, sequence):
            if number > run.sequence:
                self._accept(run, number, event, now)
        if run.state == "running":
            self.heard[run.id] = now
        return run

    def _unnamed(self, epoch: object, peer: str, now: float) -> Run:
        """Return the run of a peer that an epoch continues: the closest before it, else another."""
        number = epoch if isinstance(epoch, (int, float)) else 0
        known = [run for run in self.runs.values() if run.peer == peer and 0 < run.epoch <= number]
        fresh = [run for run in known if now - run.updated < max(SILENT_AFTER, 5 * run.epoch_seconds())]
        if fresh:  # of two at the same epoch, the one whose turn it is
            return max(fresh, key=lambda run: (run.epoch, -run.updated))
        if known:
            return max(known, key=lambda run: run.updated)
        run = Run(secrets.token_hex(8), now, model="RemoteMonitor", peer=peer)
        return self.runs.setdefault(run.id, run)

    def _accept(self, run: Run, number: int, event: Mapping[str, Any], now: float) -> None:
        values = run.accept(event, now)
        run.sequence, run.updated = number, now
        self.heard[run.id] = now
        self._changed.add(run.id)
        if values is None:
            return
        counts = run.counts[values.kind]
        for metric, value in values.values.items():
            series = (run.id, values.kind, metric)
            block = self._blocks.get(series) or self._last_block(series)
            if len(block) >= SIZE:
                block = Block(block.number + 1)
            step = run.steps or round(values.epoch)  # of a sender that tells no batches
            block.append(Point(number, step, values.epoch, values.time, value))
            self._blocks[series] = self._dirty[*series, block.number] = block
            counts[metric] = counts.get(metric, 0) + 1

    def _last_block(self, series: _Series) -> Block:
        found = self._db.execute(
            f"SELECT number, {', '.join(COLUMNS)} FROM blocks WHERE {_IS} ORDER BY number DESC LIMIT 1",
            series,
        ).fetchone()
        return Block(found[0], found[1:]) if found else Block(0)

    def _resume(self, run: Run, attempt: str, sequence: int) -> None:
        """Begin another attempt: remove the points of the events from a number on."""
        self.flush()
        run.earlier.append(run.attempt)
        run.attempt, run.state, run.why, run.finished, run.asked = attempt, "running", None, None, None
        if sequence > run.sequence:
            return
        run.sequence = sequence - 1
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM blocks WHERE run = ? AND sequence0 >= ?", (run.id, sequence))
        self._blocks = {series: block for series, block in self._blocks.items() if series[0] != run.id}
        run.forget()
        for kind, metrics in run.counts.items():
            for metric in list(metrics):
                series = (run.id, kind, metric)
                block = self._last_block(series)
                block.cut(sequence)
                self._blocks[series] = self._dirty[*series, block.number] = block
                metrics[metric] = block.number * SIZE + len(block)
                if not metrics[metric]:
                    del metrics[metric], self._blocks[series], self._dirty[*series, block.number]
        self.flush()
        for kind, metrics in run.counts.items():
            for metric in metrics:
                run.recall(kind, metric, list(self.points(run.id, kind, metric)))
        self._changed.add(run.id)

    # -- writing

    @property
    def is_dirty(self) -> bool:
        """Whether `flush` has something to write."""
        return bool(self._changed)

    def flush(self) -> dict[str, int]:
        """Write what has changed, in one transaction; return the numbers of values of the runs.

        Raises
        ------
        sqlite3.Error
            It could not be written; nothing is lost, the next call tries again.
        """
        changed = [self.runs[identity] for identity in self._changed]
        rows = [(*series[:3], *block.row()) for series, block in self._dirty.items()]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(_WRITE, rows)
            records = [(run.id, json.dumps(asdict(run))) for run in changed]
            self._db.executemany("REPLACE INTO runs VALUES (?, ?)", records)
        self._dirty.clear()
        self._changed.clear()
        for run in changed:
            if run.state != "running":
                self._leave(run.id)
        return {run.id: run.count() for run in changed}

    def _leave(self, identity: str) -> None:
        self.heard.pop(identity, None)
        self._blocks = {series: block for series, block in self._blocks.items() if series[0] != identity}

    def edit(self, run: Run, changes: Mapping[str, Any]) -> None:
        """Set attributes of a run."""
        for name, value in changes.items():
            setattr(run, name, value)
        self._changed.add(run.id)

    def delete(self, run: Run) -> None:
        """Remove a run with all its points, and those that its sender still sends."""
        self.flush()
        del self.runs[run.id]
        self._deleted.add(f"{run.id}.{run.attempt}")
        self._leave(run.id)
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM blocks WHERE run = ?", (run.id,))
            self._db.execute("DELETE FROM runs WHERE id = ?", (run.id,))

    def retain(self, days: float | None, most: int | None) -> list[str]:
        """Delete the runs that were last updated before some days, and the oldest above a number.

        Runs that are pinned or not over stay.
        """
        over = [run for run in self.runs.values() if not run.pinned and run.id not in self.heard]
        over.sort(key=lambda run: run.updated, reverse=True)
        kept = len(self.runs) - len(over)
        oldest = 0.0 if days is None else time.time() - days * 86_400
        excess = over[max(0, most - kept) :] if most is not None else []
        gone = {run.id: run for run in [*excess, *(run for run in over if run.updated < oldest)]}
        for run in gone.values():
            self.delete(run)
        return list(gone)

    # -- reading, by any thread

    def _reader(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True))

    def points(self, run: str, kind: str, metric: str) -> Iterator[Point]:
        """Yield the points of a metric."""
        query = f"SELECT number, {', '.join(COLUMNS)} FROM blocks WHERE {_IS} ORDER BY number"
        with self._reader() as db:
            for number, *columns in db.execute(query, (run, kind, metric)):
                yield from map(Point, *Block(number, columns).columns)

    def curve(
        self, series: _Series, x: Axis, start: float = -np.inf, stop: float = np.inf, pixels: int = 800
    ) -> tuple[Curve, int]:
        """Return a metric in a range of x, in at most two rows a pixel, and its number of points."""
        query = f"SELECT {x}0, {x}1, low, high, mean, count, number FROM blocks WHERE {_IS} ORDER BY number"
        with self._reader() as db:
            table = np.array(db.execute(query, series).fetchall(), dtype=np.float64).reshape(-1, 7)
            blocks = Curve(*table.T).sort().select(start, stop)
            if 0 < len(blocks.first) < pixels:
                blocks = self._unpack(db, series, x, blocks).sort().select(start, stop)
        return blocks.reduce(pixels), int(table[:, 5].sum())

    def _unpack(self, db: sqlite3.Connection, series: _Series, x: Axis, blocks: Curve) -> Curve:
        """Return the points of blocks, and of those between them."""
        query = f"SELECT {x}s, points FROM blocks WHERE {_IS} AND number BETWEEN ? AND ? ORDER BY number"
        ends = int(blocks.number.min()), int(blocks.number.max())
        rows = db.execute(query, (*series, *ends)).fetchall()
        position = np.concatenate([unpack(row[0], np.int64 if x == "step" else np.float64) for row in rows])
        values = np.concatenate([unpack(row[1], np.float64) for row in rows])
        values[~np.isfinite(values)] = np.nan
        ones = np.ones(len(values))
        return Curve(position, position, values, values, values, ones, ones)
