"""Keras's metrics on tensors, accumulated over the batches of a stage."""
