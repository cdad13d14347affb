"""Evaluates and predicts with the averaged weights."""
