"""Monitor: a metric that a callback watches, and whether it has improved."""

from __future__ import annotations

import math
import re
import warnings
from typing import TYPE_CHECKING, Any

from onstage.errors import OnstageWarning, did_you_mean
from onstage.validation import validate_choice, validate_float

if TYPE_CHECKING:
    from onstage.callbacks._base import Callback
    from onstage.context import RunContext
    from onstage.logs import Logs
    from onstage.model import Direction

_BETTER_HIGH = (
    *("acc", "accuracy", "auc", "precision", "recall", "f1", "f1_score", "fbeta_score"),
    *("true_positives", "true_negatives", "cosine_similarity", "iou", "io_u", "r2", "r2_score"),
    *("sensitivity_at_specificity", "specificity_at_sensitivity", "correlation"),
    *("precision_at_recall", "recall_at_precision"),
)
_BETTER_LOW = (
    *("loss", "error", "mse", "mae", "rmse", "mape", "msle", "nll", "perplexity"),
    *("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "log_cosh", "logcosh"),
    *("crossentropy", "cross_entropy", "hinge", "huber", "poisson", "kl_divergence"),
    *("false_positives", "false_negatives"),
)

# Whoever acts in one of these may add to the logs of an epoch.
_ADDING_STAGES = ("on_epoch_begin", "on_test_begin", "on_test_end", "on_epoch_end")


class Monitor:
    """A metric that a callback watches, and what counts as better.

    A callback makes one in its constructor and calls `resolve` in
    on_train_begin; `read` and `improved` work from then on.

    Parameters
    ----------
    name
        Of the metric, as in the logs of on_epoch_end: ``"val_loss"``.
    mode
        ``"min"``: lower is better; ``"max"``: higher; ``"auto"``: as the
        metric says, or by its name.
    min_delta
        A value must be better by more than this, >= 0.

    Attributes
    ----------
    direction
        ``"min"`` or ``"max"``; None until that is known.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong kind or out of its range.
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
        """Settle the direction, and refuse a metric that will not come.

        Parameters
        ----------
        callback
            The one that watches; its ``run`` and ``model`` may be None.

        Raises
        ------
        ValueError
            All names that the logs will have are known and this is none of
            them; or whether down or up is better can't be told.
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
                "whether it is better low or high can't be told from its name"
            )

    def _remedy(self, names: tuple[str, ...]) -> str:
        if self.name.startswith("val_") and self.name.removeprefix("val_") in names:
            return "; val_ metrics need validation_data or validation_split"
        return f"{did_you_mean(self.name, names)} (a callback that adds a name says so in adds_logs)"

    def direction_for(self, model: Any) -> Direction | None:
        """Say which way is better: by the mode, the model's metrics, the name."""
        if self.mode != "auto":
            return "max" if self.mode == "max" else "min"
        base = self.name.removeprefix("val_")
        known = model.metric_directions() if hasattr(model, "metric_directions") else {}
        return known.get(base) or _direction_of_name(base)

    def read(self, logs: Logs | None) -> float | None:
        """Give the metric's value in these logs; None where there is none.

        Warns
        -----
        OnstageWarning
            Once in a training, when it is missing and nobody knew that it
            comes in other epochs; or is not a number.
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

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self._who} watches {self.name!r}, {what}", OnstageWarning, stacklevel=4)

    def improved(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far by more than min_delta.

        A NaN never is; any other value is better than None.
        """
        if math.isnan(value):
            return False
        if best is None:
            return True
        if self.direction == "max":
            return value - self.min_delta > best
        return value + self.min_delta < best


def expected_log_names(run: RunContext, asking: object) -> tuple[str, ...] | None:
    """Name what the logs of on_epoch_end will hold, where that is known.

    Parameters
    ----------
    asking
        The callback that wants to know: what it adds itself is left out.

    Returns
    -------
    tuple of str, or None
        None where the run doesn't know its metrics, or a callback that doesn't
        declare ``adds_logs`` might add some.
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


def _direction_of_name(base: str) -> Direction | None:
    base = re.sub(r"_\d+$", "", base).lower()  # Keras numbers metrics of one kind: auc, auc_1.
    ends = [base, *(base[match.end() :] for match in re.finditer("_", base))]
    if any(end in _BETTER_HIGH for end in ends):
        return "max"
    return "min" if any(end in _BETTER_LOW for end in ends) else None


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"
