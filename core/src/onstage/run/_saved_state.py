"""Save, validate and restore the states of the model and the callbacks of a run."""

from __future__ import annotations

from typing import Any

from onstage.callbacks._options import describe_plugins
from onstage.errors import StateError
from onstage.model import State
from onstage.run import _fingerprint
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


def restore(run: Any, state: State) -> list[str]:
    """Restore model and callbacks; return texts of what differs in the callbacks.

    Raises
    ------
    StateError
        If the model or a callback cannot use its state.
    """
    if state["model"] is not None:
        _load("the model", run.model, state["model"])
    records = describe_plugins(run.bus.plugins())
    saved = _fingerprint.valid_records(state.get("plugins"))
    names = _fingerprint.match_callbacks(saved, records)
    left = dict(state["callbacks"])
    with_state = [one for one in saved if isinstance(left.get(one["name"]), dict) and left[one["name"]]]
    for name, plugin in run.bus.plugins():
        earlier = names.get(name, name)
        # A new callback has the name of another one, if that was matched to a third.
        if earlier in left and (name in names or earlier not in names.values()):
            _load(f"callback {name}", plugin, left.pop(earlier))
    differences = list(_fingerprint.describe_differences(with_state, records, names))
    if run.rank == 0:  # on ranks above 0 a callback may be missing because of its ``ranks``
        differences += [
            f"callback {name} of the saved run is not in this one, its state is left out"
            for name, saved_state in left.items()
            if isinstance(saved_state, dict) and saved_state
        ]
    return differences


def _load(who: str, owner: Any, saved: State) -> None:
    try:
        owner.load_state_dict(saved)
    except StateError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        # A file may hold anything, so the error is a fault of the file.
        raise StateError(
            f"the saved state of {who} cannot be used: {type(error).__name__}: {error}; "
            "resume with the program of the saved run, or start again without its backup"
        ) from error
