"""Saves the model or its weights during training."""
