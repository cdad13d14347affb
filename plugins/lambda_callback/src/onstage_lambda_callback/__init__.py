"""A callback made of functions, one per stage."""
