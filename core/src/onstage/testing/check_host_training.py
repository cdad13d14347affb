"""HostTraining: a real training of a host, and the trace that it must fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from onstage.hosts import HostCallback
from onstage.model import Array


@dataclass
class HostTraining:
    """A training of a host that has not begun, with an adapter in it.

    Attributes
    ----------
    adapter
        The adapter around the callbacks.
    run
        Train from new weights, with the same adapter at each call. A host that
        reports no errors trains in ``with adapter:``.
    batches
        Training batches of an epoch; None if the host has none.
    test_batches
        Batches of the validation; None if the host does not report them.
    validates
        Whether each epoch has a validation.
    learning_rate
        Return the rate of the host's optimizer; None if it has none.
    weights
        Return the weights of the host's model; None if it has none.
    swaps_weights
        Whether a validation uses the weights that a callback sets in
        on_test_begin; False if the host tells of it afterwards.
    suffix
        That of a file of the host's model; None if callbacks can't save it.
    interrupt_stops
        Whether the host catches KeyboardInterrupt, and ends the training as after a stop.
    """

    adapter: HostCallback
    run: Callable[[], object]
    batches: int | None
    test_batches: int | None = None
    validates: bool = True
    learning_rate: Callable[[], float] | None = None
    weights: Callable[[], list[Array]] | None = None
    swaps_weights: bool = True
    suffix: str | None = None
    interrupt_stops: bool = False


class MakeTraining(Protocol):
    """Makes trainings with an adapter around the callbacks of each check."""

    def __call__(self, callbacks: Any, *, epochs: int, error: BaseException | None = None) -> HostTraining:
        """Make a training.

        Parameters
        ----------
        callbacks
            For the adapter.
        epochs
            Epochs of the training.
        error
            Raise it in the host's own step (or loss, or data) in the training.
        """
        ...


def golden_trace(training: HostTraining, epochs: list[int]) -> list[tuple[str, int | None]]:
    """Return the stages of a training and their numbers.

    Parameters
    ----------
    training
        What the host has.
    epochs
        Number of training batches of each epoch.
    """
    trace: list[tuple[str, int | None]] = [("on_train_begin", None)]
    for epoch, batches in enumerate(epochs):
        trace.append(("on_epoch_begin", epoch))
        trace += _batches("train", batches if training.batches is not None else 0)
        if training.validates:
            trace.append(("on_test_begin", None))
            trace += _batches("test", training.test_batches or 0)
            trace.append(("on_test_end", None))
        trace.append(("on_epoch_end", epoch))
    return [*trace, ("on_train_end", None), ("on_teardown", None)]


def _batches(kind: str, count: int) -> Iterator[tuple[str, int]]:
    for batch in range(count):
        yield f"on_{kind}_batch_begin", batch
        yield f"on_{kind}_batch_end", batch


def assert_trace(got: list[tuple[str, int | None]], wanted: list[tuple[str, int | None]]) -> None:
    """Raise AssertionError at the first difference of two traces."""
    for n in range(max(len(got), len(wanted))):
        here = got[n] if n < len(got) else "the end"
        should = wanted[n] if n < len(wanted) else "the end"
        if here != should:
            raise AssertionError(f"stage {n} must be {should}, got {here}, after {got[max(n - 3, 0) : n]}")
