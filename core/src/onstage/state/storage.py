"""State files: safetensors plus JSON, with a checksum over every bit.

The layout is that of safetensors (header length in eight bytes, JSON header,
bytes of the arrays), so any safetensors reader opens a state file. The first
entry of the header's ``__metadata__`` is a sha256 of the whole file, in which
the digest itself counts as zeros; then follow the format name, the schema
version, and the state as JSON text, in which ``{"$tensor": name}`` stands for
an array.

Files are not read through the safetensors package: a file is read once, from
the descriptor that was checked, and never mapped (if a mapped file is truncated,
the process dies of SIGBUS). The checksum covers the header that holds it.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

import numpy as np

from onstage.errors import StateError, warn
from onstage.model import Array, State
from onstage.state import _header
from onstage.state._digest import Digest
from onstage.state._tree import CorruptFile, decode, encode
from onstage.state.atomic import StrPath, write_atomic

_PIECE = 4 * 2**20
"""Bytes that are read at once, while those before them are checked."""


def save(path: StrPath, state: State, *, previous: StrPath | None = None) -> None:
    """Write a state to one file, atomically (see `atomic.write_atomic`).

    Parameters
    ----------
    path
        File; an older one is replaced once the new one is safe on disk.
    state
        Tree of dict (keys are str), list, str, int (up to 4,096 bits), float
        (also nan and inf), bool, None and arrays of bool, integers or floats of
        up to 64 bits; at most 64 levels deep. Tuples become lists, numpy scalars
        Python numbers, and arrays of any memory and byte order contiguous and
        little-endian.
    previous
        File in the same directory that becomes the one that is replaced.

    Raises
    ------
    TypeError
        The tree holds another type; the message names its path.
    ValueError
        The state is too deep or too large.
    OSError
        The file cannot be written; an older one is untouched.
    """
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict, got {type(state).__name__}")
    arrays: dict[str, Array] = {}
    text = json.dumps(encode(state, (), arrays), separators=(",", ":"), allow_nan=False)
    # Widest dtype first, so that every array starts at a multiple of its item size.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    if len(ordered) > _header.MAX_TENSORS:
        raise ValueError(f"state must hold at most {_header.MAX_TENSORS:,} arrays, got {len(ordered):,}")

    header = _header.make_header(text, ordered)
    if len(header) > _header.MAX_HEADER:
        raise ValueError(
            f"state must be at most {_header.MAX_HEADER:,} bytes besides its arrays, got {len(header):,}; "
            "store long lists of numbers as numpy arrays"
        )
    if (count := _header.count_containers(header)) > _header.MAX_CONTAINERS:
        raise ValueError(
            f"state must have at most {_header.MAX_CONTAINERS:,} dicts, lists, '{{' and '[', got {count:,}; "
            "store numbers as numpy arrays"
        )
    length = struct.pack("<Q", len(header))
    data = [array.reshape(-1).view(np.uint8).data for _, array in ordered]
    digest = Digest(length + header)
    try:
        for chunk in data:
            digest.update(chunk)
        # The digest is computed while the rest is written, and replaces the zeros then.
        place = len(length) + _header.DIGEST.start
        last = place, lambda: digest.hexdigest().encode()
        write_atomic(path, [length + header, *data], previous=previous, last=last)
    finally:
        digest.close()


def load(path: StrPath) -> State:
    """Read a file that `save` wrote.

    Nothing in the file is executed, imported or used as a path, and memory use
    is bounded by the file's size.

    Returns
    -------
    dict
        State whose arrays are writable and share no memory.

    Raises
    ------
    StateError
        The file is damaged, of another kind, or from a newer onstage. The
        message names the file and the reason.
    OSError
        The file cannot be opened or read.
    """
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(name).st_mode):  # Opening a pipe would wait for a writer.
        raise StateError(f"state file '{name}' must be a regular file, got another kind")
    with open(name, "rb") as file:
        try:
            return _read(file)
        except CorruptFile as damage:
            raise StateError(f"state file '{name}' cannot be used: {damage}") from None


def _read(file: BufferedReader) -> State:
    size = os.fstat(file.fileno()).st_size
    length = file.read(8)
    if len(length) < 8:
        raise CorruptFile(f"it has {size} bytes, too few for any state; it was cut short")
    (header_size,) = struct.unpack("<Q", length)
    if header_size > _header.MAX_HEADER:
        raise CorruptFile(
            f"its header cannot be {header_size:,} bytes long; it is damaged or not a state file"
        )
    if header_size > size - 8:
        raise CorruptFile(f"its header needs {header_size:,} bytes, {size - 8:,} are there; it was cut short")
    header = file.read(header_size)
    _header.check_beginning(header)
    text, entries = _header.parse_header(header)
    _header.check_layout(entries, size - 8 - header_size)
    digest = Digest(length + _header.with_digest(header, _header.ZEROS))
    try:
        arrays = {entry.name: _read_array(entry, file, digest) for entry in entries}
        if digest.hexdigest().encode() != header[_header.DIGEST]:
            raise CorruptFile("its content does not match its checksum; it is damaged")
    finally:
        digest.close()

    state = decode(_header.parse(text), arrays, 0)
    if arrays:
        raise CorruptFile(f"array {next(iter(arrays))!r} is not part of its state")
    if not isinstance(state, dict):
        raise CorruptFile("its state is not a dict")
    return state


def _empty(entry: _header.Entry) -> Array:
    try:
        return np.empty(entry.shape, entry.dtype)
    except ValueError:  # An empty array may still claim axes beyond the address space.
        raise CorruptFile(f"array {entry.name[:80]!r} has an impossible shape") from None


def _read_array(entry: _header.Entry, file: BufferedReader, digest: Digest) -> Array:
    array = _empty(entry)
    content = array.reshape(-1).view(np.uint8)
    for start in range(0, content.size, _PIECE):
        piece = content[start : start + _PIECE]
        if file.readinto(piece.data) != piece.size:
            raise CorruptFile("it was cut short while it was read")
        digest.update(piece.data)
    if entry.dtype == "|b1" and content.max(initial=0) > 1:
        raise CorruptFile(f"array {entry.name!r} holds bytes that are not booleans")
    return array


def load_newest(paths: Iterable[StrPath]) -> tuple[Path, State] | None:
    """Read the newest state file that is readable.

    Parameters
    ----------
    paths
        Files, oldest first. Missing ones are skipped.

    Returns
    -------
    tuple of Path and dict, or None
        File and state; None if none of the files exists.

    Warns
    -----
    OnstageWarning
        For each newer file that cannot be read.

    Raises
    ------
    StateError
        Files exist, but none can be read.
    """
    refused: list[str] = []
    for path in reversed([Path(path) for path in paths]):
        try:
            state = load(path)
        except FileNotFoundError:
            continue
        except (StateError, OSError) as error:
            refused.append(str(error))
            continue
        for message in refused:
            warn(f"{message}; '{path}' is used instead")
        return path, state
    if refused:
        raise StateError("no state file can be read: " + "; ".join(refused))
    return None
