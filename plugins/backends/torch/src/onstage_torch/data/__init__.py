"""Batches of tensors from arrays, datasets and loaders, on one or several devices."""
