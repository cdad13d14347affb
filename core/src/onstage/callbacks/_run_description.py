"""What an experiment tracker keeps of a run beside its metrics: params and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onstage
from onstage.callbacks._options import describe_plugins, is_secret
from onstage.context import RunContext
from onstage.logs import as_number


def collect_params(run: RunContext, tracker: object, further: Mapping[str, Any]) -> dict[str, Any]:
    """Return sizes of the training, loss and optimizer of the model, options of the callbacks.

    Parameters
    ----------
    tracker
        The callback that asks; its own options are left out.
    further
        Params of the user; they replace others of the same name.
    """
    found = {name: run.params.get(name) for name in ("epochs", "steps", "batch_size", "samples")}
    if hasattr(run.model, "fingerprint"):
        found |= _flat(run.model.fingerprint())
    else:
        found |= numbers_of({"learning_rate": getattr(run.model, "learning_rate", None)})
    for record in describe_plugins([one for one in run.bus.plugins() if one[1] is not tracker]):
        found |= {f"{record['name']}.{name}": value for name, value in record["options"].items()}
    found |= further
    return {name: value for name, value in found.items() if value is not None and not is_secret(name)}


def collect_tags(run: RunContext, further: Mapping[str, object]) -> dict[str, str]:
    """Return the model's class, the callbacks and the versions of their packages, and the user's tags."""
    plugins = describe_plugins(run.bus.plugins())
    found = {"onstage": onstage.__version__, "callbacks": ", ".join(one["name"] for one in plugins)}
    if run.model is not None:
        found["model"] = type(run.model).__name__
    found |= {one["distribution"]: one["version"] for one in plugins if one["distribution"]}
    found |= {name: str(value) for name, value in further.items()}
    return {name: value for name, value in found.items() if not is_secret(name)}


def numbers_of(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the numbers among the values of logs."""
    numbers = {name: as_number(value) for name, value in (logs or {}).items()}
    return {name: value for name, value in numbers.items() if isinstance(value, float)}


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested dict as one level, ``{"optimizer.epsilon": 1e-7}``."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (str, int, float)):
            found[prefix + name] = value
        elif isinstance(value, (list, tuple)):
            found[prefix + name] = ", ".join(map(str, value))
    return found
