"""Stops training when a metric has stopped improving."""
