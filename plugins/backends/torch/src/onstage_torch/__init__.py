"""Train any torch.nn.Module with onstage's callbacks.

`TorchModel` adds ``fit``, ``evaluate`` and ``predict`` to a module, on one
device or, with ``torchrun``, in many processes. ``TorchModel.view(module,
optimizer)`` is the model for callbacks in a training loop of your own.
"""

from __future__ import annotations

from onstage_torch.model import TorchModel
from onstage_torch.model_view import TorchView

__all__ = ["TorchModel", "TorchView"]
__version__ = "0.1.0"
