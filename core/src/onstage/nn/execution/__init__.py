"""How a network runs: ops bound to fixed buffers, in a plan for each batch shape."""
