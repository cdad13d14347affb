"""A tracker that writes a line of JSON for each event, and functions that read them."""

import json
import threading
from pathlib import Path

from onstage.callbacks.tracking import Tracker

LOGS = [{"loss": 0.75, "val_loss": 1.0}, {"loss": 0.5, "val_loss": 0.75}, {"loss": 0.25, "val_loss": 0.5}]


class Lines(Tracker):
    """Writes a line of JSON for each event; the number of the run is that of the runs in the file."""

    def __init__(self, filepath="lines.jsonl", **options):
        super().__init__(**options)
        self.filepath = filepath

    def start(self, run_id, params, tags):
        run_id = run_id or f"run {len(read(self.filepath, 'params'))}"
        self.write(run_id=run_id, params=params, tags=tags)
        return run_id

    def log(self, points):
        self.write(points=points, thread=threading.current_thread().name)

    def save_file(self, path, name):
        self.write(file=name, content=path.read_bytes().decode(errors="replace"))

    def finish(self, status, summary):
        self.write(status=status, summary=summary)

    def write(self, **event):
        with open(self.filepath, "a") as file:
            file.write(json.dumps(event) + "\n")


def read(filepath, key):
    """Return the values of a key, oldest first."""
    lines = Path(filepath).read_text().splitlines() if Path(filepath).exists() else []
    return [event[key] for event in map(json.loads, lines) if key in event]


def points(filepath, name, kind="epoch"):
    found = [point for part in read(filepath, "points") for point in part]
    return [(step, values[name]) for this, step, _, values in found if this == kind and name in values]
