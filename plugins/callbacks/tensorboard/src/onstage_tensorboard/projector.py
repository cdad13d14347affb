"""Files of the Projector tab: the configuration, and a table for each layer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from onstage.model import Array
from onstage.state.atomic import write_atomic

_FOLDER = "embeddings"


def write_config(log_dir: Path, metadata: Mapping[str, str | None]) -> list[Any]:
    """Write ``projector_config.pbtxt``: layer to metadata file. Return no event."""
    entries = []
    for layer, file in metadata.items():
        lines = [f"tensor_name: {_quoted(layer)}", f"tensor_path: {_quoted(_table(layer))}"]
        if file is not None:
            lines.append(f"metadata_path: {_quoted(file)}")
        entries.append("embeddings {\n  " + "\n  ".join(lines) + "\n}\n")
    log_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(log_dir / "projector_config.pbtxt", ["".join(entries).encode()])
    return []


def write_tables(log_dir: Path, tables: Mapping[str, Array]) -> list[Any]:
    """Write the tables; they replace those of the last epoch. Return no event."""
    (log_dir / _FOLDER).mkdir(parents=True, exist_ok=True)
    for layer, table in tables.items():
        text = io.BytesIO()
        np.savetxt(text, table, fmt="%.9g", delimiter="\t")  # 9 digits: exact for float32
        write_atomic(log_dir / _table(layer), [text.getvalue()])
    return []


def _table(layer: str) -> str:
    return f"{_FOLDER}/{quote(layer, safe='')}.tsv"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
