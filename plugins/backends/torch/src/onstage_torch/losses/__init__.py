"""Losses: torch's own and Keras's by name, weighted and joined over batches."""

from onstage_torch.losses.loss import Loss

__all__ = ["Loss"]
