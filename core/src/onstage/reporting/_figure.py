"""A figure that a notebook shows by itself; without pyplot, which may open windows."""

from __future__ import annotations

import sys
from base64 import b64encode
from importlib import import_module
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A figure that a notebook shows as the result of a cell, without any magic.

    Attributes
    ----------
    is_shown
        Whether a notebook has shown it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(layout="constrained", **options)
        self.is_shown = False

    def _ipython_display_(self) -> None:
        self.is_shown = True
        bundle = {"image/png": encode_png(self), "text/plain": repr(self)}
        import_module("IPython.display").display(bundle, raw=True)


def encode_png(figure: Figure) -> str:
    """Return the picture as PNG, in base64."""
    written = BytesIO()
    figure.savefig(written, format="png")
    return b64encode(written.getvalue()).decode("ascii")


def show_after_cell(figure: Any) -> None:
    """Show a figure when the notebook's cell has ended, unless it was the cell's result."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if not hasattr(shell, "kernel"):
        return

    def show() -> None:
        shell.events.unregister("post_execute", show)
        if not figure.is_shown:
            figure._ipython_display_()

    shell.events.register("post_execute", show)
