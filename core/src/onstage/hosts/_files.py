"""What an adapter saves: a state in another trainer's checkpoint, a model in its format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from onstage.errors import StateError
from onstage.model import State

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


def state_to_text(state: State | None) -> str | None:
    """Return a state as JSON in one line, for a model's file that can hold text; None for None.

    Examples
    --------
    >>> state_to_text({"wait": 1, "weights": [np.array(3)]})
    '{"wait":1,"weights":[{"$array":[3],"dtype":"int64","shape":[]}]}'
    """
    if state is None:
        return None
    return json.dumps(map_arrays(state, np.ndarray, _plain), separators=(",", ":"))


def state_from_text(text: str | None) -> State | None:
    """Return the state of a text of `state_to_text`; None for None.

    Raises
    ------
    StateError
        If the text is another one.

    Examples
    --------
    >>> state_from_text(state_to_text({"best": 0.5, "weights": [np.array([1.0, 2.0])]}))
    {'best': 0.5, 'weights': [array([1., 2.])]}
    """
    if text is None:
        return None
    try:
        state = json.loads(text, object_hook=_array_or_dict)
    except (RecursionError, TypeError, ValueError) as error:
        raise StateError(f"the state of the callbacks in the model's file cannot be read: {error}") from error
    if not isinstance(state, dict):
        raise StateError(f"the state of the callbacks must be a dict, got {type(state).__name__}")
    return state


def _plain(array: Any) -> dict[str, Any]:
    return {"$array": array.ravel().tolist(), "dtype": str(array.dtype), "shape": list(array.shape)}


def _array_or_dict(found: dict[str, Any]) -> Any:
    if "$array" not in found:
        return found
    return np.asarray(found["$array"], found.get("dtype")).reshape(found.get("shape"))


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
