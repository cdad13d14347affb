"""Any torch.nn.Module under onstage's callbacks.

`TorchModel` gives a module ``fit``, ``evaluate`` and ``predict``, on one device
or, under ``torchrun``, in many processes. ``TorchModel.view(module, optimizer)``
gives a loop of one's own what callbacks ask of a model.
"""

from __future__ import annotations

from onstage_torch.model import TorchModel
from onstage_torch.model_view import TorchView

__all__ = ["TorchModel", "TorchView"]
__version__ = "0.1.0"
