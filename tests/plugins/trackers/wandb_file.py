"""Read the file that wandb writes of an offline run."""

import json
import struct
import time
from types import SimpleNamespace

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    """Yield the records of a file in the format of LevelDB's log, after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), HEADER, b""
    assert data[:4] in (b":W&B", b"")  # not yet written
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:  # padding
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + HEADER])
        part, at = data[at + HEADER : at + HEADER + size], at + HEADER + size
        if len(part) < size:  # still being written
            return
        whole = part if kind in (FULL, FIRST) else whole + part
        if kind in (FULL, LAST):
            yield Record.FromString(whole)


def whole_file(path):
    """Return the records; wandb's service writes the last of them after ``finish`` has returned."""
    found = list(records(path))
    for _ in range(600):
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            break
        time.sleep(0.05)
        found = list(records(path))
    return found


def read_run_file(folder, run_id):
    """Return history, config, summary, metrics and exit code of a run below `folder`."""
    (path,) = folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    found = SimpleNamespace(history=[], config={}, summary={}, metrics={}, exit_code=None)
    found.folder = path.parent
    for record in whole_file(path):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            found.history.append(
                {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            )
        elif kind in ("run", "config"):
            updates = record.run.config.update if kind == "run" else record.config.update
            found.config |= {item.key: json.loads(item.value_json) for item in updates}
        elif kind == "summary":
            found.summary |= {
                item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update
            }
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    return found
