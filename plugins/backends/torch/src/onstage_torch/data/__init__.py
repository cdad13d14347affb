"""Batches of tensors: from arrays, data sets and loaders, on one device or several."""
