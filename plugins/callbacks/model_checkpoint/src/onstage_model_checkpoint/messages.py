"""What a ModelCheckpoint prints."""

from __future__ import annotations

from onstage.reporting import print_line


def tell(verbose: int, epoch: int, text: str) -> None:
    """Print a text with the number of the epoch, if verbose."""
    if verbose:
        # A line break first: the line may hold a progress bar.
        print_line(f"\nEpoch {epoch + 1}: {text}")


def shown(value: float | None) -> str:
    """Return a metric with five digits."""
    return "None" if value is None else f"{value:.5f}"
