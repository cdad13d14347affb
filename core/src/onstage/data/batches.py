"""Batch iterators that can save and restore their position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from onstage.errors import StateError, warn
from onstage.model import Batch, State


class Spec(NamedTuple):
    """Shape and type of one sample."""

    shape: tuple[int, ...]
    """Without the axis of samples."""
    dtype: Any
    """A numpy dtype, or a framework's own for its tensors."""


class Batches(Protocol):
    """Epochs of batches, with a position that can be saved.

    Iterating starts an epoch. Only one epoch is open at a time: starting
    another abandons the first.
    """

    x_spec: Spec
    y_spec: Spec | None
    batch_size: int | None
    samples: int | None

    @property
    def steps(self) -> int | None:
        """Batches in an epoch; None if unknown, until the first has ended."""
        ...

    @property
    def y_range(self) -> tuple[int, int] | None:
        """Lowest and highest of integer labels; None for other targets."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no more batches will come: a generator that has ended."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Start an epoch, or continue the one that was loaded.

        The arrays of a batch are valid until the next one is requested, and
        must not be written to.
        """
        ...

    def end_epoch(self) -> None:
        """Drop the rest of an epoch that was left early.

        Otherwise `state_dict` describes a position within that epoch, and
        loading it continues there.
        """
        ...

    def restart(self) -> None:
        """Start the next epoch at the first batch.

        Matters if `steps` makes each epoch continue the previous one. A
        generator can't restart, and continues.
        """
        ...

    def state_dict(self) -> State:
        """Return the position in the epoch, counted in batches handed out."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the saved one."""
        ...


class BatchesBase(ABC):
    """Epochs cut from passes over a source of batches.

    Without a limit an epoch is a pass. With one, a pass continues from epoch
    to epoch until it runs out, as in Keras.

    Parameters
    ----------
    name
        User's name of the data, for messages.
    limit
        Batches in an epoch; None for all.
    length
        Batches in a pass; None if unknown.
    rng
        Generator of the order of each pass, not shared with anything else: its
        state is saved and restored with the position. None if nothing is drawn.
    """

    x_spec: Spec
    y_spec: Spec | None
    batch_size: int | None = None
    samples: int | None = None

    def __init__(
        self, name: str, limit: int | None, length: int | None, rng: np.random.Generator | None
    ) -> None:
        self._name = name
        self._limit = limit
        self._length = length
        self._rng = rng
        self._pass: Iterator[Batch] | None = None
        self._rng_at_pass: State | None = None
        self._in_pass = 0
        self._in_epoch = 0
        self._resumed = False

    @abstractmethod
    def _open_pass(self, start: int) -> Iterator[Batch]:
        """Begin a pass at batch number `start`."""

    @property
    def steps(self) -> int | None:
        """Batches in an epoch; None if unknown, until the first has ended."""
        return self._limit or self._length

    @property
    def exhausted(self) -> bool:
        """Whether no more batches will come."""
        return False

    def __iter__(self) -> Iterator[Batch]:
        if not self._resumed:
            self.end_epoch()
        elif self._in_pass:
            self._begin()  # Even if nothing is left of the pass: its order was drawn.
        self._resumed = False
        while self._in_epoch != self._limit:
            fresh = self._in_pass == 0
            batch = next(self._pass or self._begin(), None)
            if batch is not None:
                # Counted before it is handed out: a state that is saved during
                # the step continues with the next batch.
                self._in_pass += 1
                self._in_epoch += 1
                yield batch
                continue
            self._end_pass()
            if self._in_epoch and self._limit is None:
                break
            if self._in_epoch or fresh or self.exhausted:
                self._warn_of_end()
                break
            # The pass had ended together with the previous epoch: begin the next one.
        self._in_epoch = 0

    def _begin(self) -> Iterator[Batch]:
        self._rng_at_pass = self._rng_state()
        self._pass = self._open_pass(self._in_pass)
        return self._pass

    def _end_pass(self) -> None:
        if self._in_pass:
            self._length = self._in_pass
        self._leave_pass()

    def _leave_pass(self) -> None:
        self._pass = None
        self._in_pass = 0

    def _warn_of_end(self) -> None:
        wanted = f" of {self._limit}" if self._limit else ""
        follows = ", and none follows" if self.exhausted else ""
        warn(
            f"{self._name} ran out of data after {self._in_epoch}{wanted} batches; "
            f"the epoch ends here{follows}. "
            "It must yield steps * epochs batches, or be an object that can be iterated again"
        )

    def end_epoch(self) -> None:
        """Drop the rest of an epoch that was left early."""
        self._in_epoch = 0
        self._resumed = False
        if self._limit is None:
            self._leave_pass()

    def restart(self) -> None:
        """Start the next epoch at the first batch."""
        self.end_epoch()
        self._leave_pass()

    def _rng_state(self) -> State | None:
        return None if self._rng is None else dict(self._rng.bit_generator.state)

    def state_dict(self) -> State:
        """Return the position in the epoch, counted in batches handed out."""
        return {
            "in_pass": self._in_pass,
            "in_epoch": self._in_epoch,
            "rng": self._rng_state() if self._pass is None else self._rng_at_pass,
            "batch_size": self.batch_size,
            "samples": self.samples,
        }

    def load_state_dict(self, state: State) -> None:
        """Make the next epoch the rest of the saved one.

        Raises
        ------
        StateError
            If it was saved with other data, another batch size or another order.
        """
        for key in ("samples", "batch_size"):
            if not _same(state.get(key), getattr(self, key)):
                raise StateError(
                    f"{self._name} must have the {key} it was saved with, {state.get(key)}, "
                    f"got {getattr(self, key)}; resume with the same data"
                )
        in_pass, in_epoch = state.get("in_pass"), state.get("in_epoch")
        rng: Any = state.get("rng")
        if not (type(in_pass) is int and type(in_epoch) is int and in_pass >= 0 and in_epoch >= 0):
            raise StateError(
                f"{self._name}'s saved position must be two counts of batches, got {in_pass!r}, {in_epoch!r}"
            )
        if in_epoch > (self._limit or in_epoch) or in_pass > (self._length or in_pass):
            raise StateError(
                f"{self._name} must have the {max(in_pass, in_epoch)} batches yielded when it was saved, "
                f"got {self.steps}; resume with the same data and steps"
            )
        if (rng is None) != (self._rng is None):
            raise StateError(f"{self._name} must be shuffled as when it was saved; pass the same shuffle")
        if self._rng is not None:
            try:
                self._rng.bit_generator.state = rng
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise StateError(f"{self._name}'s random state can't be restored: {error}") from error
        self._pass = None
        self._in_pass, self._in_epoch, self._resumed = in_pass, in_epoch, True


def _same(saved: object, own: int | None) -> bool:
    """Return whether a saved value, which may be anything, is our own number."""
    return type(saved) is type(own) and saved == own
