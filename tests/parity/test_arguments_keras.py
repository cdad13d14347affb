"""Methods of any signature receive what Keras passes; both names of a batch stage work as in Keras."""

import inspect
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage import Bus, Callback  # noqa: E402  # after the backend is chosen
from onstage.hookspecs import KERAS_STAGES  # noqa: E402

EXAMPLES = int(os.environ.get("ONSTAGE_PARITY_EXAMPLES", "300"))
LOGS = {"loss": 0.5}
KINDS = inspect._ParameterKind


def arguments(stage):
    if "epoch" in stage:
        return {"epoch": 3, "logs": LOGS}
    return {"batch": 3, "logs": LOGS} if "batch" in stage else {"logs": LOGS}


@st.composite
def signatures(draw):
    names = st.sampled_from(["epoch", "batch", "logs", "run", "e", "log", "extra"])
    parameters = [
        inspect.Parameter(name, draw(st.sampled_from([KINDS.POSITIONAL_OR_KEYWORD, KINDS.KEYWORD_ONLY])))
        for name in draw(st.lists(names, unique=True, max_size=4))
    ]
    parameters = [
        each.replace(default="default") if draw(st.booleans()) else each
        for each in [inspect.Parameter("self", KINDS.POSITIONAL_OR_KEYWORD), *parameters]
    ]
    parameters[0] = parameters[0].replace(default=inspect.Parameter.empty)
    if draw(st.booleans()):
        parameters.append(inspect.Parameter("args", KINDS.VAR_POSITIONAL))
    if draw(st.booleans()):
        parameters.append(inspect.Parameter("kwargs", KINDS.VAR_KEYWORD))
    parameters.sort(key=lambda each: (each.kind, each.default is not each.empty))
    return inspect.Signature(parameters)


def plugin(base, stage, signature, seen):
    namespace = {"keep": seen.append}
    exec(f"def method{signature}:\n    keep(dict(locals()))", namespace)
    return type("Plugin", (base,), {stage: namespace["method"]})()


def from_keras(stage, signature):
    """Return what the method gets from Keras, None if Keras's call is a TypeError."""
    seen = []
    callbacks = keras.callbacks.CallbackList(
        [plugin(keras.callbacks.Callback, stage, signature, seen)], add_history=False
    )
    if stage in ("on_train_end", "on_test_end", "on_predict_end"):
        getattr(callbacks, stage.replace("_end", "_begin"))({})
    try:
        getattr(callbacks, stage)(*arguments(stage).values())
    except TypeError:
        return None
    return {name: value for name, value in seen[-1].items() if name != "self"}


def from_us(stage, signature):
    """Return what the method gets from onstage, None if it is refused."""
    seen = []
    try:
        bus = Bus([plugin(Callback, stage, signature, seen)])
    except TypeError:
        return None
    bus.fire(stage, *arguments(stage).values(), "run")
    getattr(bus.hook, stage)(**arguments(stage), run="run")
    assert seen[0] == seen[1]
    return {name: value for name, value in seen[0].items() if name != "self"}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(KERAS_STAGES), signatures())
def test_what_keras_passes_arrives_by_name_or_in_the_order_of_keras(stage, signature):
    offered = {**arguments(stage), "run": "run"}
    named = [each for each in signature.parameters.values() if each.name not in ("self", "args", "kwargs")]
    is_open = len(named) + 1 < len(signature.parameters)

    ours = from_us(stage, signature)

    if all(each.name in offered for each in named) and not is_open:
        assert ours == {each.name: offered[each.name] for each in named}
        return
    if ours is None:
        return
    # A parameter with the name of an argument gets it; the others get Keras's, or all are there by name.
    assert all(ours[each.name] == offered[each.name] for each in named if each.name in offered)
    if set(arguments(stage)) <= {each.name for each in named}:
        return
    values = [value for name, value in ours.items() if name not in ("args", "kwargs", "run")]
    values += [*ours.get("args", ()), *ours.get("kwargs", {}).values()]
    assert all(value in values for value in arguments(stage).values())
    theirs = from_keras(stage, signature)
    if theirs is not None and "run" not in ours and not any(each.kind is each.KEYWORD_ONLY for each in named):
        assert ours == theirs


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(KERAS_STAGES), st.permutations(["a", "b"]), st.integers(0, 3))
def test_keras_arguments_under_other_names_are_accepted(stage, names, defaults):
    count = len(arguments(stage))
    parameters = [inspect.Parameter("self", KINDS.POSITIONAL_OR_KEYWORD)]
    for n, name in enumerate(names[:count]):
        default = "default" if n >= count - defaults else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, KINDS.POSITIONAL_OR_KEYWORD, default=default))

    ours = from_us(stage, inspect.Signature(parameters))

    assert ours == dict(zip(names, arguments(stage).values(), strict=False))
    # Keras passes the logs of a batch by keyword, which only a parameter of this name takes.
    assert from_keras(stage, inspect.Signature(parameters)) in (None, ours)


def over_two_classes(base, kinds):
    """Return a callback with some of the two methods in each of two classes, and its calls."""
    calls = []

    def add(parent, level, which):
        def make(name, calls_super):
            def method(self, batch, logs=None):
                calls.append((level, name, batch, dict(logs)))
                if calls_super:
                    getattr(super(made, self), name)(batch, logs=logs)

            return method

        made = type(level, (parent,), {name: make(name, calls_super) for name, calls_super in which.items()})
        return made

    return add(add(base, "upper", kinds[0]), "lower", kinds[1])(), calls


names_of_batch_end = st.sampled_from(["on_train_batch_end", "on_batch_end"])
methods = st.dictionaries(names_of_batch_end, st.booleans())


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.tuples(methods, methods))
def test_both_names_of_a_batch_stage_call_the_methods_that_keras_calls(kinds):
    ours, our_calls = over_two_classes(Callback, kinds)
    theirs, their_calls = over_two_classes(keras.callbacks.Callback, kinds)

    Bus([ours]).fire("on_train_batch_end", 3, LOGS, None)
    callbacks = keras.callbacks.CallbackList([theirs], add_history=False)
    callbacks.on_train_begin()
    callbacks.on_train_batch_end(3, LOGS)
    callbacks.on_train_end()

    assert our_calls == their_calls
