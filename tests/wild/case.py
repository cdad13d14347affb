"""Case: a published callback, how it is made, and what differs where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Case:
    """One published callback in one training.

    Parameters
    ----------
    make
        Returns the callbacks, from the published module and the model.
    kept
        Returns what the callbacks hold afterwards, to be compared.
    mask
        Pattern of printed text that no two runs share, such as times.
    refused
        Column to a part of the error that it raises.
    reference
        The callbacks of the reference, if no version of Keras here runs its own.
    printed
        The text that they print then.
    torch_formula
        Whether torch's update has another formula, so that only rates, text
        and what is kept are compared there.
    """

    name: str
    module: str
    make: Callable[[Any, Any], list[Any]]
    kept: Callable[[list[Any]], Any] = lambda callbacks: None
    epochs: int = 4
    learning_rate: float = 0.1
    momentum: float = 0.0
    mask: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    reference: Callable[[Any, Any], list[Any]] | None = None
    printed: str | None = None
    torch_formula: bool = False

    def __str__(self) -> str:
        return self.name


class Lines:
    """Stands for the client of a tracker, or a function that sends."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def log(self, line: Any) -> None:
        self.lines.append(line)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.lines.append((args, sorted(kwargs.items())))


def attributes(*names: str) -> Callable[[list[Any]], Any]:
    return lambda callbacks: [getattr(callbacks[0], name) for name in names]


def sends(attribute: str) -> Callable[[list[Any]], Any]:
    return lambda callbacks: getattr(callbacks[0], attribute).lines


NO_FILES_OF_KERAS = {"torch": "the suffix of another format"}
"""Files of Keras hold layers of Keras, which a torch module has not."""
