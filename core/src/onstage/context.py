"""RunContext: the run as callbacks and hosts see it.

`onstage.Run` is one. An adapter for another trainer hands its own to the
callbacks: it must have everything that is here.
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
    """The plugins of a run; `onstage.Bus` is one."""

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; it is called before the earlier ones."""
        ...

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any:
        """Remove a plugin."""
        ...

    def is_registered(self, plugin: object) -> bool:
        """Return whether a plugin takes part."""
        ...

    def get_name(self, plugin: object) -> str | None:
        """Return the name of a plugin, or None if it doesn't take part."""
        ...

    def plugins(self) -> list[tuple[str, object]]:
        """Return names and plugins, first called first."""
        ...

    def implementations(self, stage: str) -> Sequence[HookImpl]:
        """Return the implementations of a stage, in the order of the calls."""
        ...


class RunContext(Protocol):
    """The run as callbacks and hosts see it: read it, stop it, save it."""

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
        """The names in the logs of on_epoch_end; None if unknown."""
        ...

    @property
    def epoch(self) -> int | None:
        """The current epoch, from 0; None outside."""
        ...

    @property
    def batch(self) -> int | None:
        """The current batch, from 0; None outside."""
        ...

    @property
    def batch_data(self) -> Any:
        """The data of the current batch; its arrays may be reused for the next one."""
        ...

    @property
    def batch_logs(self) -> Logs:
        """The current batch's own values; its running means are in ``logs``."""
        ...

    @property
    def rank(self) -> int:
        """The rank of this process among several; 0 if there is one."""
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
        """Whether the end of the training was requested."""
        ...

    @property
    def stop_reason(self) -> str | None:
        """The reason of the first `stop`; None until then."""
        ...

    @property
    def stopped_by(self) -> str | None:
        """The name of the callback that stopped the training; None until then."""
        ...

    @property
    def interruption(self) -> Interrupted | None:
        """The exception that a received signal will raise after this batch, or None."""
        ...

    def stop(self, reason: str, by: object | None = None) -> None:
        """End the training: no further batch or epoch, but every end fires."""
        ...

    def stop_on_signal(self, *signums: int) -> None:
        """Let a signal end the run after the current batch."""
        ...

    def emit(self, stage: str, **arguments: Any) -> Any:
        """Fire a stage that a plugin package added."""
        ...

    def where(self) -> str:
        """Return the place for messages: ``", epoch 3, batch 7"``."""
        ...

    def state_dict(self) -> State:
        """Copy everything that a resumed run needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from a saved state; call it in on_train_begin or earlier."""
        ...
