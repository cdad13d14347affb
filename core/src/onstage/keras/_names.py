"""The sentences for names of Keras that onstage does not have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from onstage.errors import did_you_mean, missing_name

TORCH = "train a torch.nn.Module by onstage_torch.TorchModel instead, with the same callbacks"
NUMPY = "use numpy on the arrays that callbacks get, or torch inside a module for onstage_torch.TorchModel"
NO_DOWNLOADS = "onstage downloads nothing: load the arrays with numpy, scikit-learn or torchvision"


def refuse_missing(
    module: str, known: Iterable[str], remedies: Mapping[str, str] | None = None, otherwise: str = ""
) -> Callable[[str], object]:
    """Return a module's ``__getattr__``, which raises AttributeError for every name.

    Parameters
    ----------
    known
        Names that the module has, for the suggestion.
    remedies
        Name of Keras to the way to do without it.
    otherwise
        The way for every other name that is not close to a known one.
    """
    known = tuple(known)

    def __getattr__(name: str) -> object:
        if name.startswith("_"):  # looked up by imports and inspection
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        remedy = (remedies or {}).get(name)
        hint = f"; {remedy}" if remedy else did_you_mean(name, known) or (otherwise and f"; {otherwise}")
        raise missing_name(sys._getframe(1), module, f"{module} has no {name!r}{hint}")

    return __getattr__
