"""PyDataset: a base class for data that makes its batches by number."""

from __future__ import annotations

from typing import Any

from onstage.validation import validate_bool, validate_int


class PyDataset:
    """Data that make each batch by its number; Keras's `PyDataset`, in Keras 2 `Sequence`.

    Subclass it and define ``__len__``, the number of batches in an epoch, and
    ``__getitem__``, which returns ``(x, y)`` or ``(x, y, sample_weight)`` of
    one. ``fit`` draws the order of the batches if ``shuffle`` is True, and a
    training resumed in the middle of an epoch asks for the remaining ones
    only. The base class is a convenience: any object with both methods will
    do.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Have no effect: a batch is made when it is needed.

    Examples
    --------
    >>> import numpy as np
    >>> from onstage import Sequential, layers
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0).reshape(4, 1) + index
    ...         return x, x**2
    >>> model = Sequential([layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> model.fit(Squares(), epochs=2, verbose=0).epoch
    [0, 1]
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = validate_int("workers", workers, 0)
        self.use_multiprocessing = validate_bool("use_multiprocessing", use_multiprocessing)
        self.max_queue_size = validate_int("max_queue_size", max_queue_size, 0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__(self)")

    def __getitem__(self, index: int) -> Any:
        """Return the batch of a number, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(self, index)")

    def on_epoch_begin(self) -> None:
        """Act before the first batch of each pass over the data."""

    def on_epoch_end(self) -> None:
        """Act after the last batch of each pass, for example to shuffle the samples.

        A resumed training calls it on the new object as often as it was called
        before the interruption: what it draws must come from a generator with a
        fixed seed to be the same again.
        """


Sequence = PyDataset
"""The name of `PyDataset` in Keras 2."""
