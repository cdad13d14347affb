"""SwapEMAWeights: measures a model with the average of its weights."""

from __future__ import annotations

from typing import ClassVar

from onstage import Callback, Run
from onstage.model import Array, State
from onstage.validation import validate_bool, validate_state, validate_weights

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Put the moving average of the weights in their place while it is measured.

    Evaluations, validations and predictions see the average; afterwards the
    model has its own weights again, after an error too. A training ends
    with the average, also when it is stopped or breaks off.

    Parameters
    ----------
    swap_on_epoch
        Put the average in place at the end of each epoch too, for the callbacks
        that come later in the list, until the next epoch begins: a
        ModelCheckpoint behind this one saves the average.

    Raises
    ------
    TypeError
        swap_on_epoch is neither True nor False.
    ValueError
        At the first stage: the model keeps no average; its optimizer needs
        ``use_ema=True``.
    """

    adds_logs: ClassVar[tuple[str, ...]] = ()
    needs = ("get_weights", "set_weights", "finalize_weights")

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = validate_bool("swap_on_epoch", swap_on_epoch)
        self._own: list[Array] | None = None
        self._inside = ""
        self._training = False

    def on_train_begin(self) -> None:
        """Check that there is an average."""
        self._check()
        self._own, self._inside = None, ""
        self._training = True

    def on_test_begin(self) -> None:
        """Put the average in place."""
        self._swap_in("test")

    def on_test_end(self) -> None:
        """Give the model its weights back."""
        self._swap_out("test")

    def on_predict_begin(self) -> None:
        """Put the average in place."""
        self._swap_in("predict")

    def on_predict_end(self) -> None:
        """Give the model its weights back."""
        self._swap_out("predict")

    def on_epoch_end(self) -> None:
        """Put the average in place for the callbacks behind this one."""
        if self.swap_on_epoch:
            self._swap_in("epoch")

    def on_epoch_begin(self) -> None:
        """Give the model its weights back, to go on training them."""
        self._swap_out("epoch")

    def on_train_end(self) -> None:
        """Leave the average, which the model has made its weights by now."""
        self._own, self._inside = None, ""
        self._training = False

    def on_teardown(self, run: Run | None = None) -> None:
        """After an error, end as without one."""
        if self._training and run is not None and not run.is_training:
            return  # The end of an evaluation that a callback made inside the training.
        self._swap_out(self._inside)
        if self._training:
            self._training = False
            self.model.finalize_weights()

    def _swap_in(self, stage: str) -> None:
        if self._inside:
            return  # An evaluation inside another: the average is there.
        self._check()
        self._own, self._inside = self.model.get_weights(), stage
        # A copy of our own and not an exchange: what ends the training next
        # finds the average in its place.
        self.model.finalize_weights()

    def _swap_out(self, stage: str) -> None:
        if self._own is not None and self._inside == stage:
            own, self._own, self._inside = self._own, None, ""
            self.model.set_weights(own)

    def _check(self) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if not getattr(self.model, "use_ema", getattr(optimizer, "use_ema", False)):
            raise ValueError("SwapEMAWeights must have an optimizer with use_ema=True, got one without")

    def state_dict(self) -> State:
        """Give the model's own weights, while the average is in their place."""
        return {"own": self._own, "inside": self._inside}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave; raises StateError for anything else."""
        own, inside = validate_state(state, own=(list, type(None)), inside=str)
        self._own, self._inside = validate_weights(own, self.model), inside
