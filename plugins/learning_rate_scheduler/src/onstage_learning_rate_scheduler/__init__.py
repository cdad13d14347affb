"""Sets the learning rate by a function of the epoch or batch."""
