"""Shows progress and metrics on the terminal."""
