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

_ANYTHING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


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
        for stage, _function in functions.items():
            if stage not in STAGES:
                raise TypeError(f"LambdaCallback has no argument {stage!r}{did_you_mean(stage, STAGES)}")
        self._hook({stage: function for stage, function in functions.items() if function is not None})

    def _hook(self, functions: dict[str, Function]) -> None:
        self._functions = functions
        for stage, function in functions.items():
            setattr(self, stage, _hookable(stage, function))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the functions as they were given: a partial can be, what is made of it can't."""
        return {name: value for name, value in super().__getstate__().items() if name not in self._functions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hook(state["_functions"])


def _hookable(stage: str, function: Any) -> Function:
    """Give a plain function that takes the stage's arguments which this one wants."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{stage} must be a function, got {function!r}")
    wanted = _wanted(stage, function)
    if isinstance(function, (FunctionType, MethodType)) and all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in wanted
    ):
        return function
    # A partial, an object, a builtin: pluggy reads the arguments of plain functions
    # only, so one is written around it. The names in it are those of the contract.
    names = [parameter.name for parameter in wanted]
    given = ", ".join(f"{name}={name}" for name in names)
    around: Function = eval(f"lambda {', '.join(names)}: function({given})", {"function": function})
    return around


def _wanted(stage: str, function: Function) -> list[inspect.Parameter]:
    """Give those parameters of a function that the stage offers; refuse others it needs."""
    offered = [name for name in inspect.signature(getattr(Stages, stage)).parameters if name != "self"]
    try:
        parameters = inspect.signature(function).parameters.values()
        wanted = [parameter for parameter in parameters if parameter.name in offered]
        is_clear = bool(wanted) or not any(parameter.kind in _ANYTHING for parameter in parameters)
    except ValueError:  # A builtin that doesn't tell.
        is_clear = False
    if not is_clear:
        raise TypeError(
            f"{stage} must be a function that names the arguments it wants of {', '.join(offered)}, "
            f"got {function!r}; wrap it in a lambda"
        )
    for parameter in parameters:
        has_to_come = parameter.default is parameter.empty and parameter.kind not in _ANYTHING
        if has_to_come and parameter not in wanted:
            raise TypeError(
                f"{stage} takes the argument {parameter.name!r}, which the stage does not offer"
                f"{did_you_mean(parameter.name, offered)}; it offers {', '.join(offered)}"
            )
    return wanted
