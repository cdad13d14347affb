"""SwapEMAWeights: evaluate a model with the average of its weights."""

from __future__ import annotations

from typing import ClassVar

from onstage import Callback, Logs, Run
from onstage.model import Array, State
from onstage.validation import validate_bool, validate_state, validate_weights

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Swap the weights with their moving average for evaluation and prediction.

    Validation, `evaluate` and `predict` use the average; afterwards, even after
    an error, the model has its own weights again. Training ends with the average,
    even if it is stopped or raises.

    Parameters
    ----------
    swap_on_epoch
        Whether to swap at the end of each epoch too, until the next epoch
        begins, for the callbacks later in the list: a ModelCheckpoint after this
        callback saves the average.

    Raises
    ------
    TypeError
        If swap_on_epoch is not a bool.
    ValueError
        At the first stage, if the model keeps no average: its optimizer needs
        ``use_ema=True``.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()
    needs = ("get_weights", "set_weights", "finalize_weights")

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = validate_bool("swap_on_epoch", swap_on_epoch)
        self._own: list[Array] | None = None
        self._swapped_in = ""
        self._training = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Raise if the model keeps no average."""
        self._check()
        self._own, self._swapped_in = None, ""
        self._training = True

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Swap the average in."""
        self._swap_in("test")

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Restore the model's own weights."""
        self._swap_out("test")

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Swap the average in."""
        self._swap_in("predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Restore the model's own weights."""
        self._swap_out("predict")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Swap the average in for the callbacks after this one, if requested."""
        if self.swap_on_epoch:
            self._swap_in("epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Restore the model's own weights for training."""
        self._swap_out("epoch")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Keep the average, which the model has taken as its weights by now."""
        self._own, self._swapped_in = None, ""
        self._training = False

    def on_teardown(self, run: Run | None = None) -> None:
        """Restore or finalize the weights after an error, as without one."""
        if self._training and run is not None and not run.is_training:
            return  # the teardown of an evaluation within the training
        self._swap_out(self._swapped_in)
        if self._training:
            self._training = False
            self.model.finalize_weights()

    def _swap_in(self, stage: str) -> None:
        if self._swapped_in:
            return  # nested evaluation: already swapped
        self._check()
        self._own, self._swapped_in = self.model.get_weights(), stage
        # The own weights are copied and the average stays in the optimizer, where the
        # end of training expects it.
        self.model.finalize_weights()

    def _swap_out(self, stage: str) -> None:
        if self._own is not None and self._swapped_in == stage:
            own, self._own, self._swapped_in = self._own, None, ""
            self.model.set_weights(own)

    def _check(self) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if not getattr(self.model, "use_ema", getattr(optimizer, "use_ema", False)):
            raise ValueError("SwapEMAWeights must have an optimizer with use_ema=True, got one without")

    def state_dict(self) -> State:
        """Return the model's own weights while they are swapped out."""
        return {"own": self._own, "inside": self._swapped_in}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`; raise StateError if it is invalid."""
        own, inside = validate_state(state, own=(list, type(None)), inside=str)
        self._own, self._swapped_in = validate_weights(own, self.model), inside
