"""Save, validate and restore the states of the model and the callbacks of a run."""

from __future__ import annotations

from typing import Any

from onstage.errors import StateError
from onstage.model import State
from onstage.run import _setup
from onstage.validation import validate_state


def of_run(run: Any, *, model: bool) -> State:
    """Return copies of the states of model and callbacks.

    Parameters
    ----------
    model
        Whether to include the state of the model.
    """
    has_state = model and hasattr(run.model, "state_dict")
    return {
        "model": run.model.state_dict() if has_state else None,
        "callbacks": {
            name: plugin.state_dict() for name, plugin in run.bus.plugins() if hasattr(plugin, "state_dict")
        },
        "plugins": run.history.plugins,
    }


def validate(state: State) -> int:
    """Return the epoch of a saved run. Raise StateError if it is not the state of a run."""
    nothing = type(None)
    epoch, batch, accumulator, *_ = validate_state(
        state,
        epoch=int,
        batch=int,
        accumulator=(dict, nothing),
        data=(dict, nothing),
        model=(dict, nothing),
    )
    validate_state(state, callbacks=dict)
    if batch and accumulator is None:
        raise StateError(f"a state saved after {batch} batches of an epoch must have their metrics")
    return int(epoch)


def restore(run: Any, state: State) -> None:
    """Restore model and callbacks.

    Raises
    ------
    StateError
        If a callback cannot use its state.
    """
    if state["model"] is not None:
        run.model.load_state_dict(state["model"])
    present = dict(run.bus.plugins())
    for name, saved in state["callbacks"].items():
        plugin: Any = present.get(name)
        if plugin is not None:
            _restore_plugin(name, plugin, saved)
        # On ranks above 0 a callback may be missing because of its ``ranks``.
        elif isinstance(saved, dict) and saved and run.rank == 0:
            _setup.warn(f"callback {name} of the saved run is not in this one; its state is left out")


def _restore_plugin(name: str, plugin: Any, saved: State) -> None:
    try:
        plugin.load_state_dict(saved)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A file may hold anything, so the error is a fault of the file.
        raise StateError(
            f"the saved state of callback {name} cannot be used: {type(error).__name__}: {error}; "
            "resume with the callbacks of the saved run, or start again without its backup"
        ) from error
