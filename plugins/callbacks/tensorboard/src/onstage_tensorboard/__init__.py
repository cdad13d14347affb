"""Write TensorBoard event files."""

from onstage_tensorboard.callback import TensorBoard

__all__ = ["TensorBoard"]
