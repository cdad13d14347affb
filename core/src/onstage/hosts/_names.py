"""The names of onstage for the metrics of another trainer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from onstage.logs import Logs

_TRAINING = re.compile(r"(?:train|training|tr)[_\-/. ]+(?=.)", re.IGNORECASE)
_VALIDATION = re.compile(
    r"(?:val|valid|validation|eval|evaluation|dev|test)(?:[_\-/. ]*\d+)?[_\-/. ]+(?=.)", re.IGNORECASE
)
_SYNONYMS = {"acc": "accuracy", "lr": "learning_rate"}


def log_name(name: str, *, validation: bool = False) -> str:
    """Return the name in onstage's logs of a metric of another trainer.

    Prefixes of the training are dropped and those of a validation become
    ``val_``. ``acc`` becomes ``accuracy`` and ``lr`` becomes ``learning_rate``.
    Characters that a file name's field may not have become ``_``.

    Parameters
    ----------
    name
        Such as ``"train/acc"`` or ``"eval_loss"``.
    validation
        Whether the metric is of a validation, whatever its name.

    Examples
    --------
    >>> [log_name(name) for name in ("train_loss", "valid_loss", "eval/acc", "validation_0-rmse")]
    ['loss', 'val_loss', 'val_accuracy', 'val_rmse']
    >>> log_name("f1@0.5", validation=True)
    'val_f1_0_5'
    """
    own = name
    if found := _VALIDATION.match(name):
        own, validation = name[found.end() :], True
    elif found := _TRAINING.match(name):
        own = name[found.end() :]
    own = re.sub(r"\W+", "_", own).strip("_")
    own = _SYNONYMS.get(own.lower(), own)
    return f"val_{own}" if validation else own


def split_metrics(metrics: Mapping[str, Any], validation: Iterable[str] = ()) -> tuple[Logs, Logs]:
    """Return the metrics of the training, and those of the validation without ``val_``.

    If two metrics have the same name in onstage, the one that needs no change counts.

    Parameters
    ----------
    metrics
        Metrics under the names of the other trainer.
    validation
        Names that are of a validation, although they have no prefix.

    Examples
    --------
    >>> split_metrics({"train_loss": 0.5, "eval_loss": 0.7, "acc": 0.9}, validation=["acc"])
    ({'loss': 0.5}, {'loss': 0.7, 'accuracy': 0.9})
    """
    of_validation = set(validation)
    train: Logs = {}
    test: Logs = {}
    for name, value in metrics.items():
        known = log_name(name, validation=name in of_validation)
        logs, own = (test, known.removeprefix("val_")) if known.startswith("val_") else (train, known)
        if own not in logs or known == name:
            logs[own] = value
    return train, test
