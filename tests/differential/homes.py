"""The two libraries under one set of names, both in float64."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from onstage import Sequential, layers, losses, metrics, optimizers, regularizers, schedules

os.environ.setdefault("KERAS_BACKEND", "torch")


def onstage() -> SimpleNamespace:
    """Return this library's modules."""
    return SimpleNamespace(
        layers=layers,
        losses=losses,
        metrics=metrics,
        optimizers=optimizers,
        regularizers=regularizers,
        schedules=schedules,
        sequential=lambda made: Sequential(made, dtype="float64"),
        count_names_anew=lambda: None,
    )


def keras() -> SimpleNamespace:
    """Return Keras's modules."""
    import keras as library

    return SimpleNamespace(
        layers=library.layers,
        losses=library.losses,
        metrics=library.metrics,
        optimizers=library.optimizers,
        regularizers=library.regularizers,
        schedules=library.optimizers.schedules,
        sequential=library.Sequential,
        # Keras numbers metrics in the process, so that a second model's are auc_2 and auc_3.
        count_names_anew=library.backend.clear_session,
    )


@contextmanager
def float64() -> Iterator[None]:
    """Make Keras compute in float64 within the block.

    Its table of result types makes every product of matrices float32, except on
    TensorFlow, and the policy of the first model of the process stays: with
    either, nothing could be compared closer than 1e-6.
    """
    import keras as library
    from keras.src.backend.common import dtypes

    before, table = library.config.floatx(), dict(dtypes.BIT64_TO_BIT32_DTYPE)
    policy = library.config.dtype_policy()
    library.config.set_floatx("float64")
    library.config.set_dtype_policy("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    try:
        yield
    finally:
        library.config.set_floatx(before)
        library.config.set_dtype_policy(policy)
        dtypes.BIT64_TO_BIT32_DTYPE.update(table)
