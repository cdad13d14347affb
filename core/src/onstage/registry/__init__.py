"""Find, select, create and order the callbacks of a run."""
