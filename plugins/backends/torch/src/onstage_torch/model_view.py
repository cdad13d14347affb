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
from onstage.validation import validate_optional_int
from onstage_torch import describe, files, fingerprint, state_encoding
from onstage_torch.callback_optimizer import steps_of
from onstage_torch.data.loader_order import LoaderPosition
from onstage_torch.distributed import ProcessGroup
from onstage_torch.files import StrPath, plain_names
from onstage_torch.learning_rate import LearningRates
from onstage_torch.module_view import ModuleView
from onstage_torch.optimizers import NamedOptimizers, Optimizers
from onstage_torch.pytree import array_view
from onstage_torch.state import Stateful, check_weights, copy_weights
from onstage_torch.stopping import StopAgreement


class TorchView(ModuleView):
    """A module and its optimizer, as callbacks see a model.

    It has weights, learning rate, state and files, but no steps: these are in
    your loop. `onstage_torch.TorchModel.view` returns one.

    Parameters
    ----------
    module
        Any module; of a DistributedDataParallel, the module inside.
    optimizer
        Optimizer of the module, or several, in a list or a dict by name, such
        as those of a GAN. Without one there is no ``learning_rate``.
    scheduler
        A torch scheduler of that optimizer, or several in the same way;
        callbacks can't set the rate then.
    agree_every
        With several processes: number of steps of the first optimizer after
        which they share requests to stop; None: once an epoch.
    group
        Processes that train together; None for those of torch.distributed.

    Attributes
    ----------
    rank, world
        Number of this process, and of all processes.
    optimizers, schedulers
        All of them by name, in a dict.

    Examples
    --------
    >>> module = nn.Linear(2, 1)
    >>> view = TorchView(module, torch.optim.SGD(module.parameters(), lr=0.1))
    >>> view.learning_rate
    0.1
    """

    _settings: Sequence[str] = ()

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizers | None = None,
        scheduler: Any = None,
        *,
        agree_every: int | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(module)
        self._group = group or ProcessGroup.current(self.device)
        self.rank, self.world = self._group.rank, self._group.world
        self._stopping = StopAgreement(self._group, validate_optional_int("agree_every", agree_every, 1))
        self._named = NamedOptimizers(optimizer, scheduler)
        self.optimizers, self.schedulers = self._named.optimizers, self._named.schedulers
        self._gradient_hooks: list[Any] = []
        self._parts: Sequence[Stateful] = ()
        first = self.optimizer
        if group is None and agree_every is not None and first is not None:
            first.register_step_post_hook(lambda *_: self._stopping.after_step(steps_of(first)))

    def __repr__(self) -> str:
        return describe.format_model(self, self._settings)

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The optimizer, the first of several; it cannot be replaced.

        It is the object that was passed, or the one inside a wrapper such as
        Accelerate's, with the attributes that callbacks of Keras use: see
        `callback_optimizer.extend`.
        """
        return next(iter(self.optimizers.values()), None)

    @property
    def scheduler(self) -> Any:
        """The torch scheduler, the first of several; None if there is none."""
        return next(iter(self.schedulers.values()), None)

    # -- stopping

    @property
    def stop_training(self) -> bool:
        """Whether to stop; with several processes, whether they have agreed to."""
        return self._stopping.agreed

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self._stopping.request(stop)

    def agree_on_stop(self, interrupted: bool | None = None) -> str | None:
        """Share requests to stop, or signals to end, between the processes; return whose it was, as text."""
        rank = self._stopping.sync() if interrupted is None else self._group.first_rank_stopping(interrupted)
        return None if rank is None else f"process {rank} asked to stop"

    # -- learning rate

    @property
    def learning_rate(self) -> LearningRate:
        """Rate of the first optimizer's first group, a float with ``assign``.

        Setting it sets all groups of all optimizers, in proportion: a group with
        a tenth of the first one's rate keeps a tenth. Setting it raises
        TypeError with a scheduler; reading it raises AttributeError without an
        optimizer.
        """
        return LearningRate(self._existing_rates().first, self)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._existing_rates().first = rate

    @property
    def learning_rates(self) -> dict[str, LearningRate]:
        """Rate of each optimizer by name; ``assign`` sets that optimizer's alone."""
        owners: dict[str, Any] = dict(self.optimizers)
        return {name: owner.learning_rate for name, owner in owners.items()}

    def _existing_rates(self) -> LearningRates:
        if self._named.rates is None:
            raise AttributeError("learning_rate needs an optimizer; pass it with the module")
        return self._named.rates

    # -- called by a run

    def with_position(self, data: Iterable[Any]) -> Iterable[Any]:
        """Return the data of a loop of one's own; a DataLoader with a position that is saved."""
        return LoaderPosition(data) if isinstance(data, DataLoader) else data

    def set_gradient_callback(self, function: Callable[[list[Tensor | None]], None] | None) -> None:
        """Call a function with the gradients before each step of an optimizer.

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
        while self._gradient_hooks:
            self._gradient_hooks.pop().remove()
        if function is None:
            return
        if not self.optimizers:
            raise TypeError("gradients need an optimizer; pass it with the module")

        def before_step(*_: object) -> None:
            function([each.grad for each in self._module.parameters() if each.requires_grad])

        for each in self.optimizers.values():
            self._gradient_hooks.append(each.register_step_pre_hook(before_step))

    # -- state and files

    def fingerprint(self) -> State:
        """Return optimizers and loss as plain data, to compare with those of a saved run."""
        made = fingerprint.of_optimizers(self.optimizers, self.schedulers)
        return {**made, "loss": fingerprint.of_loss(getattr(self, "loss", None))}

    def state_dict(self) -> State:
        """Return a copy of weights, optimizer, scheduler and all random states.

        That of a `TorchModel` has its scaler, average and loss too.
        """
        return copy_state(self._state_view())

    def _state_view(self) -> State:
        """Return the state on the tensors' own memory."""
        state = {
            "weights": self._weights_view(),
            **self._named.state_dict(),
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
        self._named.load_state_dict(state)
        state_encoding.set_random_states(state["random"], self.device)
        for each in self._parts:
            each.load_state_dict(state)

    def _check_state(self, state: State) -> None:
        missing = {"weights", "optimizer", "scheduler", "random"} - set(state)
        if missing:
            raise StateError(f"the state must be one of a torch model, got one without {sorted(missing)}")
        check_weights(plain_names(state["weights"]), plain_names(self.named_weights()))
        self._named.check_state(state)
        for each in self._parts:
            each.check_state(state)

    def snapshot(self, weights_only: bool = False) -> State:
        """Return the content of `save`, or of `save_weights`.

        Arrays may be on the tensors' own memory.
        """
        return self._weights_view() if weights_only else self._state_view()

    def snapshot_writer(
        self, filepath: StrPath, weights_only: bool = False
    ) -> Callable[[StrPath, State], None]:
        """Return the function that writes a snapshot; raise ValueError for suffixes such as ``.pt``."""
        files.check_writable(filepath, overwrite=True)
        return storage.save

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
