"""Sequential: a stack of layers with training, evaluation and saving."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from onstage.model import State
from onstage.nn import input_checks, saving
from onstage.nn.configuration import Configuration
from onstage.nn.execution.compiled import CompiledNetwork
from onstage.state._tree import copy_state
from onstage.trainer import Trainer

# An infinite or NaN loss shows in the logs; a numpy warning from inside a product
# would say less, and would end the run if warnings are errors. Set around the
# loops: inside each step it would cost 5 %.
_ignore_float_errors = np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Sequential(CompiledNetwork, Configuration, Trainer):
    """A stack of layers, each applied to the output of the one before.

    Parameters
    ----------
    layers
        The first may be an `Input` or have an ``input_shape``. Otherwise the
        model is built from the first data it sees.
    name
        Shown in the summary.
    seed
        Seed of the initial weights and of dropout; None for a random one.
    dtype
        ``"float32"``, or ``"float64"`` to check gradients.

    Examples
    --------
    >>> import numpy as np
    >>> from onstage import Sequential
    >>> from onstage.layers import Dense, Input
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = (x[:, 0] > x[:, 1]).astype(int)
    >>> model = Sequential([Input((2,)), Dense(8, "relu"), Dense(2, "softmax")], seed=0)
    >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=5, verbose=0)
    >>> list(history.history)
    ['loss', 'accuracy']
    >>> model.predict(x, verbose=0).shape
    (100, 2)
    """

    # The steps come from CompiledNetwork, the loops from Trainer.
    fit = _ignore_float_errors(Trainer.fit)
    evaluate = _ignore_float_errors(Trainer.evaluate)
    predict = _ignore_float_errors(Trainer.predict)
    train_on_batch = _ignore_float_errors(Trainer.train_on_batch)
    test_on_batch = _ignore_float_errors(Trainer.test_on_batch)
    predict_on_batch = _ignore_float_errors(Trainer.predict_on_batch)
    __call__ = _ignore_float_errors(CompiledNetwork.__call__)

    # -- called by the trainer

    def prepare(self, batches: Any, *, mode: str) -> None:
        """Build the model for this data, and check that they fit.

        Parameters
        ----------
        batches
            Has `x_spec`, `y_spec` and `y_range`; see `onstage.data.batches.Batches`.
        mode
            "train", "validation", "test" or "predict".

        Raises
        ------
        ValueError, TypeError
            If the model isn't compiled, or x or y doesn't fit.
        """
        compiled_loss = None if mode == "predict" else self._require_compiled()
        x, y = batches.x_spec, batches.y_spec
        input_checks.check_dtype("x", x.dtype)
        if not self.built:
            self.build((None, *x.shape))
        input_checks.check_input(self, tuple(x.shape), x.dtype)
        if compiled_loss is not None:
            input_checks.check_target(self, compiled_loss.loss, y, batches.y_range)
            compiled_loss.build(self.output_shape, (None, *y.shape))
        if mode == "train" and not self._require_optimizer().trains(self.parameters):
            raise ValueError(
                f"optimizer {self._require_optimizer().name} must belong to this model alone, but another "
                "model was compiled with it since; make one optimizer for each model"
            )

    def reseed(self, seed: int) -> np.random.Generator:
        """Seed the model's generator; return another one for shuffling."""
        own, shuffling = np.random.SeedSequence(seed).spawn(2)
        # In place: plans hold the generator.
        self.rng.bit_generator.state = np.random.PCG64(own).state
        return np.random.default_rng(shuffling)

    def shuffle_rng(self) -> np.random.Generator:
        """Return the generator for shuffling if ``fit`` has no seed."""
        return np.random.default_rng(self.rng.integers(2**63))

    # -- state

    def fingerprint(self) -> State:
        """Return loss, optimizer and metrics as plain data, to compare with those of a saved run."""
        return {"compile": saving.compile_config(self)}

    def __getstate__(self) -> dict[str, Any]:
        """Omit everything bound to this object's buffers; for copy and pickle."""
        slots = None if self.optimizer is None or not self.built else self.optimizer.state_dict()
        unbound: dict[str, Any] = {"_plans": OrderedDict(), "_config": None, "_gradient_callback": None}
        unbound |= {"_slots": slots, "_accumulator": None}
        return self.__dict__ | unbound

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the copied weights views of one buffer again, and rebuild the slots."""
        slots = state.pop("_slots")
        self.__dict__.update(state)
        if self.built:
            self.flatten_parameters()
        if slots is not None:
            self._require_optimizer().load_state_dict(slots)

    def state_dict(self) -> State:
        """Copy weights, optimizer slots, averages and random states."""
        return copy_state(saving.state_view(self))

    def load_state_dict(self, state: State) -> None:
        """Restore a state from `state_dict` exactly; on error nothing changes.

        Raises
        ------
        StateError
            If it comes from another model, or a part is missing.
        """
        saving.load_state(self, state)

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model to one file: configuration, weights, optimizer.

        Custom functions and classes are written by name only: pass them to
        `load_model` in ``custom_objects``.

        Parameters
        ----------
        filepath
            With the suffix ``.keras`` the file is in the format of Keras 3,
            which opens it (needs ``onstage[keras]``); it holds no random state.
            Otherwise it is a safetensors file with a checksum, whose arrays are
            named ``dense/kernel``, ``optimizer/velocity``, and so on; training
            goes on from it to the bit.

        Raises
        ------
        ValueError
            If the model is not built, the suffix stands for another format, or
            Keras has no equivalent of a part.
        FileExistsError
            If the file exists and `overwrite` is False.
        ImportError
            If h5py is missing, for ``.keras``.
        """
        self._require_built()
        saving.save(self, filepath, overwrite, weights_only=False)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights alone; errors as in `save`.

        With the suffix ``.weights.h5`` in the format of Keras 3, otherwise in
        safetensors format.
        """
        self._require_built()
        saving.save(self, filepath, overwrite, weights_only=True)

    def snapshot(self, weights_only: bool = False) -> State:
        """Return the state that `save` (or `save_weights`) writes, without copying."""
        self._require_built()
        return saving.snapshot_weights(self) if weights_only else saving.snapshot(self)

    def snapshot_writer(
        self, filepath: str | PathLike[str], weights_only: bool = False
    ) -> Callable[[str | PathLike[str], State], None]:
        """Return the function of a path and a snapshot that writes as `save` does.

        It may be called in another thread, with a copy of the snapshot. Errors
        as in `save`.
        """
        return saving.snapshot_writer(self, filepath, weights_only)

    def load_weights(self, filepath: str | PathLike[str]) -> None:
        """Read the weights from a file that `save_weights` or `save` wrote.

        They are matched by position. Also reads ``.weights.h5`` and ``.keras``
        files that Keras 3 wrote (needs ``onstage[keras]``).

        Raises
        ------
        StateError
            If the file is damaged, or its weights don't fit the model.
        """
        saving.load_weights(self, filepath)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Sequential:
    """Load a model written by `Sequential.save`, or a Sequential that Keras 3 saved.

    The format is recognized by the content. Loading never imports or runs what
    a file names: names are looked up among onstage's own layers, losses,
    metrics and optimizers. A ``.keras`` file needs ``onstage[keras]``; what
    onstage lacks is refused by name.

    Parameters
    ----------
    custom_objects
        Custom classes and functions of the model, by name.
    compile
        Whether to compile the model and restore the optimizer's state.

    Raises
    ------
    StateError
        If the file is damaged, holds no model, or contains an unknown name or
        option.

    Examples
    --------
    >>> import tempfile
    >>> from onstage import Sequential, load_model
    >>> from onstage.layers import Dense, Input
    >>> model = Sequential([Input((4,)), Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.onstage")
    ...     loaded = load_model(f"{folder}/model.onstage")
    >>> bool((loaded.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    return saving.load_model(Sequential, filepath, custom_objects or {}, compile)


def model_from_json(text: str, custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """Make a model, with new weights, from the result of `Sequential.to_json`.

    Parameters
    ----------
    custom_objects
        Custom classes of the model, by name.

    Raises
    ------
    ValueError
        If the text is not such a result.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Dense, Input
    >>> model = Sequential([Input((4,)), Dense(3, "relu")])
    >>> model_from_json(model.to_json()).output_shape
    (None, 3)
    """
    read = json.loads(text)
    if not isinstance(read, dict) or read.get("class_name") != "Sequential":
        raise ValueError(f"text must be the result of to_json() of a Sequential, got {text!r:.80}")
    return Sequential.from_config(read["config"], custom_objects)
