"""Convert torch's states to `onstage.model.State` and back, without pickle."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onstage.model import State
from onstage_torch.pytree import array_view

_PAIRS, _TUPLE, _COUNTER = "$pairs", "$tuple", "$counter"


def encode(value: Any, path: str = "state") -> Any:
    """Return a torch ``state_dict()`` as a State.

    Tensors become arrays on their own memory. Tuples, and dicts with keys that
    are not text, are marked, so that `decode` restores them.

    Raises
    ------
    TypeError
        If a value is not data; the message has its path.
    """
    match value:
        case Tensor():
            return array_view(value)
        case None | bool() | int() | float() | str() | np.ndarray() | np.generic():
            return value
        case Counter():
            return {_COUNTER: encode(list(value.items()), path)}
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: encode(item, f"{path}/{key}") for key, item in value.items()}
        case Mapping():
            pairs = [[encode(key, path), encode(item, f"{path}/{key}")] for key, item in value.items()]
            return {_PAIRS: pairs}
        case tuple():
            return {_TUPLE: [encode(item, path) for item in value]}
        case list():
            return [encode(item, path) for item in value]
    raise TypeError(f"{path} must hold tensors and plain values to be saved, got {type(value).__name__}")


def decode(value: Any) -> Any:
    """Return the torch state of an encoded one; arrays become tensors with their own memory."""
    match value:
        case np.ndarray():
            return torch.tensor(value)
        case {"$pairs": pairs}:
            return {decode(key): decode(item) for key, item in pairs}
        case {"$tuple": items}:
            return tuple(decode(item) for item in items)
        case {"$counter": items}:
            return Counter(dict(decode(items)))
        case dict():
            return {key: decode(item) for key, item in value.items()}
        case list():
            return [decode(item) for item in value]
    return value


def random_states(device: torch.device) -> State:
    """Return a copy of the states of all generators that a training step may use.

    These are torch's on the CPU and on the device, and the global ones of numpy
    and of Python, which transforms of the data use.
    """
    version, keys, gauss = random.getstate()
    states: State = {
        "cpu": array_view(torch.get_rng_state()),
        "numpy": dict(np.random.get_state(legacy=False)),  # noqa: NPY002 the global one is meant
        "python": {"version": version, "keys": np.array(keys, np.uint32), "gauss": gauss},
    }
    if device.type == "cuda":
        states["cuda"] = array_view(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states["mps"] = array_view(torch.mps.get_rng_state())
    return states


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's generators of the CPU and of one device.

    `torch.manual_seed` seeds those of all devices, and costs half a millisecond.
    """
    torch.default_generator.manual_seed(seed)
    of_devices = getattr(torch.get_device_module(device), "default_generators", ())  # The CPU's has none.
    if of_devices:
        of_devices[device.index].manual_seed(seed)


def set_random_states(states: State, device: torch.device) -> None:
    """Restore a result of `random_states`; a device that it lacks keeps its state."""
    torch.set_rng_state(torch.tensor(states["cpu"]))
    np.random.set_state(states["numpy"])  # noqa: NPY002 the global one is meant
    python = states["python"]
    random.setstate((python["version"], tuple(python["keys"].tolist()), python["gauss"]))
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(torch.tensor(states["cuda"]), device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(torch.tensor(states["mps"]))
