"""LambdaCallback: a callback composed of functions."""

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
    """Call a function at each stage that has one.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end
        Any callable, or None. A function names only the arguments of the stage
        that it uses: ``lambda epoch, logs: …``.
    **functions
        The same for the other stages of `onstage.hookspecs`.

    Raises
    ------
    TypeError
        If there is no such stage, the value is not a function, or it requires
        an argument that the stage does not offer. The message has the closest
        name.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> result = replay(show, [{"loss": 3.0}, {"loss": 1.0}])
    0 3.0
    1 1.0
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
        for stage in functions:
            if stage not in STAGES:
                raise TypeError(f"LambdaCallback has no argument {stage!r}{did_you_mean(stage, STAGES)}")
        self._hook({stage: function for stage, function in functions.items() if function is not None})

    def _hook(self, functions: dict[str, Function]) -> None:
        self._functions = functions
        for stage, function in functions.items():
            setattr(self, stage, _hookable(stage, function))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the functions given: the wrapper of a partial can't be pickled."""
        return {name: value for name, value in super().__getstate__().items() if name not in self._functions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._hook(state["_functions"])


def _hookable(stage: str, function: Any) -> Function:
    """Return a plain function that takes the arguments of the stage that this one uses."""
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{stage} must be a function, got {function!r}")
    used = _used(stage, function)
    if isinstance(function, (FunctionType, MethodType)) and all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in used
    ):
        return function
    # pluggy reads the arguments of plain functions only: wrap partials, objects and
    # builtins in one. The names in its source are arguments of a hook specification.
    names = [parameter.name for parameter in used]
    passed = ", ".join(f"{name}={name}" for name in names)
    wrapper: Function = eval(f"lambda {', '.join(names)}: function({passed})", {"function": function})
    return wrapper


def _used(stage: str, function: Function) -> list[inspect.Parameter]:
    """Return the parameters that the stage offers; raise if others are required."""
    offered = [name for name in inspect.signature(getattr(Stages, stage)).parameters if name != "self"]
    try:
        parameters = inspect.signature(function).parameters.values()
        used = [parameter for parameter in parameters if parameter.name in offered]
        is_clear = bool(used) or not any(parameter.kind in _ANYTHING for parameter in parameters)
    except ValueError:  # a builtin without a signature
        is_clear = False
    if not is_clear:
        raise TypeError(
            f"{stage} must be a function that names the arguments it uses of {', '.join(offered)}, "
            f"got {function!r}; wrap it in a lambda"
        )
    for parameter in parameters:
        required = parameter.default is parameter.empty and parameter.kind not in _ANYTHING
        if required and parameter not in used:
            raise TypeError(
                f"{stage} takes the argument {parameter.name!r}, which the stage does not offer"
                f"{did_you_mean(parameter.name, offered)}; it offers {', '.join(offered)}"
            )
    return used
