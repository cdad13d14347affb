"""RunContext: the interface of a run for callbacks and adapters.

`onstage.Run` implements it. An adapter for another trainer passes its own
object to the callbacks, with every member of the protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pluggy import HookImpl

    from onstage.errors import Interrupted
    from onstage.logs import Logs
    from onstage.model import State


class PluginRegistry(Protocol):
    """The plugins of a run; implemented by `onstage.Bus`."""

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin to be called before all others; return its name."""
        ...

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any:
        """Remove a plugin and return it."""
        ...

    def is_registered(self, plugin: object) -> bool:
        """Return whether a plugin is registered."""
        ...

    def get_name(self, plugin: object) -> str | None:
        """Return the name of a plugin, or None if it is not registered."""
        ...

    def plugins(self) -> list[tuple[str, object]]:
        """Return names and plugins in call order."""
        ...

    def implementations(self, stage: str) -> Sequence[HookImpl]:
        """Return the implementations of a stage in call order."""
        ...


class RunContext(Protocol):
    """A run: its position and data, and the ways to stop and to save it."""

    @property
    def model(self) -> Any:
        """The model being trained; None in a run without one."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """``{"verbose", "epochs", "steps", "batch_size", "samples"}``, None if unknown."""
        ...

    @property
    def bus(self) -> PluginRegistry:
        """The plugins of this run."""
        ...

    @property
    def metric_names(self) -> Sequence[str] | None:
        """Names in the logs of on_epoch_end; None if unknown."""
        ...

    @property
    def epoch(self) -> int | None:
        """Number of the current epoch, from 0; None outside an epoch."""
        ...

    @property
    def batch(self) -> int | None:
        """Number of the current batch, from 0; None outside a batch."""
        ...

    @property
    def batch_data(self) -> Any:
        """Data of the current batch; its arrays may be reused for the next one."""
        ...

    @property
    def batch_logs(self) -> Logs:
        """Values of the current batch alone; ``logs`` holds the running means."""
        ...

    @property
    def rank(self) -> int:
        """Rank of this process; 0 if there is only one."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether the run continues a saved one: append to files, don't truncate them."""
        ...

    @property
    def is_training(self) -> bool:
        """Whether the run is between on_train_begin and on_train_end."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether a stop of the training was requested."""
        ...

    @property
    def stop_reason(self) -> str | None:
        """Reason given to the first `stop`; None until then."""
        ...

    @property
    def stopped_by(self) -> str | None:
        """Name of the callback that stopped the training, or None."""
        ...

    @property
    def interruption(self) -> Interrupted | None:
        """Exception that a received signal will raise after this batch, or None."""
        ...

    def stop(self, reason: str, by: object | None = None) -> None:
        """Stop the training: run no further batch or epoch, fire all end stages."""
        ...

    def stop_on_signal(self, *signums: int) -> None:
        """End the run after the current batch when a signal is received."""
        ...

    def emit(self, stage: str, **arguments: Any) -> Any:
        """Fire a stage that a plugin added."""
        ...

    def where(self) -> str:
        """Return the position for messages: ``", epoch 3, batch 7"``, the epoch from 1, the batch from 0."""
        ...

    def state_dict(self) -> State:
        """Return a copy of the state that a resumed run needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a saved state; call it in on_train_begin or earlier."""
        ...
