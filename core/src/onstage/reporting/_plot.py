"""Plot a History: metrics, validation metrics and the learning rate."""

from __future__ import annotations

import math
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes


class Record(Protocol):
    """The record of a run, as `onstage.History` keeps it."""

    history: dict[str, list[Any]]
    epoch: list[int]
    epochs_of: dict[str, list[int]]
    stop_reason: str | None
    stopped_by: str | None


TRAINING, VALIDATION, RATE, MARK = "#2563c9", "#d9730d", "#12855b", "#667085"
_INK, _SOFT, _GRID = "#1d2330", "#667085", "#e3e6ec"
_FEW_EPOCHS = 30
_FEW_PANELS = 3
_MOST_REDUCTIONS = 8


def plot(history: Record, target: str | PathLike[str] | Axes | Sequence[Axes] | None = None) -> list[Axes]:
    """Draw one panel for each metric and one for the learning rate.

    Vertical lines mark the epochs before which the rate was reduced, and the end
    if a callback stopped the training. There are none if the rate was reduced
    many times. Crosses on the axis mark values that are not finite.

    Parameters
    ----------
    history
        A record of at least one epoch.
    target
        A file to write (PNG, SVG or PDF, by its suffix), or axes to draw into,
        one for each panel; None creates a figure.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each panel; ``axes[0].figure`` is the figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is nothing to draw, or the number of axes is not that of panels.
    """
    panels = _panels(history)
    if not panels:
        raise ValueError("the history must have an epoch with a metric to plot, got none")
    axes = _axes_for(target, len(panels))
    for axis, name in zip(axes, panels, strict=True):
        _panel(axis, history, name)
        _marks(axis, history)
        _style(axis)
    legend = axes[0].legend(loc="best", fontsize=9, labelcolor=_INK, edgecolor="none", framealpha=0.85)
    legend.set_zorder(6)
    if history.stop_reason:
        by = f"{history.stopped_by}: " if history.stopped_by else ""
        axes[0].set_title(f"stopped by {by}{history.stop_reason}", fontsize=9, color=_SOFT, loc="right")
    if isinstance(target, (str, PathLike)):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        _figure(axes).savefig(target, dpi=150)
    return axes


def _panels(history: Record) -> list[str]:
    """Return the names of metrics with numeric values, the learning rate last."""
    names = dict.fromkeys(name.removeprefix("val_") for name in history.history if _points(history, name))
    return sorted(names, key=lambda name: name == "learning_rate")


def _points(history: Record, curve: str) -> list[tuple[int, float]]:
    """Return ``(epoch, value)`` of the numeric values."""
    pairs = zip(history.epochs_of.get(curve, []), history.history.get(curve, []), strict=True)
    return [(epoch, value) for epoch, value in pairs if isinstance(value, float)]


def _axes_for(target: Any, count: int) -> list[Axes]:
    if target is not None and not isinstance(target, (str, PathLike)):
        axes = list(target) if hasattr(target, "__iter__") else [target]
        if len(axes) != count:
            raise ValueError(f"axes must be {count}, one for each panel, got {len(axes)}")
        return axes
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("history.plot needs matplotlib; pip install 'onstage[plot]'") from error
    columns = 1 if count <= _FEW_PANELS else 2
    rows = math.ceil(count / columns)
    # Not pyplot, which would keep the figure alive and may open a window.
    figure = Figure(figsize=(8 if columns == 1 else 12, 0.6 + 2.2 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=True).ravel())
    for spare in axes[count:]:
        spare.remove()
    for lowest in axes[max(0, count - columns) : count]:
        lowest.set_xlabel("epoch", color=_SOFT)
        lowest.tick_params(labelbottom=True)
    return axes[:count]


def _figure(axes: Sequence[Axes]) -> Any:
    return axes[0].figure


def _panel(axis: Axes, history: Record, name: str) -> None:
    is_rate = name == "learning_rate"
    curves = [(name, RATE if is_rate else TRAINING, "training"), (f"val_{name}", VALIDATION, "validation")]
    for curve, colour, label in curves:
        points = _points(history, curve)
        if points:
            style = "steps-mid" if is_rate else "default"
            _curve(axis, points, color=colour, label=label, drawstyle=style)
            if is_rate and all(value > 0 for _, value in points):
                axis.set_yscale("log")
    axis.set_ylabel(name.replace("_", " "), color=_INK)


def _curve(axis: Axes, points: list[tuple[int, float]], **style: Any) -> None:
    """Draw finite values; others are a gap in the curve and a cross on the axis."""
    epochs, values = zip(*points, strict=True)
    marker = "o" if len(points) <= _FEW_EPOCHS else None
    shown = [value if math.isfinite(value) else math.nan for value in values]
    axis.plot(epochs, shown, linewidth=1.8, marker=marker, markersize=3, zorder=3, **style)
    missing = [epoch for epoch, value in points if not math.isfinite(value)]
    if missing:
        axis.plot(
            missing,
            [0.0] * len(missing),
            "x",
            color=style["color"],
            label=f"{style['label']} not finite",
            markersize=6,
            markeredgewidth=1.6,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
            zorder=4,
        )


def _marks(axis: Axes, history: Record) -> None:
    """Mark the reductions of the rate and the stop of the training."""
    for n, epoch in enumerate(_reductions(history)):
        label = None if n else "learning rate reduced"
        axis.axvline(epoch - 0.5, color=MARK, linewidth=0.9, linestyle=(0, (2, 2)), label=label)
    if history.stop_reason:
        axis.axvline(history.epoch[-1], color=MARK, linewidth=1.0, label="stopped")


def _reductions(history: Record) -> list[int]:
    """Return the first epochs with a lower rate, or none if there are many."""
    pairs = pairwise(_points(history, "learning_rate"))
    lower = [epoch for (_, before), (epoch, rate) in pairs if rate < before]
    return lower if len(lower) <= _MOST_REDUCTIONS else []


def _style(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(_GRID)
    axis.grid(axis="y", color=_GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", colors=_SOFT, length=0, labelsize=9)
