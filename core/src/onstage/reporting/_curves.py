"""The curves of a panel, with the values at their ends and the marks on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from onstage.errors import show_text
from onstage.reporting._formatting import format_value
from onstage.reporting._record import Record

INK, SOFT, GRID = "#1d2330", "#667085", "#e3e6ec"
LEGEND: dict[str, Any] = {"fontsize": 9, "labelcolor": INK, "edgecolor": "none", "framealpha": 0.85}
DASHES = (0, (3, 1.5))
_FEW_EPOCHS = 30
_MOST_REDUCTIONS = 8
_FONT_SIZE = 8.5


class Curve(NamedTuple):
    """A curve of a panel, its epochs counted from 1.

    Attributes
    ----------
    points
        ``(epoch, value)``, not all finite.
    best
        The best of the points, None if unknown.
    """

    points: list[tuple[int, float]]
    best: tuple[int, float] | None
    label: str
    colour: str
    dashed: bool


def draw_panel(axis: Axes, name: str, curves: Sequence[Curve]) -> list[tuple[Text, float]]:
    """Draw the curves of a metric, and style the axis; return what `separate_texts` places."""
    is_rate = name == "learning_rate"
    values = [value for curve in curves for _, value in curve.points if math.isfinite(value)]
    most = 9.99 if is_rate else 100.0
    if values and min(values) > 0 and max(values) / min(values) > most:
        axis.set_yscale("log")
    ends = [_draw_curve(axis, curve, "steps-mid" if is_rate else "default") for curve in curves]
    axis.set_ylabel(show_text(name.replace("_", " "), 40), color=INK, parse_math=False)
    # Margins must not reach the number 0, which no epoch has.
    axis.set_xlim(left=max(axis.get_xlim()[0], min(curve.points[0][0] for curve in curves) - 0.9))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.xaxis.label.set_color(SOFT)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(GRID)
    axis.grid(axis="y", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", colors=SOFT, length=0, labelsize=9)
    return ends


def _draw_curve(axis: Axes, curve: Curve, drawstyle: Any) -> tuple[Text, float]:
    """Draw finite values; others are a gap in the curve and a cross on the axis.

    Returns
    -------
    Text, float
        The text at its end, and the value whose height it wants.
    """
    epochs, values = zip(*curve.points, strict=True)
    shown = [value if math.isfinite(value) else math.nan for value in values]
    marker = "o" if len(shown) <= _FEW_EPOCHS else None
    style: dict[str, Any] = {"color": curve.colour, "drawstyle": drawstyle, "zorder": 3}
    style |= {"linestyle": DASHES, "linewidth": 1.1} if curve.dashed else {"linewidth": 1.8}
    axis.plot(epochs, shown, marker=marker, markersize=3, label=curve.label, **style)
    missing = [epoch for epoch, value in curve.points if not math.isfinite(value)]
    if missing:
        axis.plot(
            missing,
            [0.0] * len(missing),
            "x",
            color=curve.colour,
            label=f"{curve.label} not finite",
            markersize=6,
            markeredgewidth=1.6,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
            zorder=4,
        )
    text = f"{'training ' if curve.dashed else ''}{format_value(values[-1])}"
    if curve.best is not None:
        ring: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.4}
        axis.plot(*curve.best, "o", color=curve.colour, label="_best", zorder=4, **ring)
        text += ", best" if curve.best[0] == epochs[-1] else f", best {format_value(curve.best[1])}"
    finite = [value for value in shown if not math.isnan(value)]
    written = axis.text(
        1.01, 0.5, text, color=curve.colour, fontsize=_FONT_SIZE, va="center", parse_math=False
    )
    written.set_transform(axis.transAxes)
    return written, finite[-1] if finite else math.nan


def separate_texts(figure: Figure, axis: Axes, ends: Sequence[tuple[Text, float]]) -> None:
    """Move texts at the ends of curves to the heights of these, without overlaps.

    The figure has been laid out, which decides the height of the axis.
    """
    to_axis = axis.transData + axis.transAxes.inverted()
    wanted = [0.0 if math.isnan(end) else float(to_axis.transform((1.0, end))[1]) for _, end in ends]
    gap = _FONT_SIZE * 1.25 / 72 * figure.dpi / axis.get_window_extent().height
    for (text, _), height in zip(ends, spread(wanted, gap), strict=True):
        text.set_y(height)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return heights in the order of `wanted`, close to these, `gap` apart or more, at most 1 if possible."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = list(wanted)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    limit = 1.0
    for n in reversed(order):
        placed[n] = min(placed[n], limit)
        limit = placed[n] - gap
    return placed


def mark_epochs(axis: Axes, record: Record) -> None:
    """Mark the best epoch, the reductions of the rate and the stop of the training."""
    for n, epoch in enumerate(_reductions(record)):
        label = "_reduced" if n else "learning rate reduced"
        axis.axvline(epoch + 0.5, color=SOFT, linewidth=0.9, linestyle=(0, (2, 2)), label=label)
    if record.best_epoch is not None:
        label = f"best epoch {record.best_epoch + 1}{', weights restored' if record.restored else ''}"
        axis.axvline(record.best_epoch + 1, color=INK, linewidth=0.9, linestyle=(0, (6, 2)), label=label)
    if record.stop_reason:
        axis.axvline(record.epoch[-1] + 1, color=SOFT, linewidth=1.0, label="stopped")


def _reductions(record: Record) -> list[int]:
    """Return the first epochs with a lower rate, or none if there are many."""
    pairs = zip(
        record.epochs_of.get("learning_rate", ()), record.history.get("learning_rate", ()), strict=True
    )
    rates = [(epoch, rate) for epoch, rate in pairs if isinstance(rate, float)]
    lower = [epoch for (_, before), (epoch, rate) in pairwise(rates) if rate < before]
    return lower if len(lower) <= _MOST_REDUCTIONS else []


def legend_handles(axes: Sequence[Axes], *, several: bool) -> list[Line2D]:
    """Return a handle for each label in the panels; of several runs one for each, and for the dashes."""
    lines = [line for axis in axes for line in axis.get_lines()]
    found: dict[str, Line2D] = {}
    for line in lines:
        if not (label := str(line.get_label())).startswith("_"):
            found.setdefault(label, line)
    if not several:
        return list(found.values())
    runs = [line for label, line in found.items() if line.get_marker() != "x"]
    handles = [_handle(str(line.get_label()), line.get_color(), linewidth=1.8) for line in runs]
    if any(line.is_dashed() for line in lines):
        handles.append(_handle("training", SOFT, linewidth=1.1, linestyle=DASHES))
        handles.append(_handle("validation", SOFT, linewidth=1.8))
    return handles


def _handle(label: str, colour: Any, **style: Any) -> Line2D:
    return Line2D([], [], color=colour, label=label, **style)
