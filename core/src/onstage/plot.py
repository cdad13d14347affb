"""The picture of a History: metrics with their validation, and the learning rate."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from onstage.history import History

TRAINING, VALIDATION, RATE, MARK = "#1f5fa8", "#d9731a", "#3c8a4e", "#8a8a8a"


def plot(history: History, target: str | PathLike[str] | Sequence[Axes] | None = None) -> list[Axes]:
    """Draw one panel for each metric, and one for the learning rate.

    Vertical lines mark the epochs after which the rate was lowered, and the
    end where a callback asked for it.

    Parameters
    ----------
    history
        Of at least one epoch.
    target
        A file to write (PNG, SVG, PDF: by its suffix), or axes to draw into, as
        many as there are panels; None makes a new figure.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each panel; ``axes[0].figure`` is the figure.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        There is nothing to draw, or the number of axes differs from the panels.
    """
    panels = _panels(history)
    if not panels:
        raise ValueError("the history must have an epoch with a metric to plot, got none")
    axes = _axes_for(target, len(panels))
    for axis, name in zip(axes, panels, strict=True):
        _panel(axis, history, name)
        _marks(axis, history)
    axes[0].legend(frameon=False, loc="best")
    axes[-1].set_xlabel("epoch")
    if history.stop_reason:
        by = f"{history.stopped_by}: " if history.stopped_by else ""
        axes[0].set_title(f"stopped by {by}{history.stop_reason}", fontsize=9, color="#555555", loc="right")
    if isinstance(target, (str, PathLike)):
        _figure(axes).savefig(target, dpi=150)
    return axes


def _panels(history: History) -> list[str]:
    """Name the metrics, each once, that are numbers throughout; the rate comes last."""
    curves = [name for name, values in history.history.items() if all(isinstance(v, float) for v in values)]
    names = dict.fromkeys(name.removeprefix("val_") for name in curves)
    return sorted(names, key=lambda name: name == "learning_rate")


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
    # A Figure of its own: pyplot would keep it, and open windows.
    figure = Figure(figsize=(8, 0.6 + 2.1 * count), layout="constrained")
    return list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])


def _figure(axes: Sequence[Axes]) -> Any:
    return axes[0].figure


def _panel(axis: Axes, history: History, name: str) -> None:
    is_rate = name == "learning_rate"
    curves = [(name, RATE if is_rate else TRAINING, "training"), (f"val_{name}", VALIDATION, "validation")]
    for curve, colour, label in curves:
        if curve in history.history:
            epochs = history.epochs_of[curve]
            values = history.history[curve]
            marker = "o" if len(epochs) <= 30 else None
            style = "steps-mid" if is_rate else "default"
            axis.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3, drawstyle=style)
    axis.set_ylabel(name.replace("_", " "))
    if is_rate and min(history.history[name]) > 0:
        axis.set_yscale("log")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)


def _marks(axis: Axes, history: History) -> None:
    """Draw where the rate was lowered and where training was stopped."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for n, epoch in enumerate(_reductions(history)):
        label = None if n else "learning rate lowered"
        axis.axvline(epoch - 0.5, color=MARK, linewidth=0.8, linestyle=":", label=label)
    if history.stop_reason:
        axis.axvline(history.epoch[-1], color=MARK, linewidth=1.0, label="stopped")


def _reductions(history: History) -> list[int]:
    """List the epochs that were the first with a lower rate."""
    rates = history.history.get("learning_rate", [])
    epochs = history.epochs_of.get("learning_rate", [])
    return [epochs[n] for n in range(1, len(rates)) if rates[n] < rates[n - 1]]
