"""The state of an optimizer as the list of variables that Keras saves.

Keras saves the number of steps, the learning rate unless it is a schedule, the
moving averages of the weights, then the slots, each with a variable for every
weight that is trained. onstage's slots are flat and cover frozen weights too,
and those of Adam and RMSprop are discounted sums where Keras has means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onstage.errors import StateError
from onstage.model import Array, State


class Parameter(NamedTuple):
    """A weight that has slots: its position in them, its shape, and whether it is trained."""

    position: slice
    shape: tuple[int, ...]
    trained: bool


def to_variables(
    config: Mapping[str, Any], training: State, slots: Mapping[str, Array], parameters: Sequence[Parameter]
) -> list[Array]:
    """Return the variables that Keras saves.

    Parameters
    ----------
    config
        Configuration of the optimizer, of `serialization.serialize`.
    training
        Number of steps and learning rate.
    """
    steps = training["iterations"]
    variables = [np.array(steps, np.int32 if steps < 2**31 else np.int64)]
    if training["learning_rate"] is not None:
        variables.append(np.array(training["learning_rate"], np.float32))
    for slot, factor, parameter in _order(config, parameters):
        part = slots[slot][parameter.position].reshape(parameter.shape)
        variables.append(part if factor == 1 else part * part.dtype.type(factor))
    return variables


def from_variables(
    config: Mapping[str, Any],
    variables: Sequence[Array],
    fresh: State,
    parameters: Sequence[Parameter],
) -> State:
    """Return the state of an optimizer from the variables that Keras saved.

    Parameters
    ----------
    fresh
        State of the optimizer as made, whose slots are overwritten: those of
        frozen weights are not in the file.

    Raises
    ------
    StateError
        If number or shapes of the variables don't fit.
    """
    scheduled = fresh["learning_rate"] is None
    numbers, rest = variables[: 2 - scheduled], variables[2 - scheduled :]
    order = list(_order(config, parameters))
    numbers_fit = [each.shape for each in numbers] == [()] * (2 - scheduled)
    if numbers_fit and not rest and numbers[0] == 0:
        return fresh  # It was saved before its first use, without slots.
    shapes = [parameter.shape for _, _, parameter in order]
    if not numbers_fit or [each.shape for each in rest] != shapes:
        raise StateError(
            f"the optimizer's variables must be {2 - scheduled} numbers and the shapes {shapes}, "
            f"got {[each.shape for each in variables]}; pass compile=False to load the model without it"
        )
    for (slot, factor, parameter), values in zip(order, rest, strict=True):
        fresh["slots"][slot][parameter.position] = values.ravel() / values.dtype.type(factor)
    fresh["iterations"] = int(numbers[0])
    if not scheduled and np.float32(fresh["learning_rate"]) != np.float32(numbers[1]):
        fresh["learning_rate"] = float(numbers[1])
    return fresh


def _order(
    config: Mapping[str, Any], parameters: Sequence[Parameter]
) -> Iterator[tuple[str, float, Parameter]]:
    """Yield the slot, the factor from ours to Keras's, and the weight of each variable."""
    for together in slot_order(config):
        for parameter in parameters:
            if parameter.trained:
                yield from ((slot, factor, parameter) for slot, factor in together)


def slot_order(optimizer: Mapping[str, Any]) -> list[list[tuple[str, float]]]:
    """Return the slots in Keras's order, those that alternate in one list, with their factors.

    Raises
    ------
    ValueError
        If Keras has no such optimizer.
    """
    config = optimizer["config"]
    average: list[list[tuple[str, float]]] = [[("ema_average", 1)]] if config["use_ema"] else []
    match optimizer["class_name"]:
        case "SGD":
            return average + [[("velocity", 1)]] * bool(config["momentum"])
        case "Adagrad":
            return [*average, [("square_sum", 1)]]
        case "RMSprop":
            factor = 1 - config["rho"]
            own = [[("square_sum", factor)]] + [[("velocity", 1)]] * bool(config["momentum"])
            return average + own + [[("gradient_sum", factor)]] * config["centered"]
        case "Adam" | "AdamW":
            first, second = 1 - config["beta_1"], 1 - config["beta_2"]
            own = [[("gradient_sum", first), ("square_sum", second)]]
            return average + own + [[("greatest_square_sum", second)]] * config["amsgrad"]
    raise ValueError(
        "optimizer must be SGD, RMSprop, Adam, AdamW or Adagrad in a file of Keras, "
        f"got {optimizer['class_name']}; save without the suffix '.keras' instead"
    )
