"""Keras's saving: models in files, and classes that files may name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

from onstage.keras import _names
from onstage.nn import sequential as _sequential

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "register_keras_serializable",
    "save_model",
]

T = TypeVar("T", bound=Callable[..., Any])

_registered: dict[str, Any] = {}


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Return a decorator that lets `load_model` find a class or function by its name.

    Parameters
    ----------
    package
        Accepted, as in Keras; onstage's files hold names without a package.
    name
        Name in files; the object's own by default.
    """

    def register(target: T) -> T:
        own = target.__name__ if name is None else name
        _registered[own] = target
        _registered[f"{package}>{own}"] = target
        return target

    return register


def get_custom_objects() -> dict[str, Any]:
    """Return the registered objects by name; entries may be added and removed."""
    return _registered


def get_registered_name(obj: Any) -> str:
    """Return the name of a registered object; of another one, its own name."""
    return next((name for name, each in _registered.items() if each is obj and ">" in name), obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Return the object registered under a name; None without."""
    return {**(module_objects or {}), **(custom_objects or {}), **_registered}.get(name)


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Register objects by name inside a ``with`` block."""
    before = dict(_registered)
    _registered.update(custom_objects)
    try:
        yield
    finally:
        _registered.clear()
        _registered.update(before)


CustomObjectScope = custom_object_scope


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> _sequential.Sequential:
    """Load a model; see `onstage.load_model`.

    Parameters
    ----------
    custom_objects
        Custom classes and functions by name, beside the registered ones.
    safe_mode
        Accepted, as in Keras; loading never runs code from a file.
    """
    return _sequential.load_model(filepath, {**_registered, **(custom_objects or {})}, compile)


def save_model(model: Any, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Save a model by its ``save``."""
    model.save(filepath, overwrite=overwrite)


if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(
        __name__,
        __all__,
        {
            "load_weights": "call model.load_weights(filepath)",
            "save_weights": "call model.save_weights(filepath)",
        },
    )
