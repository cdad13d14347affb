"""Embedding: look up a vector for each integer."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from onstage.model import Array
from onstage.nn import initializers, regularizers, serialization
from onstage.nn.execution.ops import BindContext, Op
from onstage.nn.layers.base import Layer, LayerOptions, Shape
from onstage.nn.layers.row_sums import RowSums
from onstage.validation import validate_int


class Embedding(Layer):
    """Look up a vector for each integer.

    Parameters
    ----------
    input_dim
        Number of vectors; integers must be in [0, input_dim).
    output_dim
        Length of a vector, which becomes the last axis.

    Attributes
    ----------
    embeddings : Variable
        Shape ``(input_dim, output_dim)``.

    Examples
    --------
    >>> from onstage import Sequential
    >>> from onstage.layers import Embedding, Input
    >>> Sequential([Input((20,)), Embedding(1000, 16)]).output_shape
    (None, 20, 16)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: object = "uniform",
        embeddings_regularizer: object = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.input_dim = validate_int("input_dim", input_dim, 1)
        self.output_dim = validate_int("output_dim", output_dim, 1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)

    def build(self, input_shape: Shape) -> None:
        """Create the table."""
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            name="embeddings",
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape with `output_dim` appended."""
        return (*input_shape, self.output_dim)

    def input_dtype(self, dtype: np.dtype[np.floating]) -> np.dtype[Any]:
        """Return the type of an index."""
        return np.dtype(np.intp)

    def bind(self, x: Array, context: BindContext) -> list[Op]:
        """Make the op that looks up; its output has the channels last in memory."""
        table, table_gradient = self.embeddings.value, self.embeddings.gradient
        numbers = np.empty(x.size, np.intp)
        rows = context.empty((x.size, self.output_dim))
        # For samples (batch, d1, d2), x is (d2, d1, batch) and the output is
        # (output_dim, d1, d2, batch).
        order = (*range(1, x.ndim - 1), 0, x.ndim - 1) if x.ndim > 1 else (0,)
        lengths = [x.shape[axis] for axis in order]
        # A view: transposing the rows would cost more than looking them up.
        out = np.moveaxis(rows.reshape(*lengths, self.output_dim), -1, 0)
        x_gradient = context.empty((*x.shape[:-1], 0))
        sums = RowSums(x.size, self.input_dim, self.output_dim, context.dtype) if context.training else None

        def forward(x: Array) -> Array:
            np.copyto(numbers.reshape(lengths), x.transpose(order), casting="unsafe")
            self._check(numbers)
            np.take(table, numbers, axis=0, out=rows, mode="clip")
            return out

        def backward(x: Array, gradient: Array) -> Array:
            assert sums is not None
            np.copyto(sums.rows.reshape(*lengths, self.output_dim), np.moveaxis(gradient, 0, -1))
            sums.write(numbers, table_gradient)
            return x_gradient

        return [Op(out, forward, backward, reads_out=False)]

    def check_input(self, x: Array) -> None:
        """Raise ValueError for integers outside the table."""
        if x.size:
            self._check(x)

    def _check(self, numbers: Array) -> None:
        low, high = numbers.min(), numbers.max()
        if low < 0 or high >= self.input_dim:
            raise ValueError(
                f"x must hold integers in [0, {self.input_dim}) for the layer {self.name!r}, "
                f"got {low} to {high}; input_dim must be larger than every integer"
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        regularizer = self.embeddings_regularizer
        return {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": serialization.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizer and serialization.serialize(regularizer),
            **super().get_config(),
        }
