"""Plot one or several runs: a panel for each metric and one for the learning rate."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage.errors import show_text
from onstage.reporting._record import Record, describe_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onstage.reporting._curves import Curve

TRAINING, VALIDATION, RATE = "#2563c9", "#d9730d", "#12855b"
RUNS = ("#2563c9", "#d9730d", "#12855b", "#b4319c", "#8a6d1a", "#5b5bd6", "#c43d3d", "#3a8fa3")
_CHARACTER = 5.5
"""Mean width of a character of the legend and the title, in points."""
_MOST_IN_ONE_COLUMN = 3
_MOST_IN_TWO_COLUMNS = 8


def plot(
    histories: Record | Sequence[Record],
    target: str | PathLike[str] | Axes | Sequence[Axes] | None = None,
    *,
    labels: Sequence[str] | None = None,
) -> Figure:
    """Draw one run, or several over one another; a notebook shows the picture.

    Each curve ends with its last and best value; a ring is at the best one. The
    best epoch, reductions of the learning rate and the stop by a callback are
    marked for a single run. Crosses on the axis mark values that are not finite.
    Epochs count from 1.

    Parameters
    ----------
    histories
        A `History` of at least one epoch, or several.
    target
        A file to write (PNG, SVG or PDF, by its suffix), or axes to draw into,
        one for each panel; None creates a figure.
    labels
        Names of the runs; None: ``"run 1"``, ``"run 2"``.

    Returns
    -------
    matplotlib.figure.Figure
        ``figure.axes`` has one axis for each panel.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is nothing to draw, or the number of axes or labels is wrong.

    Examples
    --------
    >>> from onstage import Run, plot
    >>> histories = []
    >>> for factor in (0.5, 0.9):
    ...     with Run(epochs=3) as run:
    ...         for epoch in run.epochs():
    ...             run.log(loss=factor**epoch)
    ...     histories.append(run.history)
    >>> figure = plot(histories, labels=["fast", "slow"])
    >>> [axis.get_ylabel() for axis in figure.axes]
    ['loss']
    """
    figure = draw(histories, target, labels=labels)
    if isinstance(target, (str, PathLike)):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=150)
    elif target is None:
        from onstage.reporting._figure import show_after_cell

        show_after_cell(figure)
    return figure


def draw(histories: Record | Sequence[Record], target: Any = None, *, labels: Any = None) -> Figure:
    """Draw the runs as `plot` does, without writing or showing the picture."""
    records = list(histories) if isinstance(histories, Sequence) else [histories]
    names = [f"run {n + 1}" for n in range(len(records))] if labels is None else list(labels)
    if len(names) != len(records):
        raise ValueError(f"labels must be {len(records)}, one for each history, got {len(names)}")
    try:
        import matplotlib.figure  # noqa: F401  # the first of what the modules below need
    except ImportError as error:
        raise ImportError("history.plot needs matplotlib; pip install 'onstage[plot]'") from error
    from onstage.reporting import _curves, _figure

    panels = _panels(records)
    if not panels:
        raise ValueError("the history must have an epoch with a metric to plot, got none")
    own = target is None or isinstance(target, (str, PathLike))
    axes = _new_axes(_figure, panels, len(records)) if own else _given_axes(target, len(panels))
    parent: Any = axes[0].figure
    figure: Figure = getattr(parent, "figure", parent)  # of a subfigure
    ends = {}
    for axis, name in zip(axes, panels, strict=True):
        curves = [
            curve
            for n, record in enumerate(records)
            for curve in _curves_of(record, name, None if len(records) == 1 else (names[n], n))
        ]
        ends[axis] = _curves.draw_panel(axis, name, curves)
        if len(records) == 1:
            _curves.mark_epochs(axis, records[0])
    handles = _curves.legend_handles(axes, several=len(records) > 1)
    if own:
        widest = max(len(str(handle.get_label())) for handle in handles)
        columns = max(1, int(figure.get_figwidth() * 72 / (widest * _CHARACTER + 45)))
        legend = figure.legend(handles=handles, loc="outside upper left", ncols=columns, **_curves.LEGEND)
    else:
        legend = axes[0].legend(handles=handles, loc="best", **_curves.LEGEND)
    for text in legend.get_texts():
        text.set_parse_math(False)
    if len(records) == 1:
        _write_end(figure, axes[0], describe_end(records[0]))
    figure.draw_without_rendering()
    for axis in axes:
        _curves.separate_texts(figure, axis, ends[axis])
    return figure


def _write_end(figure: Figure, axis: Axes, text: str) -> None:
    """Write how the training ended above the first panel, in lines that fit its width."""
    width = figure.get_figwidth() * 72 * axis.get_position().width
    lines = textwrap.fill(text, max(20, int(width / _CHARACTER)), max_lines=4)
    axis.set_title(lines, fontsize=9, color="#667085", loc="left", parse_math=False)


def encode_picture(record: Record) -> str | None:
    """Return the picture of a run as PNG in base64; None without matplotlib or numbers."""
    try:
        figure = draw(record)
    except (ImportError, ValueError):
        return None
    from onstage.reporting._figure import encode_png

    return encode_png(figure)


def _panels(records: Sequence[Record]) -> list[str]:
    """Return the names of metrics with numeric values, the learning rate last."""
    names = dict.fromkeys(
        name.removeprefix("val_")
        for record in records
        for name, values in record.history.items()
        if any(isinstance(value, float) for value in values)
    )
    return sorted(names, key=lambda name: name == "learning_rate")


def _curves_of(record: Record, name: str, run: tuple[str, int] | None) -> list[Curve]:
    """Return the curves of a run in a panel: training, then validation.

    ``run`` is its label and number among several, for whose curves the colour
    stands; a single run's curves have different colours.
    """
    from onstage.reporting._curves import Curve

    found = []
    for curve, is_validation in ((name, False), (f"val_{name}", True)):
        pairs = zip(record.epochs_of.get(curve, ()), record.history.get(curve, ()), strict=True)
        points = [(epoch + 1, value) for epoch, value in pairs if isinstance(value, float)]
        if not points:
            continue
        kind = "validation" if is_validation else "training"
        colour = RATE if name == "learning_rate" else VALIDATION if is_validation else TRAINING
        best = record.best(curve)
        found.append(
            Curve(
                points=points,
                best=None if best is None else (best[0] + 1, best[1]),
                # A space, for matplotlib leaves labels out that begin with an underscore.
                label=kind if run is None else re.sub("^_", " _", show_text(run[0], 60)),
                colour=colour if run is None else RUNS[run[1] % len(RUNS)],
                dashed=run is not None and not is_validation and f"val_{name}" in record.history,
            )
        )
    return found


def _given_axes(target: Any, count: int) -> list[Axes]:
    axes = list(target) if hasattr(target, "__iter__") else [target]
    if len(axes) != count:
        raise ValueError(f"axes must be {count}, one for each panel, got {len(axes)}")
    return axes


def _new_axes(figures: Any, panels: Sequence[str], runs: int) -> list[Axes]:
    count = len(panels)
    columns = 1 if count <= _MOST_IN_ONE_COLUMN else 2 if count <= _MOST_IN_TWO_COLUMNS else 3
    rows = math.ceil(count / columns)
    # Each run has up to two labels, one below the other, at the right side of a panel.
    height = max(2.2, 0.4 + 0.17 * 2 * runs)
    figure = figures.NotebookFigure(figsize=((8, 12, 17)[columns - 1], 0.8 + height * rows))
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True).ravel())
    for spare in axes[count:]:
        spare.remove()
    for lowest in axes[max(0, count - columns) : count]:
        lowest.set_xlabel("epoch")
        lowest.tick_params(labelbottom=True)
    return axes[:count]
