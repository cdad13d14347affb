"""Random stacks of layers, and inputs that fit them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Stack: TypeAlias = tuple[Any, tuple[int, ...], list[Any], tuple[int, ...]]
"""Inputs, their shape, the layers up to the last, and the lengths of the axes
between the batch's and the features' in what comes out."""

ACTIVATIONS = ("relu", "elu", "gelu", "tanh", "sigmoid", "softplus", "leaky_relu", "linear", "softmax")


def stack(draw: Any, n: int, make: Any) -> Stack:
    """Draw inputs and the layers for them."""
    kind = draw.one("vectors", "vectors", "images", "sequences", "signals")
    makers = {"vectors": _vectors, "images": _images, "sequences": _sequences, "signals": _signals}
    return makers[kind](draw, n, make)


def _vectors(draw: Any, n: int, make: Any) -> Stack:
    width = draw.between(1, 6)
    layers = [_of_vectors(draw, make) for _ in range(draw.between(0, 4))]
    x = draw.normal(n, width)
    return draw.one(x, x, x.astype("float32"), np.round(x).astype(int)), (width,), layers, ()


def _of_vectors(draw: Any, make: Any) -> Any:
    kind = draw.one("Dense", "Dense", "BatchNormalization", "LayerNormalization", "Activation", "Dropout")
    options = {
        "Dense": {
            "units": draw.between(1, 7),
            "activation": draw.one(*ACTIVATIONS),
            "use_bias": draw.chance(0.7),
            "kernel_regularizer": draw.one(None, None, "l2", "l1"),
        },
        "BatchNormalization": _normalization(draw, momentum=draw.one(0.5, 0.9)),
        "LayerNormalization": _normalization(draw),
        "Activation": {"activation": draw.one(*ACTIVATIONS)},
        # Random numbers differ: only that it stands there, and is frozen at times, is compared.
        "Dropout": {"rate": 0.0},
    }[kind]
    return make("layers", kind, options)


def _normalization(draw: Any, **options: Any) -> dict[str, Any]:
    return {
        "center": draw.chance(0.7),
        "scale": draw.chance(0.7),
        "gamma_regularizer": draw.one(None, None, "l2"),
        **options,
    }


def _images(draw: Any, n: int, make: Any) -> Stack:
    shape = (draw.between(6, 8), draw.between(6, 8), draw.between(1, 3))
    layers = []
    if draw.chance(0.3):
        layers.append(make("layers", "BatchNormalization", _normalization(draw, momentum=0.7)))
    strides = draw.one(1, 2, (2, 1))
    layers.append(
        make(
            "layers",
            "Conv2D",
            {
                # Torch has no gradient in float64 for one filter of an image with several channels.
                "filters": draw.between(2, 4),
                "kernel_size": draw.one(1, 2, 3, (3, 2)),
                "strides": strides,
                "padding": draw.one("valid", "same"),
                "dilation_rate": draw.one(1, 2) if strides == 1 else 1,
                "activation": draw.one(*ACTIVATIONS),
                "kernel_regularizer": draw.one(None, "l2"),
            },
        )
    )
    if draw.chance(0.4):
        # "valid": Keras on torch fills an uneven padding of averages with copies of the edge.
        pooling = draw.one("MaxPooling2D", "AveragePooling2D")
        layers.append(
            make("layers", pooling, {"pool_size": draw.one(1, 2), "strides": 1, "padding": "valid"})
        )
    if draw.chance(0.3):
        layers.append(make("layers", "BatchNormalization", _normalization(draw, momentum=0.7)))
    layers.append(make("layers", draw.one("Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"), {}))
    if draw.chance(0.5):
        layers.append(_of_vectors(draw, make))
    return draw.normal(n, *shape), shape, layers, ()


def _signals(draw: Any, n: int, make: Any) -> Stack:
    shape = (draw.between(6, 9), draw.between(1, 3))
    strides = draw.one(1, 2)
    options = {
        "filters": draw.between(2, 4),
        "kernel_size": draw.between(1, 3),
        "strides": strides,
        "padding": draw.one("valid", "same", "causal"),
        "dilation_rate": draw.one(1, 2) if strides == 1 else 1,
        "activation": draw.one(*ACTIVATIONS),
    }
    layers = [make("layers", "Conv1D", options)]
    if draw.chance(0.4):
        pooling = draw.one("MaxPooling1D", "AveragePooling1D")
        layers.append(
            make("layers", pooling, {"pool_size": draw.one(1, 2), "strides": 1, "padding": "valid"})
        )
    last = draw.one("Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D")
    layers.append(make("layers", last, {}))
    return draw.normal(n, *shape), shape, layers, ()


def _sequences(draw: Any, n: int, make: Any) -> Stack:
    length, words = draw.between(1, 4), draw.between(2, 8)
    layers = [
        make(
            "layers",
            "Embedding",
            {
                "input_dim": words,
                "output_dim": draw.between(1, 4),
                "embeddings_regularizer": draw.one(None, "l2"),
            },
        )
    ]
    layers += [_of_vectors(draw, make) for _ in range(draw.between(0, 2))]
    flat = draw.chance(0.5)
    if flat:
        layers.append(make("layers", "Flatten", {}))
    return draw.rng.integers(words, size=(n, length)), (length,), layers, () if flat else (length,)
