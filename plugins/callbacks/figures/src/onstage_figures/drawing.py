"""The pictures, drawn by matplotlib without pyplot."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from onstage.model import Array
from onstage_figures.counts import Curve, confusion_matrix, precision_recall_curve, roc_curve
from onstage_figures.validation import Predictions

MOST_CURVES = 10
"""Classes with a curve; of more, those with the smallest area."""
MOST_NUMBERS = 20
"""Classes up to which the cells of a confusion matrix have numbers."""
MOST_TICKS = 40
"""Classes up to which each has a tick."""


def draw_confusion_matrix(found: Predictions) -> Figure:
    """Draw the number of samples by label and prediction; colours are shares of the label's samples."""
    names = found.class_names
    classes = len(names)
    counts = confusion_matrix(found.labels, found.predicted, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = min(max(4.0, 0.5 * classes + 2), 12)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    accuracy = (found.labels == found.predicted).mean()
    axes = figure.add_subplot(xlabel="predicted", ylabel="label", title=f"accuracy {accuracy:.4f}")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the label's samples", shrink=0.8)
    if classes <= MOST_TICKS:
        slanted = max(map(len, names)) > 3
        axes.set_xticks(
            range(classes), names, rotation=45 if slanted else 0, ha="right" if slanted else "center"
        )
        axes.set_yticks(range(classes), names)
    if classes <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color)
    return figure


def draw_roc(found: Predictions) -> Figure:
    """Draw the ROC curve of each class against the rest, with its area."""
    figure = _draw_curves(found, roc_curve, "AUC", "false positive rate", "true positive rate")
    figure.axes[0].plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    return figure


def draw_precision_recall(found: Predictions) -> Figure:
    """Draw precision over recall of each class against the rest, with its average."""
    return _draw_curves(found, precision_recall_curve, "AP", "recall", "precision", steps=True)


def _draw_curves(
    found: Predictions,
    compute: Callable[[Array, Array], Curve],
    area: str,
    x: str,
    y: str,
    *,
    steps: bool = False,
) -> Figure:
    curves = {name: compute(*pair) for name, pair in found.one_against_rest().items()}
    drawn = {name: curve for name, curve in curves.items() if not math.isnan(curve.area)}
    title = (
        f"{'mean ' if len(drawn) > 1 else ''}{area} {np.mean([curve.area for curve in drawn.values()]):.4f}"
        if drawn
        else "one class only"
    )
    if len(drawn) > MOST_CURVES:
        title += f"; the lowest {MOST_CURVES} of {len(drawn)} classes"
        drawn = dict(sorted(drawn.items(), key=lambda item: item[1].area)[:MOST_CURVES])
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.add_subplot(
        xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title, aspect="equal"
    )
    for name, curve in drawn.items():
        style = "steps-pre" if steps else "default"  # precision belongs to the recall that it reaches
        axes.plot(curve.x, curve.y, drawstyle=style, label=f"{name}: {area} {curve.area:.4f}")
    if drawn:
        axes.legend(loc="lower left" if steps else "lower right", fontsize="small")
    return figure


def draw_samples(found: Predictions, count: int, image_shape: tuple[int, ...] | None = None) -> Figure:
    """Draw the first samples with prediction and label: green if equal, red if not.

    Images are drawn as such (channels first or last, values in their own range);
    other samples as a line of their values.
    """
    count = min(count, len(found.x))
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(1.5 * columns + 0.3, 1.75 * rows + 0.2), layout="constrained")
    for n in range(count):
        sample, label, predicted = found.x[n], int(found.labels[n]), int(found.predicted[n])
        axes = figure.add_subplot(rows, columns, n + 1, xticks=[], yticks=[])
        image = _as_image(sample if image_shape is None else sample.reshape(image_shape))
        if image is None:
            axes.plot(sample.ravel(), linewidth=1)
        else:
            axes.imshow(image, cmap="gray")
        is_right = label == predicted
        text = found.class_names[predicted] + ("" if is_right else f", is {found.class_names[label]}")
        axes.set_title(text, fontsize="small", color="green" if is_right else "red")
    return figure


def _as_image(sample: Array) -> Array | None:
    """Return an image of shape (height, width) or (height, width, 3 or 4) in [0, 1]; None if it is none."""
    if sample.ndim == 3 and sample.shape[-1] not in (1, 3, 4) and sample.shape[0] in (1, 3, 4):
        sample = np.moveaxis(sample, 0, -1)
    if sample.ndim == 3 and sample.shape[-1] == 1:
        sample = sample[..., 0]
    if sample.ndim != 2 and not (sample.ndim == 3 and sample.shape[-1] in (3, 4)):
        return None
    low, high = float(sample.min()), float(sample.max())
    image: Array = (sample.astype(np.float32) - low) / ((high - low) or 1.0)
    return image
