"""The embedded numpy backend: layers, losses, metrics, optimizers, Sequential.

Start reading at `steps`, the one mechanism, then `plan` and `sequential`.
"""
