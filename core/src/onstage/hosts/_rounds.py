"""RoundCallback: the base of adapters for gradient boosting, where a round is an epoch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, ClassVar

import numpy as np

from onstage.callbacks.monitor import direction_of_name
from onstage.hosts._callback import HostCallback
from onstage.hosts._files import state_from_text
from onstage.hosts._names import log_name
from onstage.hosts._view import HostView
from onstage.logs import Logs
from onstage.model import Array
from onstage.model_view import ModelView
from onstage.state import storage

_TRAINING_SETS = ("train", "training", "learn")
_PREFIX = re.compile(r"(?:val|valid|validation|eval|test)_(?=.)", re.IGNORECASE)


class RoundCallback(HostCallback):
    """Runs callbacks in a library that adds trees round by round.

    A round is an epoch without batches: its logs are the metrics that the library
    evaluates. The weights that callbacks see are one number, the rounds of the
    model; to set an earlier one drops the rounds after it.
    """

    lacks: ClassVar[Mapping[str, str]] = {
        "batches": "a round has none: act in on_epoch_end",
        "save_weights": "its files hold the whole model: leave save_weights_only out",
        "snapshot": "save without save_in_background",
        "finalize_weights": "trees have no average",
        "set_gradient_callback": "pass an objective of your own",
    }

    def start_rounds(
        self, view: HostView, *, first: int = 0, rounds: int | None = None, state: str | None = None
    ) -> None:
        """Begin a training.

        Parameters
        ----------
        view
            The model.
        first
            Rounds that the model has, from an earlier training.
        rounds
            Rounds to train, None if unknown.
        state
            Text of `state_to_text` from the earlier training. It is left out if the
            model has had other rounds since, such as fewer by restore_best_weights.
        """
        saved = state_from_text(state)
        self.start(
            view,
            epochs=None if rounds is None else first + rounds,
            initial_epoch=first,
            state=saved if saved is not None and saved.get("epoch") == first else None,
        )

    def end_round(self, results: Mapping[str, Mapping[str, float]]) -> bool:
        """End a round: its validation, and its epoch.

        Parameters
        ----------
        results
            Data set to metric to value; see `split_datasets`.

        Returns
        -------
        bool
            Whether to continue.
        """
        train, validation = split_datasets(results)
        if validation:
            self.begin("test")
            self.end("test", validation)
        return self.end("epoch", train)


def split_datasets(results: Mapping[str, Mapping[str, float]]) -> tuple[Logs, Logs]:
    """Return the metrics of the training set, and those of the validation sets without ``val_``.

    The sets ``train``, ``training`` and ``learn`` are the training. The last of
    the others is the validation; the metrics of further ones keep the name, or
    the number, of their set. ``loss`` is the first metric that is better when
    lower, and is there under its own name too.

    Examples
    --------
    >>> split_datasets({"train": {"logloss": 0.3}, "eval": {"auc": 0.9, "logloss": 0.4}})
    ({'logloss': 0.3, 'loss': 0.3}, {'auc': 0.9, 'logloss': 0.4, 'loss': 0.4})
    >>> split_datasets({"validation_0": {"auc": 0.8}, "validation_1": {"auc": 0.9}})
    ({}, {'0_auc': 0.8, 'auc': 0.9})
    """
    others = [name for name in results if name.lower() not in _TRAINING_SETS]
    train: Logs = {}
    validation: Logs = {}
    for dataset, metrics in results.items():
        logs = {log_name(name).removeprefix("val_"): float(value) for name, value in metrics.items()}
        if dataset in others[:-1]:
            own = re.sub(r"\W+", "_", _PREFIX.sub("", dataset))
            validation |= {f"{own}_{name}": value for name, value in logs.items()}
            continue
        losses = [value for name, value in logs.items() if direction_of_name(name) == "min"]
        (validation if dataset in others else train).update(logs | ({"loss": losses[0]} if losses else {}))
    return train, validation


def rounds_view(count: Callable[[], int], keep: Callable[[int], object], **functions: Any) -> ModelView:
    """Return a view whose weights are the number of rounds.

    Parameters
    ----------
    count
        Returns the rounds of the model.
    keep
        Receives the number of rounds to keep, fewer than there are.
    functions
        Further arguments of `onstage.ModelView`.

    Examples
    --------
    >>> trees = ["first", "second", "third"]
    >>> view = rounds_view(lambda: len(trees), lambda rounds: trees.__delitem__(slice(rounds, None)))
    >>> view.set_weights([np.array(2)])
    >>> view.get_weights(), trees
    ([array(2)], ['first', 'second'])
    """

    def set_weights(weights: Sequence[Array]) -> None:
        wanted = weights[0].item() if len(weights) == 1 and np.size(weights[0]) == 1 else weights
        if not isinstance(wanted, int) or not 0 < wanted <= count():
            raise ValueError(
                f"weights must be a number of rounds from 1 to {count()}, got {wanted!r}; "
                "pass a result of get_weights"
            )
        if wanted < count():
            keep(wanted)

    return ModelView(get_weights=lambda: [np.array(count())], set_weights=set_weights, **functions)


def suffix_checker(host: str, suffixes: Sequence[str]) -> Callable[..., Callable[..., None]]:
    """Return the ``snapshot_writer`` of a model: it raises for the suffix of another format.

    Raises
    ------
    ValueError
        By the result, if a path has none of the suffixes.
    """

    def snapshot_writer(filepath: str | PathLike[str], weights_only: bool = False) -> Callable[..., None]:
        if not fspath(filepath).endswith(tuple(suffixes)):
            raise ValueError(
                f"filepath must end in {' or '.join(suffixes)} for {host}, got {fspath(filepath)!r}"
            )
        return storage.save  # for a snapshot, which no view of rounds has

    return snapshot_writer
