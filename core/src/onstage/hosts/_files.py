"""What an adapter saves: a state in another trainer's checkpoint, a model in its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

StrPath = str | os.PathLike[str]


def map_arrays(state: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Return a state with a function applied to each array in it.

    Parameters
    ----------
    state
        Nested dicts and lists; see `onstage.model.State`.
    kind
        Class of the arrays: ``numpy.ndarray`` to save a state, that of the
        trainer's library to load it.

    Examples
    --------
    >>> import numpy as np
    >>> map_arrays({"best": 0.5, "weights": [np.ones(2)]}, np.ndarray, np.ndarray.tolist)
    {'best': 0.5, 'weights': [[1.0, 1.0]]}
    """
    if isinstance(state, dict):
        return {key: map_arrays(value, kind, function) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [map_arrays(value, kind, function) for value in state]
    return function(state) if isinstance(state, kind) else state


def file_writer(write: Callable[[str], object]) -> Callable[..., None]:
    """Return the ``save`` of a model for a function that writes a file.

    The function gets the path of a temporary file beside the target, with the
    target's suffix. After it returns, the file replaces the target.

    Examples
    --------
    >>> save = file_writer(lambda path: Path(path).write_text("a model"))
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.json")
    ...     os.listdir(folder)
    ['model.json']
    """

    def save(filepath: StrPath, overwrite: bool = True) -> None:
        path = Path(filepath)
        if not overwrite and path.exists():
            raise FileExistsError(f"filepath {str(filepath)!r} exists; pass overwrite=True to replace it")
        temporary = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            write(str(temporary))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    return save
