"""Files of a torch model: their names, their kinds, the weights in them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zipfile import BadZipFile, ZipFile

from torch import Tensor

from onstage.errors import StateError
from onstage.model import Array, State
from onstage.state import storage
from onstage.validation import validate_state_path
from onstage_torch.state import check_weights, copy_weights

StrPath = str | PathLike[str]
Value = TypeVar("Value")

_OTHER_FORMATS = {
    ".pt": "torch.save(model.module.state_dict(), filepath)",
    ".pth": "torch.save(model.module.state_dict(), filepath)",
    ".bin": "torch.save(model.module.state_dict(), filepath)",
    ".ckpt": "torch.save(model.module.state_dict(), filepath)",
    ".onnx": "torch.onnx.export(model.module, …)",
    ".npz": "numpy.savez(filepath, *model.get_weights())",
}
"""Suffix of a format that is not ours to what writes it."""


class LoadedWeights(NamedTuple):
    """What ``load_weights(strict=False)`` left; the first two are named as in torch."""

    missing_keys: list[str]
    """Weights of the module that are not in the file."""
    unexpected_keys: list[str]
    """Weights of the file that are not in the module."""
    mismatched_keys: list[str]
    """Weights of both whose shapes differ."""


def check_writable(filepath: StrPath, overwrite: bool) -> None:
    """Raise if a file must not be written under this name.

    Raises
    ------
    ValueError
        If the suffix is that of another format.
    FileExistsError
        If the file exists and overwrite is False.
    """
    path = Path(fspath(filepath))
    writer = _OTHER_FORMATS.get(path.suffix.lower())
    if writer is not None:
        raise ValueError(
            f"filepath must not have the suffix of another format, got '{path.name}': the file is in "
            f"safetensors format; name it '{path.stem}.safetensors', or write {writer}"
        )
    validate_state_path(path)
    if not overwrite and path.exists():
        raise FileExistsError(f"'{path}' exists; pass overwrite=True to replace it")


def read(filepath: StrPath) -> State:
    """Return the state in a file of ``save`` or ``save_weights``.

    Raises
    ------
    StateError
        If it is another file; one of ``torch.save`` is named as such.
    """
    try:
        return storage.load(filepath)
    except StateError:
        if _is_of_torch_save(filepath):
            raise StateError(
                f"'{fspath(filepath)}' is a file of torch.save, which needs pickle; "
                "use model.module.load_state_dict(torch.load(filepath, weights_only=True))"
            ) from None
        raise


def _is_of_torch_save(filepath: StrPath) -> bool:
    with open(filepath, "rb") as file:
        begin = file.read(4)
        if begin[:2] == b"\x80\x02":  # A pickle: torch.save before 1.6.
            return True
        if begin != b"PK\x03\x04":
            return False
        try:
            return any(name.endswith("data.pkl") for name in ZipFile(file).namelist())
        except BadZipFile:
            return False


def plain_names(named: Mapping[str, Value]) -> dict[str, Value]:
    """Return weights by their names without the marks of ``torch.compile``.

    A module wrapped by it, as a whole or in parts, and the module itself then
    have the same names.
    """
    return {name.replace("_orig_mod.", ""): value for name, value in named.items()}


def load_weights(state: State, own: Mapping[str, Tensor], *, strict: bool) -> LoadedWeights:
    """Copy the weights of a file's state into tensors, by name.

    Parameters
    ----------
    state
        Result of `read`.
    strict
        Whether names and shapes must be the same; otherwise what fits is copied.

    Raises
    ------
    StateError
        If they differ, or if not strict and nothing fits. Nothing is changed then.
    """
    saved: Any = state["weights"] if isinstance(state.get("weights"), dict) else state
    weights: dict[str, Array] = plain_names(saved)
    tensors = plain_names(own)
    if strict:
        check_weights(weights, tensors)
        copy_weights(weights, tensors)
        return LoadedWeights([], [], [])
    both = [name for name in tensors if name in weights]
    fitting = [name for name in both if _shape(weights[name]) == tuple(tensors[name].shape)]
    if not fitting:
        raise StateError(
            f"the file must have a weight that fits the module, got none among {len(weights)}; its first is "
            f"{next(iter(weights), None)!r}, the module's {next(iter(tensors), None)!r}"
        )
    copy_weights(weights, {name: tensors[name] for name in fitting})
    return LoadedWeights(
        missing_keys=[name for name in tensors if name not in weights],
        unexpected_keys=[name for name in weights if name not in tensors],
        mismatched_keys=[name for name in both if name not in fitting],
    )


def _shape(value: object) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)
