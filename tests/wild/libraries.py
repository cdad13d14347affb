"""The published callbacks under each library: the same text, with another import.

``keras2`` is Keras 3 with the names that Keras 2 had: the reference for
callbacks that Keras 3 itself no longer runs.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from types import ModuleType

PUBLISHED = Path(__file__).parent / "published"
PACKAGES = {"keras": "keras", "keras2": "keras2", "onstage": "onstage.keras"}
_IMPORT = re.compile(r"^(\s*)(import|from) keras\b(?! as)(\S*)", re.MULTILINE)


@functools.cache
def load(name: str, library: str) -> ModuleType:
    """Return a published module whose imports of keras are those of a library."""
    if library == "keras2":
        _register_keras2()
    package = PACKAGES[library]

    def imported(line: re.Match[str]) -> str:
        space, word, rest = line.groups()
        alias = " as keras" if word == "import" and not rest else ""
        return f"{space}{word} {package}{rest}{alias}"

    path = PUBLISHED / f"{name}.py"
    module = ModuleType(f"{library}_{name}")
    sys.modules[module.__name__] = module
    exec(compile(_IMPORT.sub(imported, path.read_text()), str(path), "exec"), vars(module))
    return module


class Handle(float):
    """A number of an optimizer that Keras 2's backend sets in place."""

    def __new__(cls, optimizer, name):
        number = super().__new__(cls, vars(optimizer)[name])
        number.optimizer, number.name = optimizer, name
        return number

    def numpy(self):
        return vars(self.optimizer)[self.name]

    def assign(self, value):
        vars(self.optimizer)[self.name] = float(value)


def _register_keras2():
    if "keras2" in sys.modules:
        return
    import keras

    package, backend, callbacks = (ModuleType(f"keras2{end}") for end in ("", ".backend", ".callbacks"))
    package.__getattr__ = functools.partial(getattr, keras)
    package.__path__ = []
    callbacks.__getattr__ = functools.partial(getattr, keras.callbacks)
    callbacks.BaseLogger = keras.callbacks.Callback
    backend.get_value = backend.eval = lambda x: x.numpy()[()] if hasattr(x, "path") else x
    backend.set_value = lambda x, value: x.assign(value)
    package.backend, package.callbacks = backend, callbacks
    for module in (package, backend, callbacks):
        sys.modules[module.__name__] = module


@functools.cache
def keras2_sgd():
    """Return Keras 3's SGD with ``lr`` and ``decay``, and a momentum that can be set in place."""
    import keras

    @keras.saving.register_keras_serializable()
    class SGD(keras.optimizers.SGD):
        decay = 0.0

        @property
        def lr(self):
            return self.learning_rate

        @lr.setter
        def lr(self, value):
            self.learning_rate = value

        @property
        def momentum(self):
            return Handle(self, "momentum")

        @momentum.setter
        def momentum(self, value):
            vars(self)["momentum"] = value

    return SGD
