"""Prints a line for each record that onstage-records announces."""

from __future__ import annotations

from onstage import Callback, hookimpl


class Applause(Callback):
    """Print a line for each record of the package onstage-records, if that is installed."""

    @hookimpl(optionalhook=True)
    def on_record(self, epoch: int, value: float) -> str:
        """Applaud."""
        print(f"Bravo! Epoch {epoch + 1}: {value:.4f}")
        return "applauded"
