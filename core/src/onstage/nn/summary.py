"""Text printed by ``model.summary()``."""

from __future__ import annotations

from collections.abc import Sequence

from onstage.nn.layers import Layer, Variable
from onstage.reporting import format_table


def format_summary(name: str, layers: Sequence[Layer], trainable: Sequence[Variable]) -> str:
    """Return a table of a model's layers, output shapes and weight counts."""
    header = ("Layer (type)", "Output shape", "Weights")
    head, *rows = format_table(header, [_row(layer) for layer in layers], right=(2,)).splitlines()
    rule = "-" * len(head)
    total = sum(variable.value.size for layer in layers for variable in layer.weights)
    trained = sum(variable.value.size for variable in trainable)
    counts = f"Total weights: {total:,} (trainable {trained:,}, others {total - trained:,})"
    return "\n".join([f"Model: {name}", rule, head, rule, *rows, rule, counts])


def _row(layer: Layer) -> tuple[str, str, str]:
    shape = "?" if layer.output_shape is None else str(layer.output_shape)
    count = "?" if not layer.built else f"{sum(v.value.size for v in layer.weights):,}"
    return f"{layer.name} ({type(layer).__name__})", shape, count
