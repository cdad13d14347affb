"""Lowers the learning rate when a metric has stopped improving."""
