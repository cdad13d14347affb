"""Sequential: layers one after another, and all that a user does with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from onstage.model import State
from onstage.nn import input_checks, saving
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.state._tree import copy_state
from onstage.trainer import Trainer

# A loss that is infinite or NaN shows in the logs; a warning from the middle of
# some product would say less, and would end a run where warnings are errors.
# Around the loops and not in each step, which it would make 5 % slower.
_quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Sequential(CompiledNetwork, Trainer):
    """Layers one after another.

    Parameters
    ----------
    layers
        The first may be an `Input`, or have an ``input_shape``. Else the model
        is built from the first data it sees.
    name
        For the summary.
    seed
        Of the weights and of dropout; None: another in each run.
    dtype
        ``"float32"``, or ``"float64"`` to check gradients.

    Examples
    --------
    >>> model = Sequential([Input((64,)), Dense(32, "relu"), Dense(10, "softmax")], seed=0)
    >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=5)
    """

    # The steps come from the first base, the loops over them from the second.
    fit = _quietly(Trainer.fit)
    evaluate = _quietly(Trainer.evaluate)
    predict = _quietly(Trainer.predict)
    train_on_batch = _quietly(Trainer.train_on_batch)
    test_on_batch = _quietly(Trainer.test_on_batch)
    predict_on_batch = _quietly(Trainer.predict_on_batch)

    # -- what the trainer asks

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Build the model for this data, and refuse what doesn't fit.

        Parameters
        ----------
        batches
            With `x_spec`, `y_spec` and `y_range`; see `onstage.data.batches.Batches`.
        mode
            "train", "validation", "test" or "predict".

        Raises
        ------
        ValueError, TypeError
            The model isn't compiled, or x or y don't fit.
        """
        compiled_loss = None if mode == "predict" else self._compiled()
        x, y = batches.x_spec, batches.y_spec
        input_checks.check_dtype("x", x.dtype)
        if not self.built:
            self.build((None, *x.shape))
        input_checks.check_input(self, tuple(x.shape), x.dtype)
        if compiled_loss is not None:
            input_checks.check_target(self, compiled_loss.loss, y, batches.y_range)
            compiled_loss.build(self.output_shape, (None, *y.shape))
        if mode == "train" and not self._needed_optimizer().trains(self.parameters):
            raise ValueError(
                f"optimizer {self._needed_optimizer().name} must be this model's own, another model was "
                "compiled with it since; make an optimizer for each"
            )

    def reseed(self, seed: int) -> np.random.Generator:
        """Set the model's randomness; gives the generator that shuffles."""
        own, shuffling = np.random.SeedSequence(seed).spawn(2)
        # The same object: plans hold it.
        self.rng.bit_generator.state = np.random.PCG64(own).state
        return np.random.default_rng(shuffling)

    def shuffle_rng(self) -> np.random.Generator:
        """Give the generator that shuffles when ``fit`` got no seed."""
        return np.random.default_rng(self.rng.integers(2**63))

    # -- state

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is tied to this object's buffers; for copy and pickle."""
        slots = None if self.optimizer is None or not self.built else self.optimizer.state_dict()
        unbound = {"_plans": OrderedDict(), "_setting": None, "_gradient_callback": None, "_slots": slots}
        return self.__dict__ | unbound

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the copied weights views of one buffer again."""
        slots = state.pop("_slots")
        self.__dict__.update(state)
        if self.built:
            self.flatten_parameters()
        if slots is not None:
            self._needed_optimizer().load_state_dict(slots)

    def state_dict(self) -> State:
        """Copy weights, optimizer slots, averages and random states."""
        return copy_state(saving.state_view(self))

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            It comes from another model, or a part is missing.
        """
        saving.load_state(self, state)

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model to one file: configuration, weights, optimizer.

        Functions and classes of your own are written by name alone: `load_model`
        wants them back in ``custom_objects``.

        Raises
        ------
        ValueError
            The model is not built yet.
        FileExistsError
            There is a file, and `overwrite` is False.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone; raises as `save` does."""
        saving.save_weights(self, filepath, overwrite)

    def snapshot(self, weights_only: bool = False) -> State:
        """Give what `save`, or `save_weights`, writes; the arrays are the model's own."""
        return saving.snapshot_weights(self) if weights_only else saving.snapshot(self)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Read the weights from a file that `save_weights` or `save` wrote.

        Raises
        ------
        StateError
            The file is damaged, or its weights don't fit the model.
        """
        saving.load_weights(self, filepath)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Sequential:
    """Read a model that ``save`` wrote.

    Nothing that a file names is ever imported: names are looked up among
    onstage's own layers, losses, metrics and optimizers.

    Parameters
    ----------
    custom_objects
        Your own classes and functions in the model, by name.
    compile
        Whether to compile it as it was, and to take up the optimizer's state.

    Raises
    ------
    StateError
        The file is damaged, holds no model, or names something unknown.
    """
    return saving.load_model(Sequential, filepath, custom_objects or {}, compile)
