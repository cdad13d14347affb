"""Configuration of a model as plain data, and models from it; the weights are left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from onstage.nn import layers, saving, serialization
from onstage.nn.layers import Layer


class Configuration:
    """Layers and names of a model as plain data; base class of `Sequential`."""

    name: str
    dtype: np.dtype[Any]
    layers: list[Layer]

    def _known_shape(self) -> tuple[int, ...] | None:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return name, type, input shape and the layers' configurations as plain values.

        The input shape is None if it isn't known yet. Weights and the arguments
        of ``compile`` are not included; `save` writes all.
        """
        shape = self._known_shape()
        return {
            "name": self.name,
            "dtype": self.dtype.name,
            "input_shape": None if shape is None else list(shape),
            "layers": [serialization.serialize(layer) for layer in self.layers],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Make a model, with new weights, from the result of `get_config`.

        Parameters
        ----------
        custom_objects
            Custom classes in the configuration, by name.

        Raises
        ------
        ValueError
            If the configuration is incomplete, or has an unknown class.
        """
        missing = {"name", "dtype", "input_shape", "layers"} - set(config)
        if missing:
            raise ValueError(f"config must be the result of get_config(), got one without {sorted(missing)}")
        shape = config["input_shape"]
        made = saving.make_layers(config["layers"], custom_objects or {})
        if shape is not None:
            made.insert(0, layers.Input(shape))
        return cls(made, name=config["name"], dtype=config["dtype"])  # type: ignore[call-arg]  # of Network

    def to_json(self, **options: Any) -> str:
        """Return the configuration as JSON; `options` are those of ``json.dumps``."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **options)
