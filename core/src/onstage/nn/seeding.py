"""The seed of models that are made without one."""

from __future__ import annotations

import numpy as np

_sequence: np.random.SeedSequence | None = None


def set_seed(seed: int) -> None:
    """Make the models that are made from now on without a seed repeatable."""
    global _sequence
    _sequence = np.random.SeedSequence(seed)


def generator(seed: int | None) -> np.random.Generator:
    """Return the generator of a new model; without a seed, the next one after `set_seed`."""
    if seed is None and _sequence is not None:
        return np.random.default_rng(_sequence.spawn(1)[0])
    return np.random.default_rng(seed)
