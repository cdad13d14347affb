"""``.keras`` files: a zip archive of ``config.json`` and ``model.weights.h5``, uncompressed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import Any, NamedTuple

from onstage.errors import StateError

MAGIC = b"PK"

_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_DAMAGE = (
    *(ArithmeticError, EOFError, LookupError, OSError, RuntimeError, ValueError),
    *(struct.error, zipfile.BadZipFile),
)


class Archive(NamedTuple):
    """The two parts of an archive."""

    config: Any
    weights: bytes | memoryview


def pack(archive: Archive) -> memoryview:
    """Return the bytes of an archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        # A ZipInfo without a date: the same model is always the same bytes.
        file.writestr(zipfile.ZipInfo(_METADATA), json.dumps({"keras_version": "3.0.0"}))
        file.writestr(zipfile.ZipInfo(_CONFIG), json.dumps(archive.config, allow_nan=False))
        file.writestr(zipfile.ZipInfo(_WEIGHTS), archive.weights)
    return content.getbuffer()


def unpack(content: bytes) -> Archive:
    """Return the parts of an archive; raise StateError if it is damaged or compressed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            config, weights = _read(file, _CONFIG, len(content)), _read(file, _WEIGHTS, len(content))
        return Archive(json.loads(config), weights)
    except _DAMAGE as error:
        raise StateError(f"its archive is damaged: {error}") from error


def _read(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    part = file.getinfo(name)
    if part.compress_type != zipfile.ZIP_STORED or part.file_size > most:
        raise StateError(f"{name} must be stored uncompressed in it, as Keras does; unpack and zip -0 it")
    return file.read(part)
