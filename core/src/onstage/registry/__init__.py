"""From names to callbacks: installed distributions, settings, selection, order."""
