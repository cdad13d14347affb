"""Trainer: fit, evaluate and predict, written on the loops of a Run.

Names, order and defaults of the arguments are Keras's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from onstage.backend import Backend
from onstage.callbacks._history import History
from onstage.data import _arrays as batching
from onstage.run._session import Run
from onstage.validation import validate_int, validate_optional_int


class Trainer(Backend):
    """Base class of models: adds fit, evaluate and predict to the steps of a backend.

    See `onstage.backend.Backend` for the methods to implement.
    """

    # -- training

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        seed: int | None = None,
        profile: bool | None = None,
    ) -> History:
        """Train for a number of epochs, and fire every stage.

        Parameters
        ----------
        x, y
            Arrays with one row per sample (numpy, memmap, lists of numbers), or
            x alone: an iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``.
        batch_size
            Samples per step, for arrays; the last batch may be smaller. None:
            ``ceil(n / steps_per_epoch)``, or 32 without `steps_per_epoch`.
        epochs, initial_epoch
            Index after the last epoch, and the first epoch:
            ``initial_epoch=2, epochs=5`` runs three epochs.
        verbose
            0: silent; 1: a progress bar; 2: a line per epoch; "auto": a bar in
            a terminal, lines elsewhere.
        callbacks
            Instances, names of installed callbacks, ``{"name": {option: value}}``.
        validation_split
            Fraction of the arrays, in (0, 1), taken from their end for validation.
        validation_data
            ``(x, y)``, ``(x, y, sample_weight)`` or an iterable of batches;
            overrides validation_split.
        shuffle
            Whether to shuffle the rows of arrays before each epoch.
        class_weight
            Class to weight; 1 for a class that is missing.
        sample_weight
            Shape ``(n,)``.
        steps_per_epoch, validation_steps
            Batches per epoch and per validation; required for endless iterables.
            Without a batch size, arrays are divided into that many batches.
            With one, each epoch continues where the previous one stopped;
            each validation starts at the first batch.
        validation_batch_size
            None: `batch_size`; if that is None too, computed from
            `validation_steps` in the same way.
        validation_freq
            Validate every that many epochs, or after the epochs in a list,
            counted from 1.
        seed
            Makes weights that are not built yet, shuffling and dropout
            repeatable to the bit. None continues the model's random state.
        profile
            Whether to print the time that each callback took.

        Returns
        -------
        History
            The record of the training; also ``self.history``.

        Raises
        ------
        ValueError, TypeError
            If an argument or the data does not fit; raised before any stage fires.

        Examples
        --------
        >>> from onstage import Sequential, layers, optimizers
        >>> model = Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
        >>> model.compile(optimizers.SGD(0.25), "mse")
        >>> model.fit([[1.0], [1.0]], [[2.0], [2.0]], epochs=3, verbose=0).history
        {'loss': [4.0, 1.0, 0.25]}
        """
        validate_int("epochs", epochs, 0)
        validate_int("initial_epoch", initial_epoch, 0)
        validate_optional_int("steps_per_epoch", steps_per_epoch, 1)
        validate_optional_int("validation_steps", validation_steps, 1)
        due = _validation_epochs(validation_freq)
        rng = None if seed is None else self.reseed(validate_int("seed", seed, 0))
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = batching.split_validation(
                x, y, sample_weight, validation_split
            )
        train = self.make_batches(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            rng=rng,
            steps=steps_per_epoch,
            class_weight=class_weight,
        )
        self.prepare(train, mode="train")
        validation = None
        if validation_data is not None:
            validation = self._validation_batches(
                validation_data, batch_size, validation_batch_size, validation_steps
            )
            self.prepare(validation, mode="validation")
        run = Run(
            self,
            callbacks,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps=train.steps,
            batch_size=train.batch_size,
            samples=train.samples,
            verbose=verbose,
            metric_names=self._log_names(validation is not None),
            profile=profile,
        )
        self.history = run.history
        with run:
            for epoch in run.epochs():
                accumulator = self.new_accumulator()
                for batch in run.batches(train, accumulator):
                    self.train_step(batch, accumulator)
                if validation is not None and due(epoch):
                    validation.restart()
                    self._test(run, validation)
                if train.exhausted and epoch + 1 < epochs:
                    run.stop("the data has ended")
        return run.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Compute loss and metrics on data, and fire the test stages.

        Parameters
        ----------
        x, y, sample_weight, callbacks, verbose
            As in `fit`.
        batch_size
            Samples per batch, for arrays. None: ``ceil(n / steps)``, or 32
            without `steps`.
        steps
            Number of batches; None for all. Without a batch size, arrays are
            divided into that many batches, so that every row counts.
        return_dict
            Whether to return a dict.

        Returns
        -------
        dict, list or float
            A dict with return_dict; else a list in the order of
            `metrics_names`, or the loss if there are no metrics.

        Examples
        --------
        >>> from onstage import Sequential, layers
        >>> model = Sequential([layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mse", metrics=["mae"])
        >>> model.evaluate([[1.0], [1.0]], [[1.0], [3.0]], verbose=0, return_dict=True)
        {'loss': 5.0, 'mae': 2.0}
        """
        validate_optional_int("steps", steps, 1)
        batches = self.make_batches(x, y, sample_weight, batch_size=batch_size, steps=steps)
        self.prepare(batches, mode="test")
        self.stop_evaluating = False
        with self._run_over(batches, callbacks, verbose) as run:
            self._test(run, batches)
        if return_dict:
            return run.test_logs
        values: list[float] = list(run.test_logs.values())
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Compute the outputs for data, and fire the predict stages.

        Parameters
        ----------
        x, callbacks, verbose
            As in `fit`.
        batch_size, steps
            As in `evaluate`.

        Returns
        -------
        array
            Shape ``(n, …)``.

        Examples
        --------
        >>> from onstage import Sequential, layers
        >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict([[1.0, 2.0], [3.0, 4.0]], verbose=0).tolist()
        [[3.0], [7.0]]
        """
        validate_optional_int("steps", steps, 1)
        batches = self.make_batches(x, batch_size=batch_size, steps=steps)
        self.prepare(batches, mode="predict")
        self.stop_predicting = False
        outputs: list[Any] = []
        with self._run_over(batches, callbacks, verbose) as run:
            for batch in run.predict_batches(batches):
                outputs.append(self.predict_step(batch))
                run.log(outputs=outputs[-1])
        return self.join_outputs(outputs)

    # -- parts of the above

    def _test(self, run: Run, batches: Any) -> None:
        accumulator = self.new_accumulator()
        for batch in run.test_batches(batches, accumulator):
            self.test_step(batch, accumulator)

    def _run_over(self, batches: Any, callbacks: Any, verbose: int | str) -> Run:
        return Run(
            self,
            callbacks,
            steps=batches.steps,
            batch_size=batches.batch_size,
            samples=batches.samples,
            verbose=verbose,
        )

    def _validation_batches(
        self, data: Any, batch_size: int | None, own_batch_size: int | None, steps: int | None
    ) -> Any:
        name = "validation_data"
        if not isinstance(data, (tuple, list)):
            return self.make_batches(data, batch_size=own_batch_size, steps=steps, name=name)
        if len(data) not in (2, 3):
            raise ValueError(f"{name} must be (x, y) or (x, y, sample_weight), got {len(data)} items")
        return self.make_batches(*data, batch_size=own_batch_size or batch_size, steps=steps, name=name)

    def _log_names(self, validated: bool) -> list[str]:
        names = list(self.metric_directions())
        return names + [f"val_{name}" for name in names] if validated else names


def _validation_epochs(validation_freq: Any) -> Callable[[int], bool]:
    """Return the function that tells if an epoch, from 0, ends with a validation."""
    if isinstance(validation_freq, (int, np.integer)) and not isinstance(validation_freq, bool):
        validate_int("validation_freq", validation_freq, 1)
        return lambda epoch: (epoch + 1) % int(validation_freq) == 0
    if isinstance(validation_freq, Iterable) and not isinstance(validation_freq, str):
        epochs = {int(epoch) for epoch in validation_freq}
        return lambda epoch: epoch + 1 in epochs
    raise TypeError(f"validation_freq must be an integer or a list of epochs from 1, got {validation_freq!r}")
