"""LambdaCallback: a callback made of functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from onstage import Callback
from onstage.errors import did_you_mean
from onstage.hookspecs import STAGES, Stages

__all__ = ["LambdaCallback"]

Function = Callable[..., object]


class LambdaCallback(Callback):
    """Call functions at the stages that they are given for.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end
        Anything that can be called; None does nothing. A function names only
        the stage's arguments that it wants: ``lambda epoch, logs: …``.
    **functions
        For the other stages of `onstage.hookspecs`.

    Raises
    ------
    TypeError
        There is no such stage; it is no function; or it needs an argument that
        the stage doesn't offer. The message has the closest name.
    """

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **functions: Function | None,
    ) -> None:
        functions |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for stage, function in functions.items():
            if stage not in STAGES:
                raise TypeError(f"LambdaCallback has no argument {stage!r}{did_you_mean(stage, STAGES)}")
            if function is not None:
                setattr(self, stage, _hookable(stage, function))


def _hookable(stage: str, function: Any) -> Function:
    """Give a function that says which of the stage's arguments it takes."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{stage} must be a function, got {function!r}")
    wanted = _wanted(stage, function)
    if isinstance(function, (FunctionType, MethodType)) and all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in wanted
    ):
        return function

    # A partial, a callable object, a builtin: pluggy reads the arguments of plain
    # functions only, and gives them by position.
    def call(*given: Any) -> None:
        function(**{parameter.name: value for parameter, value in zip(wanted, given, strict=True)})

    plain = [inspect.Parameter(one.name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for one in wanted]
    call.__signature__ = inspect.Signature(plain)  # type: ignore[attr-defined]  # inspect reads it
    return call


def _wanted(stage: str, function: Function) -> list[inspect.Parameter]:
    offered = [name for name in inspect.signature(getattr(Stages, stage)).parameters if name != "self"]
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError as error:
        raise TypeError(
            f"{stage} must be a function whose arguments can be read, got {function!r}; wrap it in a lambda"
        ) from error
    wanted = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in offered:
            wanted.append(parameter)
        elif parameter.default is parameter.empty:
            raise TypeError(
                f"{stage} takes the argument {parameter.name!r}, which the stage does not offer"
                f"{did_you_mean(parameter.name, offered)}; it offers {', '.join(offered)}"
            )
    return wanted
