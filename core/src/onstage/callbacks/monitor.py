"""Monitor: a metric that a callback watches, and whether it improved."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from onstage.errors import did_you_mean, warn
from onstage.validation import validate_choice, validate_float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onstage.callbacks._base import Callback
    from onstage.context import RunContext
    from onstage.logs import Logs
    from onstage.model import Direction

_BETTER_HIGH = (
    *("acc", "accuracy", "auc", "precision", "recall", "f1", "f1_score", "fbeta_score"),
    *("true_positives", "true_negatives", "cosine_similarity", "iou", "io_u", "r2", "r2_score"),
    *("sensitivity_at_specificity", "specificity_at_sensitivity", "correlation"),
    *("precision_at_recall", "recall_at_precision"),
    *("aucpr", "average_precision", "map", "ndcg", "pre"),
)
_BETTER_LOW = (
    *("loss", "error", "mse", "mae", "rmse", "mape", "msle", "nll", "perplexity"),
    *("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "log_cosh", "logcosh"),
    *("crossentropy", "cross_entropy", "hinge", "huber", "poisson", "kl_divergence"),
    *("false_positives", "false_negatives"),
    *("logloss", "mlogloss", "merror", "multiclass", "nloglik", "l1", "l2", "rmsle"),
)

# A callback that implements one of these may add to the logs of an epoch.
_ADDING_STAGES = ("on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end")


class Monitor:
    """A metric that a callback watches, and the definition of an improvement.

    A callback makes one in its constructor and calls `resolve` in
    on_train_begin; `read` and `improved` work from then on.

    Parameters
    ----------
    name
        Name of the metric in the logs of on_epoch_end, such as ``"val_loss"``.
    mode
        ``"min"``: lower is better; ``"max"``: higher is better; ``"auto"``: by
        the metric of the model, or by its name.
    min_delta
        A value must be better by more than this, >= 0.

    Attributes
    ----------
    direction
        ``"min"`` or ``"max"``; None before `resolve`.
    op
        ``numpy.less`` or ``numpy.greater``, by the direction; None without.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type or is out of its range.

    Examples
    --------
    >>> from onstage import Callback
    >>> class Best(Callback):
    ...     def __init__(self, monitor="val_loss"):
    ...         self.monitor, self.best = Monitor(monitor), None
    ...     def on_train_begin(self):
    ...         self.monitor.resolve(self)
    ...     def on_epoch_end(self, logs):
    ...         value = self.monitor.read(logs)
    ...         if value is not None and self.monitor.improved(value, self.best):
    ...             self.best = value
    >>> from onstage.testing import replay
    >>> best = Best("accuracy")
    >>> _ = replay(best, [{"accuracy": 0.7}, {"accuracy": 0.9}, {"accuracy": 0.8}])
    >>> best.best
    0.9
    """

    def __init__(self, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"monitor must be the name of a metric, got {name!r}")
        self.name = name
        self.mode = validate_choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = validate_float("min_delta", min_delta, 0)
        self.direction: Direction | None = None
        self._who = "a callback"
        self._comes_later = False
        self._warned = False

    def resolve(self, callback: Callback) -> None:
        """Determine the direction, and raise if the metric will not be logged.

        Parameters
        ----------
        callback
            The callback that watches; its ``run`` and ``model`` may be None.

        Raises
        ------
        ValueError
            If the names in the logs are known and do not include this one, or
            if the direction cannot be determined.
        """
        self._who = type(callback).__name__
        self._warned = False
        names = None if callback.run is None else expected_log_names(callback.run, callback)
        if names is not None and self.name not in names:
            raise ValueError(
                f"monitor must be one of {_listed(names)}, got {self.name!r}{self._remedy(names)}"
            )
        self._comes_later = names is not None
        self.direction = self.direction_for(callback.model)
        if self.direction is None:
            raise ValueError(
                f"mode must be 'min' or 'max' for monitor {self.name!r}: "
                "its name does not tell whether lower or higher is better"
            )

    def _remedy(self, names: tuple[str, ...]) -> str:
        if self.name.startswith("val_") and self.name.removeprefix("val_") in names:
            return "; val_ metrics need validation_data or validation_split"
        return f"{did_you_mean(self.name, names)} (a callback that adds a name must list it in adds_logs)"

    def direction_for(self, model: Any) -> Direction | None:
        """Return the direction: by the mode, else the model's metrics, else the name."""
        if self.mode != "auto":
            return "max" if self.mode == "max" else "min"
        base = self.name.removeprefix("val_")
        return _known_directions(model).get(base) or direction_of_name(base)

    @property
    def op(self) -> np.ufunc | None:
        """The comparison under which a value is better."""
        return None if self.direction is None else np.greater if self.direction == "max" else np.less

    def read(self, logs: Logs | None) -> float | None:
        """Return the value of the metric in the logs; None if there is none.

        Warns
        -----
        OnstageWarning
            Once per training: if the value is missing, unless the metric is
            known to be logged in other epochs, or if it is not a number.
        """
        value = (logs or {}).get(self.name)
        if value is None:
            if not self._comes_later:
                self._warn(f"which is not in the logs; there are {_listed(logs or ())}")
            return None
        try:
            return float(value)
        except (TypeError, ValueError):
            self._warn(f"which is not a number but {type(value).__name__}")
            return None

    def _warn(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            warn(f"{self._who} watches {self.name!r}, {problem}")

    def improved(self, value: float, best: float | None) -> bool:
        """Return whether a value is better than the best by more than min_delta.

        NaN is never better; any other value is better than None.
        """
        if math.isnan(value):
            return False
        if best is None:
            return True
        if self.direction == "max":
            return value - self.min_delta > best
        return value + self.min_delta < best


def expected_log_names(run: RunContext, asking: object) -> tuple[str, ...] | None:
    """Return the names that the logs of on_epoch_end will hold, if known.

    Parameters
    ----------
    asking
        The callback that asks; names that it adds itself are left out.

    Returns
    -------
    tuple of str, or None
        None if the run does not know its metrics, or if a callback that could
        add some does not declare ``adds_logs``.
    """
    if run.metric_names is None:
        return None
    added: list[str] = []
    for _, plugin in run.bus.plugins():
        if plugin is asking:
            continue
        declared = getattr(plugin, "adds_logs", None)
        if declared is None and _can_add_logs(run, plugin):
            return None
        added += declared or ()
    return tuple(dict.fromkeys([*run.metric_names, *added]))


def _can_add_logs(run: RunContext, plugin: object) -> bool:
    return any(impl.plugin is plugin for stage in _ADDING_STAGES for impl in run.bus.implementations(stage))


def _known_directions(model: Any) -> Mapping[str, Direction | None]:
    if not hasattr(model, "metric_directions"):
        return {}
    try:
        known: Mapping[str, Direction | None] = model.metric_directions()
    except (AttributeError, ValueError):  # not built or compiled yet: called by hand, not by a run
        return {}
    return known


def direction_of_name(base: str) -> Direction | None:
    """Return the direction that the name of a metric tells, without ``val_``; None if it tells none."""
    base = re.sub(r"_\d+$", "", base).lower()  # Keras numbers metrics of one kind: auc, auc_1.
    ends = [base, *(base[match.end() :] for match in re.finditer("_", base))]
    if any(end in _BETTER_HIGH for end in ends):
        return "max"
    return "min" if any(end in _BETTER_LOW for end in ends) else None


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"
