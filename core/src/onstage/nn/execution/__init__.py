"""Execution of a network: one plan of ops over fixed buffers per batch shape."""
