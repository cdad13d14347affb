"""For authors of plugins: try a callback without a model or a training."""
