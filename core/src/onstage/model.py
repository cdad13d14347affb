"""Model: the interface between trainer, callbacks and a backend.

It consists of whole training steps, not of array operations, so that any
backend can implement it: `onstage.Sequential` in numpy,
`onstage_torch.TorchModel` around a torch module. `onstage.Trainer` adds
``fit``, ``evaluate`` and ``predict``. What only some backends offer is in the
``Supports…`` protocols; a model offers it if it has the method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from onstage.logs import Logs

Array: TypeAlias = NDArray[Any]
"""A numpy array of any dtype."""

Batch: TypeAlias = tuple[Any, Any, Any]
"""``(x, y, sample_weight)``; y and sample_weight may be None."""

State: TypeAlias = dict[str, Any]
"""A tree of dict, list, str, int, float, bool, None and numpy arrays.

``state_dict()`` returns one, and `onstage.state.storage` writes and reads it.
"""

Direction: TypeAlias = Literal["min", "max"]
"""Whether a metric is better when it is lower or when it is higher."""


class MetricAccumulator(Protocol):
    """The metrics of one stage, accumulated batch by batch.

    Each open stage (the training of an epoch, a validation, an evaluation) has
    its own, so that ``evaluate`` in a callback does not change the running
    means of the training. Steps add to it. Values become Python floats only
    when they are read.
    """

    def logs(self) -> Logs:
        """Return a new dict of the metrics since the stage began, loss first.

        Values are sample-weighted means, or a metric's own aggregate. A backend
        whose values are on a device returns `onstage.logs.LazyLogs` over a
        snapshot, so that a step does not wait for values that are never read.
        """
        ...

    def batch_logs(self) -> dict[str, float]:
        """Return the values of the last batch alone; valid until the next step."""
        ...

    def state_dict(self) -> State:
        """Return the state that a run resumed within an epoch needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict`."""
        ...


class SupportsFinish(Protocol):
    """An accumulator that acts when its stage is complete."""

    def finish(self) -> None:
        """Combine the metrics of several processes.

        Called once, after the last batch and before the end of the stage
        fires; not after an error.
        """
        ...


@runtime_checkable
class Model(Protocol):
    """The interface that every backend implements."""

    stop_training: bool
    """Set it to stop: the remaining batches are skipped, all end stages fire."""

    learning_rate: float
    """Current rate of the optimizer. Setting it raises TypeError under a schedule."""

    def new_accumulator(self) -> MetricAccumulator:
        """Make an empty accumulator for one stage."""
        ...

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward, backward and update; accumulate the metrics before the update."""
        ...

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Run forward in inference mode and accumulate the metrics."""
        ...

    def predict_step(self, batch: Batch) -> Any:
        """Return the outputs of a batch as a new array."""
        ...

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Map metric names, in log order, to their direction of improvement.

        ``{"loss": "min", "accuracy": "max", "my_function": None}``: None if it
        is unknown.
        """
        ...

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, trained or not, in layer order."""
        ...

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights. Raise ValueError if a shape differs."""
        ...

    def state_dict(self) -> State:
        """Return copies of weights, optimizer slots, averages and random states."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict` to the bit; all of it or, on error, nothing."""
        ...

    def finalize_weights(self) -> None:
        """End a training: replace the weights by their average under EMA."""
        ...

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write configuration, weights and optimizer to a file."""
        ...

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights to a file."""
        ...


@runtime_checkable
class SupportsGradients(Protocol):
    """A model on which callbacks can implement on_optimizer_step_begin."""

    def set_gradient_callback(self, function: Callable[[Sequence[Any]], None] | None) -> None:
        """Call a function with the gradients before each update; None for none.

        They are those of the trainable weights, in their order, and may be
        changed in place.
        """
        ...


@runtime_checkable
class SupportsSnapshot(Protocol):
    """A model whose saved state can be read without a copy.

    The arrays may be the model's own. To use them while the training goes on,
    copy them with `onstage.state.copy_state`.
    """

    def snapshot(self, weights_only: bool = False) -> State:
        """Return the state that ``save``, or ``save_weights``, writes."""
        ...


@runtime_checkable
class SupportsFormats(Protocol):
    """A model with files in several formats, which a path's suffix tells apart."""

    def snapshot_writer(
        self, filepath: str | PathLike[str], weights_only: bool = False
    ) -> Callable[[str | PathLike[str], State], None]:
        """Return the function of a path and a snapshot that writes as ``save`` does.

        The format is that of `filepath`. Raises ValueError if its suffix stands
        for a format that the model can't write. The function may be called in
        another thread, with a copy of the snapshot.
        """
        ...


@runtime_checkable
class SupportsWeightsView(Protocol):
    """A model whose weights can be read without a copy; see `SupportsSnapshot`."""

    def weights_view(self) -> list[Array]:
        """Return the arrays that ``get_weights`` copies."""
        ...


@runtime_checkable
class SupportsStopAgreement(Protocol):
    """A model that is trained by several processes."""

    def agree_on_stop(self, interrupted: bool | None = None) -> str | None:
        """Share requests to stop between the processes; return the reason, if any.

        Called by every process between epochs; and where they have agreed to
        stop, with whether this one received a signal to end, to share only that.
        """
        ...


@runtime_checkable
class SupportsPosition(Protocol):
    """A model whose library has loaders without a position of their own."""

    def with_position(self, data: Iterable[Any]) -> Iterable[Any]:
        """Return the data of a custom loop with ``state_dict`` and ``load_state_dict``.

        Data of other kinds is returned unchanged.
        """
        ...
