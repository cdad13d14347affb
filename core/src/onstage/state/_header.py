"""The header of a state file: write it, and check every claim of one before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from onstage.model import Array
from onstage.state._tree import DTYPES, CorruptFile, code_of

FORMAT = "onstage-state"
SCHEMA = 1

MAX_HEADER = 100_000_000
"""Bytes; the limit of safetensors readers."""
MAX_TENSORS = 100_000
MAX_CONTAINERS = 1_000_000
"""Dicts and lists: in memory, an empty one takes 30 times its bytes in the file."""
MAX_RANK = 32

BEFORE_DIGEST = b'{"__metadata__":{"sha256":"'
DIGEST = slice(len(BEFORE_DIGEST), len(BEFORE_DIGEST) + 64)
ZEROS = "0" * 64


def make_header(text: str, arrays: list[tuple[str, Array]]) -> bytes:
    """Return the header with zeros as digest, padded to a multiple of eight bytes."""
    header: dict[str, Any] = {
        "__metadata__": {"sha256": ZEROS, "format": FORMAT, "schema": str(SCHEMA), "state": text}
    }
    begin = 0
    for name, array in arrays:
        end = begin + array.nbytes
        code = code_of(array.dtype)
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return encoded + b" " * (-len(encoded) % 8)


def count_containers(header: bytes) -> int:
    """Return the brackets in a header: not less than its dicts and lists."""
    return header.count(b"{") + header.count(b"[")


def with_digest(header: bytes, digest: str) -> bytes:
    """Return a header with another digest."""
    return header[: DIGEST.start] + digest.encode() + header[DIGEST.stop :]


def check_beginning(header: bytes) -> None:
    """Raise unless it begins as `make_header` writes it, with an acceptable number of dicts and lists."""
    if not header.startswith(BEFORE_DIGEST) or len(header) < DIGEST.stop:
        raise CorruptFile("its header does not begin like one of onstage; it is damaged or another program's")
    if count_containers(header) > MAX_CONTAINERS:
        raise CorruptFile(f"its header has more than {MAX_CONTAINERS:,} dicts and lists")


class Entry(NamedTuple):
    """An array in a file: its name, type and shape, and where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def parse(text: str | bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise CorruptFile("its JSON is invalid; it is damaged") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def parse_header(header: bytes) -> tuple[str, list[Entry]]:
    table = parse(header)
    metadata = table.pop("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CorruptFile("it is not marked as an onstage state; it is damaged or another program's")
    if metadata.get("schema") != str(SCHEMA):
        raise CorruptFile(
            f"its schema is {str(metadata.get('schema'))[:20]!r}, this onstage reads {str(SCHEMA)!r}; "
            "it is damaged or from another version of onstage"
        )
    text = metadata.get("state")
    if not isinstance(text, str):
        raise CorruptFile("it holds no state")
    if len(table) > MAX_TENSORS:
        raise CorruptFile(f"it lists {len(table):,} arrays, more than {MAX_TENSORS:,}")
    return text, [_parse_entry(name, entry) for name, entry in table.items()]


def _parse_entry(name: str, entry: Any) -> Entry:
    match entry:
        case {"dtype": str(code), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if (
            len(entry) == 3
            and code in DTYPES
            and len(shape) <= MAX_RANK
            and all(type(size) is int and 0 <= size < 2**63 for size in shape)
        ):
            return Entry(name, DTYPES[code], tuple(shape), begin, end)
    raise CorruptFile(f"array {name[:80]!r} has an invalid description")


def check_layout(entries: Iterable[Entry], available: int) -> None:
    """Raise unless the arrays fill the rest of the file, in order, without gaps."""
    position = 0
    for entry in entries:
        size = math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
        if entry.begin != position or entry.end - entry.begin != size:
            raise CorruptFile(f"array {entry.name[:80]!r} is not where its shape requires")
        position = entry.end
    if position != available:
        raise CorruptFile(
            f"its arrays need {position:,} bytes, {available:,} are there; it was cut short or added to"
        )
