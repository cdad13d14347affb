"""TorchView: what callbacks may ask of a module that a loop of one's own trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath, path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onstage.errors import StateError, did_you_mean
from onstage.model import Array, State
from onstage.state import copy_state, storage
from onstage_torch import state_encoding, validation
from onstage_torch.layer_views import Layer, layers_of
from onstage_torch.learning_rate import Rates
from onstage_torch.pytree import array_view, to_array

StrPath = str | PathLike[str]


class TorchView:
    """A module and its optimizer, as callbacks see a model.

    Weights, learning rate, state and files; no steps: those are in the user's
    loop. `onstage_torch.TorchModel.view` makes one.

    Parameters
    ----------
    module
        Any module.
    optimizer
        What trains it; without one there is no ``learning_rate``.
    scheduler
        A torch scheduler of that optimizer; callbacks can't set the rate then.

    Attributes
    ----------
    stop_training
        Set by a callback that wants the end; the `onstage.Run` looks at it.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
    ) -> None:
        self._module = validation.module(module)
        self._optimizer = optimizer
        self._scheduler = scheduler
        self.stop_training = False
        self._gradient_hook: Any = None
        self._rates = None if optimizer is None else Rates(optimizer, scheduler)

    @property
    def module(self) -> nn.Module:
        """The module, as given."""
        return self._module

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The optimizer; its groups may be changed, but it cannot be replaced."""
        return self._optimizer

    @property
    def scheduler(self) -> Any:
        """The torch scheduler; None if there is none."""
        return self._scheduler

    @property
    def name(self) -> str:
        """The module's class, in lower case: what callbacks call the model."""
        return type(self.module).__name__.lower()

    @property
    def layers(self) -> list[Layer]:
        """The submodules with weights of their own, by path; for callbacks that name them."""
        return layers_of(self.module)

    # -- weights

    def named_weights(self) -> dict[str, Tensor]:
        """Name parameters and buffers, in the order of ``module.state_dict()``.

        Raises
        ------
        TypeError
            The module keeps something else in its ``state_dict()``.
        """
        found = self.module.state_dict()
        for name, value in found.items():
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"{name} in the module's state_dict must be a tensor, got {type(value).__name__}"
                )
        return dict(found)

    def get_weights(self) -> list[Array]:
        """Copy parameters and buffers, in the order of `named_weights`.

        numpy has no bfloat16: such weights come as float32, exactly.
        """
        return [to_array(weight) for weight in self.named_weights().values()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Replace parameters and buffers, in the order of `named_weights`.

        Raises
        ------
        ValueError
            There are more or fewer, or a shape differs. Nothing is changed then.
        """
        own = self.named_weights()
        if len(weights) != len(own):
            raise ValueError(
                f"weights must be {len(own)} arrays, as get_weights gives them, got {len(weights)}"
            )
        self._fill(own, dict(zip(own, weights, strict=True)))

    @staticmethod
    def _fill(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> None:
        for name, weight in own.items():
            if tuple(np.shape(given[name])) != tuple(weight.shape):
                raise ValueError(
                    f"{name} must have shape {tuple(weight.shape)}, got {tuple(np.shape(given[name]))}"
                )
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(torch.tensor(np.asarray(given[name])))

    # -- learning rate

    @property
    def learning_rate(self) -> float:
        """The rate of the optimizer's first group.

        Setting it sets all groups, in proportion: a group with a tenth of the
        first one's rate keeps a tenth. Setting it raises TypeError under a
        scheduler; reading it raises AttributeError without an optimizer.
        """
        return self._known_rates().first

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._known_rates().first = rate

    def _known_rates(self) -> Rates:
        if self._rates is None:
            raise AttributeError("learning_rate needs an optimizer; give it beside the module")
        return self._rates

    # -- gradients

    def set_gradient_callback(self, function: Callable[[list[Tensor | None]], None] | None) -> None:
        """Call a function with the gradients before each step of the optimizer; None for none.

        They are those of the module's trainable parameters, in their order;
        None for a parameter without one.

        Raises
        ------
        TypeError
            There is no optimizer.
        """
        if self._gradient_hook is not None:
            self._gradient_hook.remove()
            self._gradient_hook = None
        if function is None:
            return
        if self._optimizer is None:
            raise TypeError("gradients need an optimizer; pass it beside the module")

        def before_step(*_: object) -> None:
            function([each.grad for each in self._module.parameters() if each.requires_grad])

        self._gradient_hook = self._optimizer.register_step_pre_hook(before_step)

    # -- state and files

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies; the CPU for a module without."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def state_dict(self) -> State:
        """Copy weights, optimizer, scheduler and all random states; a TorchModel's scaler and average too."""
        return copy_state(self._state_view())

    def _state_view(self) -> State:
        return {
            "weights": self._weights_view(),
            "optimizer": None
            if self.optimizer is None
            else state_encoding.encode(self.optimizer.state_dict(), "optimizer"),
            "scheduler": None
            if self.scheduler is None
            else state_encoding.encode(self.scheduler.state_dict(), "scheduler"),
            "random": state_encoding.random_states(self.device),
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            It is the state of another module, optimizer or scheduler.
        """
        self._check_state(state)
        self._fill(self.named_weights(), state["weights"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state_encoding.decode(state["optimizer"]))
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state_encoding.decode(state["scheduler"]))
        state_encoding.set_random_states(state["random"], self.device)

    def _check_state(self, state: State) -> None:
        missing = {"weights", "optimizer", "scheduler", "random"} - set(state)
        if missing:
            raise StateError(f"the state must be one of a torch model, got one without {sorted(missing)}")
        check_names(self.named_weights(), state["weights"])
        for what, part in (("optimizer", self.optimizer), ("scheduler", self.scheduler)):
            if (part is None) != (state[what] is None):
                saved, now = ("without", "with") if state[what] is None else ("with", "without")
                raise StateError(
                    f"the state was saved {saved} a {what}, this model is {now}; make it the same"
                )
        if self.optimizer is not None:
            _check_optimizer(self.optimizer, state_encoding.decode(state["optimizer"]))

    def save(self, filepath: StrPath, overwrite: bool = True) -> None:
        """Write the whole state to one safetensors file, atomically.

        A file can't make a module: make the model as before, then `load`.

        Raises
        ------
        FileExistsError
            The file is there, and overwrite is False.
        """
        self._write(filepath, overwrite, self.snapshot())

    def load(self, filepath: StrPath) -> None:
        """Restore what `save` wrote; raises StateError where it doesn't fit."""
        self.load_state_dict(storage.load(filepath))

    def save_weights(self, filepath: StrPath, overwrite: bool = True) -> None:
        """Write the weights to one safetensors file, each under its own name.

        ``safetensors.torch.load_file`` gives what ``module.load_state_dict``
        takes.
        """
        self._write(filepath, overwrite, self.snapshot(weights_only=True))

    def snapshot(self, weights_only: bool = False) -> State:
        """Give what `save`, or `save_weights`, writes; the arrays may be the tensors' own memory."""
        return self._weights_view() if weights_only else self._state_view()

    def _weights_view(self) -> dict[str, Array]:
        return {name: array_view(weight) for name, weight in self.named_weights().items()}

    def load_weights(self, filepath: StrPath) -> None:
        """Take the weights of a file that `save_weights` or `save` wrote.

        Raises
        ------
        StateError
            A name or a shape differs. Nothing is changed then.
        """
        state = storage.load(filepath)
        weights = state["weights"] if isinstance(state.get("weights"), dict) else state
        check_names(self.named_weights(), weights)
        self._fill(self.named_weights(), weights)

    def _write(self, filepath: StrPath, overwrite: bool, state: State) -> None:
        if not overwrite and path.exists(filepath):
            raise FileExistsError(f"'{fspath(filepath)}' exists; pass overwrite=True to replace it")
        storage.save(filepath, state)


def check_names(own: Mapping[str, Any], given: Mapping[str, Any], whose: str = "the module's") -> None:
    """Raise StateError unless names and shapes are the same."""
    for name in sorted(set(own) ^ set(given)):
        other = given if name in own else own
        lacks = "is missing in the file" if name in own else f"is not {whose}"
        raise StateError(f"weight {name!r} {lacks}{did_you_mean(name, set(other) - (set(own) & set(given)))}")
    for name, weight in own.items():
        if tuple(np.shape(given[name])) != tuple(weight.shape):
            raise StateError(
                f"{name} must have shape {tuple(weight.shape)}, got {tuple(np.shape(given[name]))}"
            )


def _check_optimizer(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Refuse the state of another optimizer, before anything is changed."""
    own = optimizer.state_dict()["param_groups"]
    try:
        groups = saved["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        keys = [set(group) for group in groups]
    except (KeyError, TypeError):
        raise StateError("the optimizer's state can't be read; it is of another kind") from None
    if sizes != [len(group["params"]) for group in own]:
        raise StateError(
            f"the optimizer must have groups of {sizes} parameters, as when it was saved, "
            f"got {[len(group['params']) for group in own]}"
        )
    for theirs, ours in zip(keys, own, strict=True):
        if theirs ^ set(ours):
            raise StateError(
                f"the state is of another optimizer than {type(optimizer).__name__}: "
                f"they differ in {', '.join(sorted(theirs ^ set(ours)))}"
            )
