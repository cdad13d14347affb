"""Training callbacks as plugins."""
