"""Layers of a `Sequential` model."""

from __future__ import annotations

from onstage.nn import serialization
from onstage.nn.layers.base import Layer
from onstage.nn.layers.batch_normalization import BatchNormalization
from onstage.nn.layers.convolution import Conv1D, Conv2D
from onstage.nn.layers.core import Activation, Dropout, Input
from onstage.nn.layers.dense import Dense
from onstage.nn.layers.embedding import Embedding
from onstage.nn.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
)
from onstage.nn.layers.normalization import LayerNormalization
from onstage.nn.layers.pooling import AveragePooling1D, AveragePooling2D, MaxPooling1D, MaxPooling2D
from onstage.nn.layers.reshape import Flatten, Reshape
from onstage.nn.layers.variable import Variable

# Keras's short names.
MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D

__all__ = [
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Input",
    "Layer",
    "LayerNormalization",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "Reshape",
    "Variable",
]

TABLE: dict[str, type[Layer]] = serialization.by_name(
    (
        Activation,
        AveragePooling1D,
        AveragePooling2D,
        BatchNormalization,
        Conv1D,
        Conv2D,
        Dense,
        Dropout,
        Embedding,
        Flatten,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        Input,
        LayerNormalization,
        MaxPooling1D,
        MaxPooling2D,
        Reshape,
    )
)
"""All layers that a saved configuration may name."""
