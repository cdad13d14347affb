"""TorchView: a module as callbacks see a model, for a training loop of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from onstage.callbacks.learning_rate import LearningRate
from onstage.errors import StateError
from onstage.model import Array, State
from onstage.state import copy_state, storage
from onstage_torch import callback_optimizer, files, state_encoding
from onstage_torch.data.loader_order import LoaderPosition
from onstage_torch.files import StrPath, plain_names
from onstage_torch.learning_rate import LearningRates
from onstage_torch.module_view import ModuleView
from onstage_torch.pytree import array_view
from onstage_torch.state import Stateful, check_optimizer, check_weights, copy_weights


class TorchView(ModuleView):
    """A module and its optimizer, as callbacks see a model.

    It has weights, learning rate, state and files, but no steps: these are in
    your loop. `onstage_torch.TorchModel.view` returns one.

    Parameters
    ----------
    module
        Any module.
    optimizer
        Optimizer of the module; without one there is no ``learning_rate``.
    scheduler
        A torch scheduler of that optimizer; callbacks can't set the rate then.

    Attributes
    ----------
    stop_training
        Set to True by a callback to end training; read by `onstage.Run`.

    Examples
    --------
    >>> module = nn.Linear(2, 1)
    >>> view = TorchView(module, torch.optim.SGD(module.parameters(), lr=0.1))
    >>> view.learning_rate
    0.1
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
    ) -> None:
        super().__init__(module)
        self._optimizer = optimizer
        self._scheduler = scheduler
        self.stop_training = False
        self._gradient_hook: Any = None
        self._parts: Sequence[Stateful] = ()
        self._rates = None if optimizer is None else LearningRates(optimizer, scheduler)
        if optimizer is not None and self._rates is not None:
            callback_optimizer.extend(optimizer, self._rates)

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The optimizer; its groups may be changed, but it cannot be replaced.

        It is the object that was passed, with the attributes that callbacks of
        Keras use: see `callback_optimizer.extend`.
        """
        return self._optimizer

    @property
    def scheduler(self) -> Any:
        """The torch scheduler; None if there is none."""
        return self._scheduler

    # -- learning rate

    @property
    def learning_rate(self) -> LearningRate:
        """Rate of the optimizer's first group, a float with ``assign``.

        Setting it sets all groups, in proportion: a group with a tenth of the
        first one's rate keeps a tenth. Setting it raises TypeError with a
        scheduler; reading it raises AttributeError without an optimizer.
        """
        return LearningRate(self._existing_rates().first, self)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._existing_rates().first = rate

    def _existing_rates(self) -> LearningRates:
        if self._rates is None:
            raise AttributeError("learning_rate needs an optimizer; pass it with the module")
        return self._rates

    # -- called by a run

    def with_position(self, data: Iterable[Any]) -> Iterable[Any]:
        """Return the data of a loop of one's own; a DataLoader with a position that is saved."""
        return LoaderPosition(data) if isinstance(data, DataLoader) else data

    def set_gradient_callback(self, function: Callable[[list[Tensor | None]], None] | None) -> None:
        """Call a function with the gradients before each step of the optimizer.

        Parameters
        ----------
        function
            Takes the gradients of the module's trainable parameters, in their
            order; None for a parameter without one. None ends the calls.

        Raises
        ------
        TypeError
            If there is no optimizer.
        """
        if self._gradient_hook is not None:
            self._gradient_hook.remove()
            self._gradient_hook = None
        if function is None:
            return
        if self._optimizer is None:
            raise TypeError("gradients need an optimizer; pass it with the module")

        def before_step(*_: object) -> None:
            function([each.grad for each in self._module.parameters() if each.requires_grad])

        self._gradient_hook = self._optimizer.register_step_pre_hook(before_step)

    # -- state and files

    def state_dict(self) -> State:
        """Return a copy of weights, optimizer, scheduler and all random states.

        That of a `TorchModel` has its scaler, average and loss too.
        """
        return copy_state(self._state_view())

    def _state_view(self) -> State:
        """Return the state on the tensors' own memory."""
        parts = {"optimizer": self.optimizer, "scheduler": self.scheduler}
        state = {
            "weights": self._weights_view(),
            **{
                name: None if part is None else state_encoding.encode(part.state_dict(), name)
                for name, part in parts.items()
            },
            "iterations": callback_optimizer.steps_of(self.optimizer),
            "random": state_encoding.random_states(self.device),
        }
        for each in self._parts:
            state |= each.state_dict()
        return state

    def load_state_dict(self, state: State) -> None:
        """Restore a result of `state_dict`, to the bit; all of it or nothing.

        Raises
        ------
        StateError
            If it is the state of another module, optimizer, scheduler or setting.
        """
        self._check_state(state)
        copy_weights(plain_names(state["weights"]), plain_names(self.named_weights()))
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state_encoding.decode(state["optimizer"]))
            callback_optimizer.set_steps(self.optimizer, state.get("iterations", 0))
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state_encoding.decode(state["scheduler"]))
        state_encoding.set_random_states(state["random"], self.device)
        for each in self._parts:
            each.load_state_dict(state)

    def _check_state(self, state: State) -> None:
        missing = {"weights", "optimizer", "scheduler", "random"} - set(state)
        if missing:
            raise StateError(f"the state must be one of a torch model, got one without {sorted(missing)}")
        check_weights(plain_names(state["weights"]), plain_names(self.named_weights()))
        for name, part in (("optimizer", self.optimizer), ("scheduler", self.scheduler)):
            if (part is None) != (state[name] is None):
                saved, now = ("without", "with") if state[name] is None else ("with", "without")
                raise StateError(
                    f"the state was saved {saved} a {name}, this model is {now}; make the model the same"
                )
        if self.optimizer is not None:
            check_optimizer(state_encoding.decode(state["optimizer"]), self.optimizer)
        for each in self._parts:
            each.check_state(state)

    def snapshot(self, weights_only: bool = False) -> State:
        """Return the content of `save`, or of `save_weights`.

        Arrays may be on the tensors' own memory.
        """
        return self._weights_view() if weights_only else self._state_view()

    def _weights_view(self) -> dict[str, Array]:
        return {name: array_view(weight) for name, weight in self.named_weights().items()}

    def save(self, filepath: StrPath, overwrite: bool = True) -> None:
        """Write the whole state to one safetensors file, atomically.

        The file does not hold the module: make the model as before, then `load`.

        Raises
        ------
        ValueError
            If the suffix is that of another format, such as ``.pt``.
        FileExistsError
            If the file exists and overwrite is False.
        """
        files.check_writable(filepath, overwrite)
        storage.save(filepath, self.snapshot())

    def load(self, filepath: StrPath) -> None:
        """Restore a file of `save`; raise StateError if it does not fit."""
        self.load_state_dict(files.read(filepath))

    def save_weights(self, filepath: StrPath, overwrite: bool = True) -> None:
        """Write the weights to one safetensors file, each under its own name.

        ``safetensors.torch.load_file`` reads it for ``module.load_state_dict``.
        Errors as in `save`.
        """
        files.check_writable(filepath, overwrite)
        storage.save(filepath, self.snapshot(weights_only=True))

    def load_weights(self, filepath: StrPath, strict: bool = True) -> files.LoadedWeights:
        """Restore the weights of a file of `save_weights` or `save`.

        Parameters
        ----------
        strict
            False restores the weights that fit by name and shape, for a module
            with another head.

        Returns
        -------
        LoadedWeights
            Names that were left: ``missing_keys``, ``unexpected_keys``,
            ``mismatched_keys``.

        Raises
        ------
        StateError
            If a name or a shape differs; if not strict, if nothing fits.
            Nothing is changed then.
        """
        return files.load_weights(files.read(filepath), self.named_weights(), strict=strict)
