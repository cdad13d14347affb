"""The embedded numpy backend: layers, losses, metrics, optimizers, Sequential.

Start reading at `execution.ops`, then `execution.plan` and `sequential`.
"""
