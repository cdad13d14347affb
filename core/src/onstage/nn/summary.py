"""The table that ``model.summary()`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from onstage.nn.layers import Layer, Variable


def table(name: str, layers: Sequence[Layer], trainable: Sequence[Variable]) -> str:
    """Write a model as a table of its layers, and the numbers of its weights."""
    head = ("Layer (type)", "Output shape", "Weights")
    rows = [head, *(_row(layer) for layer in layers)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        f"{layer:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}" for layer, shape, count in rows
    ]
    rule = "-" * len(lines[0])
    total = sum(variable.value.size for layer in layers for variable in layer.weights)
    trained = sum(variable.value.size for variable in trainable)
    counts = f"Total weights: {total:,} (trainable {trained:,}, others {total - trained:,})"
    return "\n".join([f"Model: {name}", rule, lines[0], rule, *lines[1:], rule, counts])


def _row(layer: Layer) -> tuple[str, str, str]:
    shape = "?" if layer.output_shape is None else str(layer.output_shape)
    count = "?" if not layer.built else f"{sum(v.value.size for v in layer.weights):,}"
    return f"{layer.name} ({type(layer).__name__})", shape, count
