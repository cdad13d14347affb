"""RichProgress: the callback. `ProgbarLogger` follows the steps; this one draws them."""

from __future__ import annotations

from typing import TextIO

from onstage_progbar_logger import Display, Lines, ProgbarLogger

from onstage.validation import validate_int


class RichProgress(ProgbarLogger):
    """Show a table of the epochs, and bars of the epoch and the training.

    It takes the place of `ProgbarLogger` in a run, is used like it, and does the
    same in a notebook and in a file. All that the program prints while it trains
    stands above the table.

    Parameters
    ----------
    rows
        Epochs in the table, the last ones and the best, >= 1. A low terminal
        shows fewer.
    file, log_every, timestamps
        As in `ProgbarLogger`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    """

    def __init__(
        self,
        *,
        rows: int = 10,
        file: TextIO | None = None,
        log_every: float = 60.0,
        timestamps: bool = False,
    ) -> None:
        super().__init__(file=file, log_every=log_every, timestamps=timestamps)
        self.rows = validate_int("rows", rows, 1)

    def make_bar(self, stream: TextIO) -> Display:
        """Return rich's table and bars; lines if the terminal can't draw them again."""
        from onstage_rich_progress.display import RichDisplay  # imported late: log files don't need rich

        display = RichDisplay(stream, self.run, self.params.get("epochs"), self.rows)
        if display.console.is_interactive:
            return display
        return Lines(stream, self.log_every, timestamps=self.timestamps)
