"""Stops training when the loss is no longer finite."""
