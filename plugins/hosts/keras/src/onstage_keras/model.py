"""LiveModel: the model of a training in Keras, as callbacks see it."""

from __future__ import annotations

from typing import Any

import keras

from onstage.errors import StateError
from onstage.model import State


class LiveModel:
    """The attributes of a Keras model, with a learning rate and a state.

    On JAX the weights are outside the model during an epoch. Reading
    ``callback.model`` brings them back, so it is read anew each time.

    Parameters
    ----------
    callback
        Callback in the training.
    """

    def __init__(self, callback: keras.callbacks.Callback) -> None:
        self._callback = callback

    def __getattr__(self, name: str) -> Any:
        # Without the check, copying would look for _callback in an object that has none yet.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._callback.model, name)

    @property
    def learning_rate(self) -> float:
        """Current rate; setting it raises TypeError under a schedule."""
        return float(keras.ops.convert_to_numpy(self._callback.model.optimizer.learning_rate))

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._callback.model.optimizer.learning_rate = rate

    @property
    def use_ema(self) -> bool:
        """Whether the optimizer keeps a moving average of the weights."""
        return bool(self._callback.model.optimizer.use_ema)

    def finalize_weights(self) -> None:
        """Replace the weights by their moving average, if the optimizer keeps one."""
        model = self._callback.model
        if self.use_ema:
            model.optimizer.finalize_variable_values(model.trainable_variables)
            # JAX's steps take over the weights' memory, which the average must keep.
            model.set_weights(model.get_weights())

    def state_dict(self) -> State:
        """Return copies of the weights and of the optimizer's variables."""
        model = self._callback.model
        optimizer = [keras.ops.convert_to_numpy(each).copy() for each in model.optimizer.variables]
        return {"weights": model.get_weights(), "optimizer": optimizer}

    def load_state_dict(self, state: State) -> None:
        """Restore a state of `state_dict`, at the beginning of an epoch.

        Raises
        ------
        StateError
            If it does not fit the model, or was saved inside an epoch.
        """
        model, run = self._callback.model, getattr(self._callback, "active_run", None)
        if run is not None and run.epoch is not None:
            raise StateError(
                "the state must be that of the end of an epoch, got one of a batch; "
                "Keras begins each epoch at its first batch: back up with save_freq='epoch'"
            )
        variables = model.optimizer.variables
        shapes = [tuple(each.shape) for each in variables]
        if [each.shape for each in state["optimizer"]] != shapes:
            raise StateError("the state must be of a model with this optimizer, got one of another")
        model.set_weights(state["weights"])
        for variable, value in zip(variables, state["optimizer"], strict=True):
            variable.assign(value)
