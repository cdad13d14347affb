"""Metric: a value about predictions, accumulated batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from onstage.model import Array, Direction
from onstage.nn import target_shapes
from onstage.nn.serialization import snake_case


class Metric:
    """A value about predictions, accumulated batch by batch.

    The sums are kept in a state outside the metric, so that a validation in
    mid-epoch does not disturb those of the training. States are additive: the
    state of two batches is the sum of their states. To write a metric, subclass
    this and define `state_shape`, `update` and `aggregate`.

    Parameters
    ----------
    name
        Name in the logs; the class name in snake case by default.

    Attributes
    ----------
    direction : {"min", "max"} or None
        Whether lower or higher is better; None if unknown.
    counts_objects : bool
        Whether a model numbers the instances without an explicit name, as
        Keras does: ``recall``, ``recall_1``. Otherwise the class name is used
        like an explicit name: see `metric_names.log_names`.

    Examples
    --------
    >>> import numpy as np
    >>> class Largest(Metric):
    ...     def state_shape(self):
    ...         return (2,)
    ...     def update(self, state, y_true, y_pred, sample_weight=None):
    ...         state += [np.abs(y_pred - y_true).max(axis=-1).sum(), len(y_pred)]
    ...     def aggregate(self, state):
    ...         return state[0] / state[1]
    >>> metric = Largest()
    >>> metric.update_state([[0.0, 0.0]], [[1.0, 3.0]])
    >>> float(metric.result())
    3.0
    """

    direction: Direction | None = None
    counts_objects: ClassVar[bool] = True
    joins_batches: ClassVar[bool] = False
    """Whether several batches may be added as one; not inherited, as a subclass may look at whole batches."""

    def __init__(self, name: str | None = None) -> None:
        self._named = name is not None
        self.name = snake_case(type(self).__name__) if name is None else name
        self._own: Array | None = None

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state."""
        raise NotImplementedError(f"{type(self).__name__} must define state_shape(self)")

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place.

        Parameters
        ----------
        state
            State from `new_state`.
        y_true, y_pred
            Targets and outputs of ``n`` samples.
        sample_weight
            Shape ``(n,)``; None for weights of 1.

        Raises
        ------
        ValueError
            If the shapes do not fit the metric.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update(self, state, y_true, y_pred, ...)"
        )

    def aggregate(self, state: Array) -> float:
        """Return the value of the metric for a state."""
        raise NotImplementedError(f"{type(self).__name__} must define aggregate(self, state)")

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Set the shape of the outputs, batch axis first; called before `new_state`."""

    def new_state(self) -> Array:
        """Return an empty state of float64."""
        return np.zeros(self.state_shape())

    def result(self, state: Array | None = None) -> float:
        """Return the value for a state, by default the metric's own."""
        return self.aggregate(self._own_state() if state is None else state)

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to the metric's own state, for use outside a model."""
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        if self._own is None:
            self.build(y_pred.shape)
        self.update(self._own_state(), y_true, y_pred, weight)

    def reset_state(self) -> None:
        """Clear the metric's own state."""
        self._own = None

    @property
    def numbered(self) -> bool:
        """Whether the name was derived from the class, so that a model numbers it."""
        return self.counts_objects and not self._named and self.name == snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": None if self.numbered else self.name}

    def _own_state(self) -> Array:
        if self._own is None:
            self._own = self.new_state()
        return self._own


class MeanMetric(Metric):
    """The weighted mean of one value per sample.

    The state is ``[sum, weight]``. To write one, subclass it and define `values`.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return each sample's value.

        Returns
        -------
        Array
            Shape ``(n,)``, numbers or booleans. Further axes are averaged. A
            scalar counts as one sample.
        """
        raise NotImplementedError(f"{type(self).__name__} must define values(self, y_true, y_pred)")

    def state_shape(self) -> tuple[int, ...]:
        """Return the shape of a state."""
        return (2,)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        self.add_values(state, self.values(y_true, y_pred), sample_weight)

    def add_values(self, state: Array, values: Array, sample_weight: Array | None) -> None:
        """Add a batch of `values` to a state, in place."""
        total, weight = _sums(values) if sample_weight is None else _weighted_sums(values, sample_weight)
        state[0] += total
        state[1] += weight

    def aggregate(self, state: Array) -> float:
        """Return the mean for a state; 0 if nothing was added."""
        total, weight = state.tolist()
        return total / weight if weight else 0.0


class MeanMetricWrapper(MeanMetric):
    """The mean of a function of ``(y_true, y_pred)``.

    Parameters
    ----------
    fn
        ``fn(y_true, y_pred)`` returns one value per sample, or one number for
        the batch, which then counts as one sample.
    name
        Name in the logs; the function's name by default.
    direction
        ``"min"`` or ``"max"`` if lower or higher is better; None if unknown.
    **arguments
        Keyword arguments passed to the function.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        direction: Direction | None = None,
        **arguments: object,
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be a function of (y_true, y_pred), got {fn!r}")
        if direction not in ("min", "max", None):
            raise ValueError(f"direction must be 'min', 'max' or None, got {direction!r}")
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__))
        self.fn = fn
        self.direction = direction
        self.arguments = arguments

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Return the function's values; raise ValueError unless one per sample."""
        values = np.asarray(self.fn(y_true, y_pred, **self.arguments))
        if values.ndim and values.shape[0] != len(y_pred):
            raise ValueError(
                f"metric {self.name} must return a number, or one value for each of the {len(y_pred)} "
                f"samples, got shape {values.shape}"
            )
        return values

    def get_config(self) -> dict[str, Any]:
        """Raise TypeError: a function cannot be saved."""
        raise TypeError(f"metric {self.name} is a function and cannot be saved; pass it to compile() again")


def _sums(values: Array) -> tuple[float, int]:
    """Return the sum of the samples' means, and the number of samples."""
    if values.ndim == 0:
        return float(values), 1
    # Counting is several times faster than summing booleans.
    boolean = values.dtype.kind == "b"
    total = float(np.count_nonzero(values) if boolean else values.sum(dtype=np.float64))
    samples = len(values)
    return (total if values.ndim == 1 else total * samples / max(values.size, 1)), samples


def _weighted_sums(values: Array, weight: Array) -> tuple[float, float]:
    """Return the weighted sum of the values, and the sum of the weights.

    If weights have fewer axes than values, values are averaged over the extra
    ones. Both sums are of the means over all axes but the first.
    """
    values, weight = target_shapes.match_ranks(values, weight)
    if values.ndim > weight.ndim:
        values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
    weight = np.broadcast_to(weight, values.shape)
    per_sample = values.size // max(len(values), 1) or 1
    total = float(np.multiply(values, weight, dtype=np.float64).sum())
    return total / per_sample, float(weight.sum(dtype=np.float64)) / per_sample
