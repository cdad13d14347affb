"""Trainer: fit, written on the loops of a Run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from onstage.callbacks._history import History
from onstage.data import _arrays as batching
from onstage.errors import warn
from onstage.run._session import Run
from onstage.trainer._arguments import LoadingOptions, check_loading, validation_epochs
from onstage.trainer._evaluate import Evaluator
from onstage.validation import validate_int, validate_optional_int


class Trainer(Evaluator):
    """Base class of models: adds fit, evaluate and predict to the steps of a backend.

    Names, order and defaults of the arguments are Keras's. See
    `onstage.backend.Backend` for the methods to implement.
    """

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
        **loading: Unpack[LoadingOptions],
    ) -> History:
        """Train for a number of epochs, and fire every stage.

        Parameters
        ----------
        x, y
            Arrays with one row per sample (numpy, memmap, lists of numbers), or
            x alone: an iterable of batches ``(x, y)`` or ``(x, y,
            sample_weight)``, or a `data.Sequence` of them.
        batch_size
            Samples per step, for arrays; the last batch may be smaller. None:
            ``ceil(n / steps_per_epoch)``, or 32 without `steps_per_epoch`. No
            effect on a sequence, which makes its own batches.
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
            Whether to shuffle the rows of arrays, or the batches of a
            sequence, before each epoch.
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
        **loading
            Keras's ``workers``, ``use_multiprocessing`` and
            ``max_queue_size``, which have no effect.

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
        check_loading(Trainer.fit, loading)
        validate_int("epochs", epochs, 0)
        validate_int("initial_epoch", initial_epoch, 0)
        validate_optional_int("steps_per_epoch", steps_per_epoch, 1)
        validate_optional_int("validation_steps", validation_steps, 1)
        due = validation_epochs(validation_freq)
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
        run.params |= {"metrics": list(run.metric_names or ()), "do_validation": validation is not None}
        run.validation_data = validation_data
        self.history, run.seed = run.history, seed
        with run:
            for epoch in run.epochs():
                accumulator = self.new_accumulator()
                for batch in run.batches(train, accumulator):
                    self.train_step(batch, accumulator)
                if validation is not None and due(epoch):
                    validation.restart()
                    self._test(run, validation)
                if train.exhausted and epoch + 1 < epochs:
                    if steps_per_epoch is None:  # otherwise the batches have warned
                        _warn_of_end(epoch + 1 - initial_epoch, epochs - initial_epoch)
                    run.stop("the data has ended")
        return run.history

    def _validation_batches(
        self, data: Any, batch_size: int | None, own_batch_size: int | None, steps: int | None
    ) -> Any:
        name = "validation_data"
        if hasattr(data, "shape"):
            raise TypeError(f"{name} must be (x, y), got an array of shape {tuple(data.shape)}")
        if not isinstance(data, (tuple, list)):
            return self.make_batches(data, batch_size=own_batch_size, steps=steps, name=name)
        if len(data) not in (2, 3):
            raise ValueError(f"{name} must be (x, y) or (x, y, sample_weight), got {len(data)} items")
        return self.make_batches(*data, batch_size=own_batch_size or batch_size, steps=steps, name=name)

    def _log_names(self, validated: bool) -> list[str]:
        names = list(self.metric_directions())
        return names + [f"val_{name}" for name in names] if validated else names


def _warn_of_end(done: int, epochs: int) -> None:
    warn(
        f"x ran out of data after {done} of {epochs} epochs; the training ends here. A generator yields its "
        "batches once: pass an object that can be iterated again, or set steps_per_epoch"
    )
