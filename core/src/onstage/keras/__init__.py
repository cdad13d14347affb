"""Keras's module tree: scripts and callbacks for Keras run with another import.

``import onstage.keras as keras`` or ``from onstage.keras.callbacks import
Callback``: each name is onstage's own object of that name, imported when it is
first used. `core/docs/keras.md` lists the names and every difference.

Examples
--------
>>> import numpy as np
>>> from onstage import keras
>>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
>>> model.compile(keras.optimizers.SGD(0.1), loss="mse")
>>> class Rates(keras.callbacks.Callback):
...     def on_epoch_end(self, epoch, logs=None):
...         keras.backend.set_value(self.model.optimizer.lr, 0.1 / (epoch + 2))
...         print(epoch, keras.backend.get_value(self.model.optimizer.lr))
>>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[Rates()])
0 0.05
1 0.03333333333333333
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

from onstage import __version__ as __version__

if TYPE_CHECKING:
    from onstage.keras import activations as activations
    from onstage.keras import backend as backend
    from onstage.keras import callbacks as callbacks
    from onstage.keras import initializers as initializers
    from onstage.keras import layers as layers
    from onstage.keras import losses as losses
    from onstage.keras import metrics as metrics
    from onstage.keras import models as models
    from onstage.keras import optimizers as optimizers
    from onstage.keras import regularizers as regularizers
    from onstage.keras import saving as saving
    from onstage.keras import utils as utils
    from onstage.nn.initializers import Initializer as Initializer
    from onstage.nn.layers import Input as Input
    from onstage.nn.layers import Layer as Layer
    from onstage.nn.losses import Loss as Loss
    from onstage.nn.metrics import Metric as Metric
    from onstage.nn.optimizers import Optimizer as Optimizer
    from onstage.nn.regularizers import Regularizer as Regularizer
    from onstage.nn.sequential import Sequential as Sequential

_MODULES = (
    "activations",
    "backend",
    "callbacks",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
)
_HOMES = {
    "Initializer": "onstage.nn.initializers",
    "Input": "onstage.nn.layers",
    "Layer": "onstage.nn.layers",
    "Loss": "onstage.nn.losses",
    "Metric": "onstage.nn.metrics",
    "Optimizer": "onstage.nn.optimizers",
    "Regularizer": "onstage.nn.regularizers",
    "Sequential": "onstage.nn.sequential",
}
_REMEDIES = {  # name: constant of `_names`, or a sentence
    **dict.fromkeys(("Model", "Function", "KerasTensor", "applications", "Variable"), "TORCH"),
    **dict.fromkeys(("mixed_precision", "distribution", "export"), "TORCH"),
    **dict.fromkeys(("ops", "tf", "random", "tree"), "NUMPY"),
    **dict.fromkeys(("datasets",), "NO_DOWNLOADS"),
    "preprocessing": "prepare the arrays with numpy, scikit-learn or torchvision",
    "config": "onstage.keras.backend has epsilon and floatx; Sequential(dtype=…) sets the precision",
    "constraints": "scale the weights in a callback's on_train_batch_end",
}

__all__ = [*sorted(_HOMES), *_MODULES, "__version__"]  # strings, above


if not TYPE_CHECKING:  # a type checker would accept every name

    def __getattr__(name: str) -> object:
        """Import a name when it is first used."""
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
            globals()[name] = value
            return value
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _refuse(name, sys._getframe(1))


def _refuse(name: str, caller: FrameType) -> object:
    from onstage.errors import did_you_mean, missing_name
    from onstage.keras import _names

    remedy = _REMEDIES.get(name)
    hint = f"; {getattr(_names, remedy, remedy)}" if remedy else did_you_mean(name, __all__)
    raise missing_name(caller, __name__, f"{__name__} has no {name!r}{hint}")


def __dir__() -> list[str]:
    return __all__
