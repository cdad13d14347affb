"""Which arguments a stage passes to a method, and how; decided at registration.

A method names the arguments that it uses, as in pluggy. A method of a Keras
stage may also take Keras's arguments in Keras's order under any names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, Signature
from types import CodeType, FunctionType
from typing import Any

from pluggy import HookImpl

from onstage.errors import did_you_mean
from onstage.hookspecs import KERAS_STAGES

Method = Callable[..., Any]

_NAMED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_STARS = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}


def adapt(impl: HookImpl, stage: str, offered: tuple[str, ...], label: str) -> Method | None:
    """Return a function through which pluggy calls a method; None if pluggy needs none.

    Parameters
    ----------
    offered
        Arguments of the stage in the order of its specification.
    label
        Name of the method in messages.

    Raises
    ------
    TypeError
        If the stage cannot pass what the method takes.
    """
    keras = tuple(name for name in offered if name != "run") if stage in KERAS_STAGES else ()
    if _is_plain(impl, offered, keras):
        return None
    try:
        signature = inspect.signature(impl.function)
    except (TypeError, ValueError):  # a builtin without a signature
        raise TypeError(
            f"{label} must have a signature that Python can read, got {impl.function!r}; wrap it in a lambda"
        ) from None
    arguments = _by_name(signature, offered, keras)
    if arguments is None:
        arguments = _by_position(signature, offered, keras)
    if arguments is None:
        raise TypeError(_refusal(signature, offered, keras, label))
    return _adapter(impl.function, arguments)


def _is_plain(impl: HookImpl, offered: tuple[str, ...], keras: tuple[str, ...]) -> bool:
    """Return whether pluggy's own call by name is right, without the cost of a signature."""
    code = code_of(impl.function)
    if code is None or not isinstance(getattr(impl.function, "__func__", impl.function), FunctionType):
        return False  # pluggy finds no other callables
    if code.co_posonlyargcount or code.co_kwonlyargcount:
        return False
    if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return False
    names = {*impl.argnames, *impl.kwargnames}
    return names.issubset(offered) or (names.issuperset(keras) and set(impl.argnames).issubset(offered))


def _by_name(
    signature: Signature, offered: tuple[str, ...], keras: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the arguments of a call by name as source; None if that would lose some of Keras's."""
    parameters = [each for each in signature.parameters.values() if each.kind in _NAMED]
    known = [each.name for each in parameters if each.name in offered]
    is_open = len(parameters) < len(signature.parameters)
    if (is_open or len(known) < len(parameters)) and not set(keras).issubset(known):
        return None
    if is_open and not known:
        return None
    arguments = []
    skipped = False
    for each in parameters:
        if each.name in offered:
            by_keyword = skipped or each.kind is Parameter.KEYWORD_ONLY
            arguments.append(f"{each.name}={each.name}" if by_keyword else each.name)
        else:
            skipped = True
    return tuple(arguments) if _binds(signature, arguments) is not None else None


def _by_position(
    signature: Signature, offered: tuple[str, ...], keras: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return Keras's arguments as source if the method takes exactly those, or ``*args``.

    Keras passes the logs of a batch by keyword and all else by position; where
    Python would refuse that, the other form is tried.
    """
    if not keras:
        return None
    keywords = {each.name for each in signature.parameters.values() if each.kind is Parameter.KEYWORD_ONLY}
    forms = [
        [
            *(name for name in keras if name not in by_keyword),
            *(f"{name}={name}" for name in offered if name in by_keyword),
        ]
        for by_keyword in (keywords, {*keywords, "logs"})
    ]
    if "batch" in keras:
        forms.reverse()
    for form in forms:
        bound = _binds(signature, form)
        if bound is not None:
            return tuple(form) if _takes_exactly(signature, bound, offered) else None
    return None


def _takes_exactly(signature: Signature, bound: Mapping[str, Any], offered: tuple[str, ...]) -> bool:
    """Return whether no parameter keeps its default, or gets what is another one's by name."""
    for each in signature.parameters.values():
        if each.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            given = bound.get(each.name)
            if given is None or (each.name in offered and given != each.name):
                return False
    return True


def _binds(signature: Signature, arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return which argument each parameter gets; None if Python would refuse the call."""
    positional = [each for each in arguments if "=" not in each]
    keywords = [each.partition("=")[0] for each in arguments if "=" in each]
    try:
        return dict(signature.bind(*positional, **dict(zip(keywords, keywords, strict=True))).arguments)
    except TypeError:
        return None


def _refusal(signature: Signature, offered: Iterable[str], keras: Iterable[str], label: str) -> str:
    parameters = signature.parameters.values()
    shown = ", ".join(f"{_STARS.get(each.kind.name, '')}{each.name}" for each in parameters)
    in_order = f", or take ({', '.join(keras)}) in this order" if keras else ""
    unknown = [each.name for each in parameters if each.kind in _NAMED and each.name not in offered]
    remedy = did_you_mean(unknown[0], offered) if unknown else ""
    if not unknown and len(signature.parameters):
        remedy = "; name them, or use functools.wraps in a decorator"
    return f"{label} must name its arguments from ({', '.join(offered)}){in_order}, got ({shown}){remedy}"


def _adapter(method: Method, arguments: tuple[str, ...]) -> Method:
    """Return a function with the argument names that pluggy reads."""
    # Each name is an argument of a hook specification, so that the source is safe.
    names = ", ".join(each.partition("=")[0] for each in arguments)
    source = f"lambda {names}: method({', '.join(arguments)})"
    adapter: Any = eval(source, {"method": method})
    adapter._onstage_call = method, arguments
    result: Method = adapter
    return result


def method_of(impl: HookImpl) -> Method:
    """Return the plugin's own method of an implementation."""
    method: Method = getattr(impl.function, "_onstage_call", (impl.function,))[0]
    return method


def arguments_of(impl: HookImpl, offered: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of a call as source: ``("epoch", "logs")``, ``("logs=logs",)``.

    Arguments with a default are passed too if the stage offers them; after one
    that it does not offer, by keyword.
    """
    adapted: tuple[Method, tuple[str, ...]] | None = getattr(impl.function, "_onstage_call", None)
    if adapted is not None:
        return adapted[1]
    given = list(impl.argnames)
    skipped = False
    for name in impl.kwargnames:
        if name in offered:
            given.append(f"{name}={name}" if skipped else name)
        else:
            skipped = True
    return tuple(given)


def code_of(function: Method) -> CodeType | None:
    """Return the code of a function, or of the one that it wraps; None for a builtin."""
    return getattr(inspect.unwrap(function), "__code__", None)
