"""lr_find: a range test of the learning rate in one call."""

from __future__ import annotations

from typing import Any

from onstage.registry._factory import callback


def lr_find(
    model: Any, x: Any, y: Any = None, *, steps: int = 100, batch_size: int | None = None, **options: Any
) -> Any:
    """Train with a rising learning rate, and return the callback with its losses.

    Weights, optimizer and rate of the model are afterwards what they were.

    Parameters
    ----------
    model
        Compiled; a `Sequential` or a ``TorchModel``.
    x, y, batch_size
        As in ``fit``.
    steps
        Batches at most, >= 5; the test ends earlier if the loss diverges.
    **options
        Further arguments of `onstage.callbacks.LRFinder`: ``min_lr``, ``max_lr``, …

    Returns
    -------
    LRFinder
        Has ``suggestion()``, ``rates``, ``losses``, ``plot()``.

    Raises
    ------
    PluginError
        If the package onstage-lr-finder is not installed.
    """
    finder = callback("lr_finder", steps=steps, **options)
    # An epoch has one batch at least, so that there are enough of them.
    model.fit(x, y, batch_size=batch_size, epochs=steps, verbose=0, callbacks=[finder])
    return finder
