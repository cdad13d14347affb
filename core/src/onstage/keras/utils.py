"""Keras's utilities for data, progress, saving and repeatable runs."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from onstage.data import PyDataset as PyDataset
from onstage.data import Sequence as Sequence
from onstage.keras import _names
from onstage.keras._progbar import Progbar as Progbar
from onstage.keras.saving import CustomObjectScope as CustomObjectScope
from onstage.keras.saving import custom_object_scope as custom_object_scope
from onstage.keras.saving import get_custom_objects as get_custom_objects
from onstage.keras.saving import get_registered_name as get_registered_name
from onstage.keras.saving import get_registered_object as get_registered_object
from onstage.keras.saving import register_keras_serializable as register_keras_serializable
from onstage.model import Array
from onstage.nn.seeding import set_seed
from onstage.validation import validate_int

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]


def set_random_seed(seed: int) -> None:
    """Seed Python, numpy, models made from now on without a seed, and torch if it is imported.

    Examples
    --------
    >>> from onstage import keras
    >>> weights = []
    >>> for _ in range(2):
    ...     keras.utils.set_random_seed(7)
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     weights.append(model.get_weights()[0])
    >>> bool((weights[0] == weights[1]).all())
    True
    """
    validate_int("seed", seed, 0)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # scripts draw from numpy's global generator
    set_seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Return classes as one-hot rows.

    Parameters
    ----------
    x
        Integers >= 0, of any shape; a last axis of length 1 is dropped.
    num_classes
        Length of the new last axis; the largest class + 1 by default.

    Examples
    --------
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    classes = np.asarray(x).astype("int64")
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    if classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError(f"classes must be in [0, {count}), got {classes.min()} to {classes.max()}")
    one_hot: Array = np.eye(count, dtype=np.float32)[classes]
    return one_hot


def normalize(x: Any, axis: int = -1, order: float = 2) -> Array:
    """Divide by the norm along an axis; a norm of 0 counts as 1."""
    values = np.atleast_1d(np.asarray(x, np.float64))
    norms = np.linalg.norm(values, order, axis, keepdims=True)
    normalized: Array = values / np.where(norms == 0, 1, norms)
    return normalized


if not TYPE_CHECKING:  # a type checker would accept every name
    __getattr__ = _names.refuse_missing(
        __name__,
        __all__,
        {
            "get_file": _names.NO_DOWNLOADS,
            "plot_model": "model.summary() prints the layers",
            "model_to_dot": "model.summary() prints the layers",
        },
    )
