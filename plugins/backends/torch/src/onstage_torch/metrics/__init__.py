"""Keras's metrics over tensors, and their sums over the batches of a stage."""
