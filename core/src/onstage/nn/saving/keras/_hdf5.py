"""Groups of arrays in HDF5, and nothing else that HDF5 offers.

Keras keeps the weights of each layer in a group, as datasets "0", "1", …. A
file can also hold links to other files and objects, arrays that are computed or
compressed, and arrays whose bytes are elsewhere; these are refused.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from onstage.errors import StateError
from onstage.model import Array

MAGIC = b"\x89HDF\r\n\x1a\n"

Reader: TypeAlias = Callable[[str], list[Array]]
"""Function from the path of a group to its arrays; none if there is no such group."""


class Group(NamedTuple):
    """The arrays of a group, and the name that it has as an attribute."""

    path: str
    name: str
    arrays: list[Array]


def require_h5py() -> Any:
    """Return the module h5py; raise ImportError with the remedy."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("files of Keras need h5py; pip install 'onstage[keras]'") from error
    return h5py


def pack(groups: Iterable[Group]) -> memoryview:
    """Return the bytes of an HDF5 file with these groups."""
    content = io.BytesIO()
    with require_h5py().File(content, "w") as file:
        for path, name, arrays in groups:
            group = file.create_group(path)
            group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group.create_dataset(str(number), data=array)
    return content.getbuffer()


@contextmanager
def unpack(content: bytes | memoryview) -> Iterator[Reader]:
    """Open the bytes of an HDF5 file for reading.

    Raises
    ------
    StateError
        If the content is damaged or uses other features, or the arrays read
        would need more memory than the content.
    """
    h5py = require_h5py()
    left = len(content)

    def read(path: str) -> list[Array]:
        nonlocal left
        with _damage_is_a_state_error():
            group = file
            for name in path.split("/"):
                if name not in group:
                    return []
                group = _follow(h5py, group, name, h5py.Group)
            arrays = []
            for number in range(len(group)):
                dataset = _follow(h5py, group, str(number), h5py.Dataset)
                left -= _checked_size(dataset)
                if left < 0:
                    raise StateError("its arrays are larger than the file")
                arrays.append(np.asarray(dataset[()]))
            return arrays

    with _damage_is_a_state_error():
        file = h5py.File(io.BytesIO(content), "r")
    with file:
        yield read


@contextmanager
def _damage_is_a_state_error() -> Iterator[None]:
    try:
        yield
    except StateError:
        raise
    # Which error h5py raises for damaged content depends on where the damage is.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise StateError(f"its HDF5 content is damaged: {error}") from error


def _follow(h5py: Any, group: Any, name: str, kind: type) -> Any:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise StateError(f"{name!r} in {group.name!r} must be part of the file, got a link or nothing")
    item = group[name]
    if not isinstance(item, kind):
        raise StateError(f"{item.name!r} must be a {kind.__name__.lower()}, got a {type(item).__name__}")
    return item


def _checked_size(dataset: Any) -> int:
    """Return the bytes of a dataset; raise StateError unless they are in the file as they are."""
    properties = dataset.id.get_create_plist()
    plain = dataset.dtype.kind in "fiu" and dataset.dtype.itemsize <= 8 and dataset.dtype.names is None
    stored = properties.get_nfilters() == 0 and properties.get_external_count() == 0
    if not plain or not stored or dataset.is_virtual or dataset.shape is None:
        raise StateError(f"{dataset.name!r} must be an uncompressed array of numbers within the file")
    size = int(dataset.size) * int(dataset.dtype.itemsize)
    if dataset.id.get_storage_size() < size:
        raise StateError(f"{dataset.name!r} needs {size:,} bytes, but the file holds fewer of it")
    return size
