"""The embedded numpy backend: layers, losses, metrics, optimizers, Sequential."""
