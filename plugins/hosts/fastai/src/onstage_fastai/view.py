"""The model of a Learner, as callbacks see it."""

from __future__ import annotations

from typing import Any

import torch
from fastai.torch_core import get_model
from onstage_torch import TorchView

from onstage.callbacks.learning_rate import LearningRate


class LearnerView(TorchView):
    """A module with the learning rate of fastai's optimizer, which is not one of torch.

    Parameters
    ----------
    learn
        The Learner; it has an optimizer.
    """

    def __init__(self, learn: Any) -> None:
        super().__init__(get_model(learn.model))
        self._learn = learn

    @property
    def learning_rate(self) -> LearningRate:
        """Rate of the last group, the head's; setting it sets all groups, in proportion."""
        return LearningRate(self._learn.opt.hypers[-1]["lr"], self)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        rates = [float(each["lr"]) for each in self._learn.opt.hypers]
        self._learn.opt.set_hyper("lr", [rate * each / rates[-1] if rates[-1] else rate for each in rates])

    def any_process(self, asked: bool) -> bool:
        """Return whether any process asks."""
        flag = torch.tensor(float(asked), device=self.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag.item())
