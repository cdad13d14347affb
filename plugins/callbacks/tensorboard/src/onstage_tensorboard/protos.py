"""The messages of TensorBoard's files, from tensorboardX, without torch.

tensorboardX imports torch if it is installed, which takes seconds, uses memory
for the rest of the program, and is of no use here: only its message classes are
needed. They are in a subpackage, and Python executes a package before its
subpackages; so that package is stood in for, while they are imported, by one that
has not been executed. If the program has imported tensorboardX, or does so later,
it has the real one.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_NAME = "tensorboardX"


def _remove() -> dict[str, ModuleType]:
    """Remove tensorboardX and its modules from the imported ones, and return them."""
    names = [name for name in sys.modules if name == _NAME or name.startswith(f"{_NAME}.")]
    return {name: sys.modules.pop(name) for name in names}


def _stand_in() -> None:
    """Have `import tensorboardX.proto` find the package without executing it."""
    spec = find_spec(_NAME)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_NAME!r}", name=_NAME)
    sys.modules[_NAME] = module_from_spec(spec)


_is_imported = _NAME in sys.modules
if not _is_imported:
    _stand_in()
try:
    from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]  # it has no types
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # type: ignore[import-untyped]
    from tensorboardX.proto.summary_pb2 import (  # type: ignore[import-untyped]
        HistogramProto,
        Summary,
        SummaryMetadata,
    )
    from tensorboardX.proto.tensor_pb2 import TensorProto  # type: ignore[import-untyped]
finally:
    if not _is_imported:
        _remove()

__all__ = ["Event", "HParamsPluginData", "HistogramProto", "Summary", "SummaryMetadata", "TensorProto"]
