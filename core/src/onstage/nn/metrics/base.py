"""Metric: a number about predictions, summed up batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from onstage.model import Array, Direction
from onstage.nn import target_shapes
from onstage.nn.serialization import snake_case


class Metric:
    """A number about predictions, summed up batch by batch.

    The sums lie in a state outside the metric, so that a validation in the
    middle of an epoch does not disturb those of the training. They are plain
    sums: the state of two batches is that of one plus that of the other. Made
    to be subclassed by `state_shape`, `update` and `aggregate`.

    Parameters
    ----------
    name
        What it is called in the logs; the class's name in snake case, if not
        given.

    Attributes
    ----------
    direction : {"min", "max"} or None
        Whether less or more is better; None where that cannot be known.
    counts_objects : bool
        Whether a model numbers the objects of the class that were given no
        name, as Keras does: ``recall``, ``recall_1``. Else a second one is
        named as if the name had been given: see `metric_names.log_names`.
    """

    direction: Direction | None = None
    counts_objects: ClassVar[bool] = True

    def __init__(self, name: str | None = None) -> None:
        self._named = name is not None
        self.name = snake_case(type(self).__name__) if name is None else name
        self._own: Array | None = None

    def state_shape(self) -> tuple[int, ...]:
        """Give the shape of a state."""
        raise NotImplementedError(f"{type(self).__name__} must define state_shape(self)")

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place.

        Parameters
        ----------
        state
            From `new_state`.
        y_true, y_pred
            Targets and outputs of ``n`` samples.
        sample_weight
            Shape ``(n,)``; None for 1 each.

        Raises
        ------
        ValueError
            The shapes do not fit the metric.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update(self, state, y_true, y_pred, ...)"
        )

    def aggregate(self, state: Array) -> float:
        """Give the metric of all that was added to a state."""
        raise NotImplementedError(f"{type(self).__name__} must define aggregate(self, state)")

    def build(self, output_shape: Sequence[int | None]) -> None:
        """Learn the shape of the outputs, batch axis first, before `new_state`."""

    def new_state(self) -> Array:
        """Make an empty state, of float64."""
        return np.zeros(self.state_shape())

    def result(self, state: Array | None = None) -> float:
        """Give the metric of a state; without one, of the metric's own."""
        return self.aggregate(self._own_state() if state is None else state)

    def update_state(self, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to the metric's own state, for use without a trainer."""
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        if self._own is None:
            self.build(y_pred.shape)
        self.update(self._own_state(), y_true, y_pred, weight)

    def reset_state(self) -> None:
        """Forget what was added to the metric's own state."""
        self._own = None

    @property
    def numbered(self) -> bool:
        """Whether the name is the class's own, for a model to number."""
        return self.counts_objects and not self._named and self.name == snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """Give the constructor's arguments."""
        return {"name": None if self.numbered else self.name}

    def _own_state(self) -> Array:
        if self._own is None:
            self._own = self.new_state()
        return self._own


class MeanMetric(Metric):
    """A metric that is the mean, by weight, of one value for each sample.

    The state is ``[sum, weight]``. Made to be subclassed by `values`.
    """

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """Give each sample's value.

        Returns
        -------
        Array
            Shape ``(n,)``, numbers or booleans. Of further axes the mean is
            taken. A number without axes counts as one sample.
        """
        raise NotImplementedError(f"{type(self).__name__} must define values(self, y_true, y_pred)")

    def state_shape(self) -> tuple[int, ...]:
        """Give the shape of a state."""
        return (2,)

    def update(self, state: Array, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Add a batch to a state, in place; see `Metric.update`."""
        self.add_values(state, self.values(y_true, y_pred), sample_weight)

    def add_values(self, state: Array, values: Array, sample_weight: Array | None) -> None:
        """Add a batch to a state, in place, given what `values` gives."""
        total, weight = _sums(values) if sample_weight is None else _weighted_sums(values, sample_weight)
        state[0] += total
        state[1] += weight

    def aggregate(self, state: Array) -> float:
        """Give the mean of all that was added to a state; 0 if that is nothing."""
        total, weight = state.tolist()
        return total / weight if weight else 0.0


class MeanMetricWrapper(MeanMetric):
    """The mean of a function's values.

    Parameters
    ----------
    fn
        ``fn(y_true, y_pred)`` gives one value for each sample, or one number
        for the batch, which then counts as one sample.
    name
        The function's own name, if not given.
    direction
        ``"min"`` or ``"max"`` if it is known which is better.
    **arguments
        Further arguments of the function, by name.
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
        """Give what the function gives; ValueError if not a value a sample."""
        values = np.asarray(self.fn(y_true, y_pred, **self.arguments))
        if values.ndim and values.shape[0] != len(y_pred):
            raise ValueError(
                f"metric {self.name} must give a number, or one value for each of the {len(y_pred)} samples, "
                f"got shape {values.shape}"
            )
        return values

    def get_config(self) -> dict[str, Any]:
        """Refuse: a function cannot be written to a file."""
        raise TypeError(f"metric {self.name} cannot be saved, it is a function; pass it to compile() again")


def _sums(values: Array) -> tuple[float, int]:
    """Give the sum of each sample's mean, and the number of samples."""
    if values.ndim == 0:
        return float(values), 1
    # Counting is several times faster than summing booleans.
    boolean = values.dtype.kind == "b"
    total = float(np.count_nonzero(values) if boolean else values.sum(dtype=np.float64))
    samples = len(values)
    return (total if values.ndim == 1 else total * samples / max(values.size, 1)), samples


def _weighted_sums(values: Array, weight: Array) -> tuple[float, float]:
    """Give the sum of the values times their weights, and that of the weights.

    Weights may have fewer axes than values, whose mean is taken over the
    others, or as many; means are over all axes but the first.
    """
    values, weight = target_shapes.same_rank(values, weight)
    if values.ndim > weight.ndim:
        values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
    weight = np.broadcast_to(weight, values.shape)
    per_sample = values.size // max(len(values), 1) or 1
    total = float(np.multiply(values, weight, dtype=np.float64).sum())
    return total / per_sample, float(weight.sum(dtype=np.float64)) / per_sample
