"""Model: what the trainer and the callbacks may ask of a model.

The contract is at the level of a step, never of an array operation, so that
any backend can fill it in: `nn.Sequential` in numpy, `onstage_torch.TorchModel`
around a torch module. `trainer.Trainer` adds ``fit``, ``evaluate`` and
``predict`` to whatever fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from onstage.logs import Logs

Array: TypeAlias = NDArray[Any]
"""A numpy array of any dtype."""

Batch: TypeAlias = tuple[Any, Any, Any]
"""``(x, y, sample_weight)``; y and sample_weight are None where there is none."""

State: TypeAlias = dict[str, Any]
"""A tree of dict, list, str, int, float, bool, None and numpy arrays.

What ``state_dict()`` returns everywhere, and what `storage` writes and reads.
"""

Direction: TypeAlias = Literal["min", "max"]


class MetricAccumulator(Protocol):
    """The metrics of one stage, accumulated batch by batch.

    One object per open stage (an epoch's training, a validation, an
    evaluate), so that an ``evaluate`` called inside a callback does not
    disturb the training's running means. Steps add to it; nothing is turned
    into Python floats until somebody reads.
    """

    def logs(self) -> Logs:
        """Give a fresh dict of the metrics since the stage began, loss first.

        Sample-weighted means, or the metric's own aggregate. A backend whose
        values lie on a device gives `logs.LazyLogs` over a snapshot, so
        that the step does not wait for values that nobody looks at.
        """
        ...

    def batch_logs(self) -> dict[str, float]:
        """Give the last batch's own values; valid until the next step."""
        ...

    # A backend may add `finish(self) -> None`: called once when the stage's last
    # batch is over, before its end fires, and not after an error. There several
    # processes make one of their metrics.

    def state_dict(self) -> State:
        """Give what a resumed run needs to continue in mid-epoch."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave."""
        ...


@runtime_checkable
class Model(Protocol):
    """The whole contract between trainer, callbacks and a backend."""

    stop_training: bool
    """Set it to stop: the remaining batches are skipped, the ends still fire."""

    learning_rate: float
    """The optimizer's rate now. Setting it raises TypeError under a schedule."""

    def new_accumulator(self) -> MetricAccumulator:
        """Make empty totals for one stage."""
        ...

    def train_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Forward, backward, update; adds the metrics from before the update."""
        ...

    def test_step(self, batch: Batch, accumulator: MetricAccumulator) -> None:
        """Forward without training behaviour; adds the metrics."""
        ...

    def predict_step(self, batch: Batch) -> Any:
        """Give the outputs of a batch, an array that the caller may keep."""
        ...

    def metric_directions(self) -> Mapping[str, Direction | None]:
        """Name the metrics in log order, and whether down or up is better.

        ``{"loss": "min", "accuracy": "max", "my_function": None}``: None where
        it cannot be known.
        """
        ...

    def get_weights(self) -> list[Array]:
        """Copy the weights, trained ones and statistics, in layer order."""
        ...

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace the weights; raises ValueError when a shape differs."""
        ...

    def state_dict(self) -> State:
        """Copy weights, optimizer slots, averages and random states."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing."""
        ...

    def finalize_weights(self) -> None:
        """End a training: replace the weights by their average under EMA."""
        ...

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model: configuration, weights, optimizer."""
        ...

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone."""
        ...

    # A backend may add `set_gradient_callback(self, function) -> None`: `function(gradients)` is
    # called between backward and update with those of the trainable weights, in their order, live;
    # None ends it. Without it callbacks can't act in on_optimizer_step_begin.
    # It may add `snapshot(self, weights_only: bool = False) -> State`, what `save`,
    # or `save_weights`, writes; and `weights_view(self) -> list[Array]`, what `get_weights`
    # copies. Their arrays may be the model's own: who reads them while the training goes
    # on copies them before, into memory that it keeps, with `onstage.state.copy_state`.
