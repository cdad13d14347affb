"""Figures: the callback. It asks for predictions, and hands out the pictures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from onstage import Callback, Logs
from onstage.errors import OnstageWarning
from onstage.state.atomic import write_atomic
from onstage.validation import validate_choice, validate_float, validate_int
from onstage_figures.validation import classify, collect

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("confusion_matrix", "roc", "precision_recall", "samples")


class Figures(Callback):
    """Draw pictures of a classification from the validation data.

    After every `freq` epochs the model predicts the validation data; the
    pictures go to files, and to a writer or a function if given.

    Parameters
    ----------
    kinds
        Of ``"confusion_matrix"``, ``"roc"``, ``"precision_recall"``,
        ``"samples"``.
    freq
        Epochs between two sets of pictures, >= 1.
    directory
        Where to write ``epoch_003_roc.png``, epochs counted from 1; None for no
        files.
    writer
        Function that returns an object with ``add_figure(tag, figure, step)``,
        called when there is a picture: ``lambda: tensorboard.writer``.
    log
        Function of tag (``"validation/roc"``), figure and epoch from 0, for
        another tracker.
    x, y
        Samples and labels in place of the validation data.
    class_names
        One for each class; None for their numbers.
    threshold
        Output above which a sample is of the second class, for a model with
        one output: 0.5 for a probability, 0 for a logit.
    n_samples
        Samples in their picture, the first ones, >= 1.
    image_shape
        Shape of a sample that is a flattened image, such as ``(28, 28)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Notes
    -----
    Labels are integers or one-hot; sample weights don't count. Curves compare
    the outputs as they are, each class against the rest.
    """

    on_error: Literal["raise", "disable"] = "disable"
    ranks: ClassVar[Literal["zero", "all"]] = "zero"
    adds_logs: ClassVar[tuple[str, ...] | None] = ()
    needs = ("predict",)

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        *,
        freq: int = 1,
        directory: str | os.PathLike[str] | None = "runs/figures",
        writer: Callable[[], Any] | None = None,
        log: Callable[[str, Figure, int], object] | None = None,
        x: Any = None,
        y: Any = None,
        class_names: Sequence[str] | None = None,
        threshold: float = 0.5,
        n_samples: int = 16,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        for name, function in (("writer", writer), ("log", log)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} must be a function or None, got {function!r:.80}")
        if (x is None) != (y is None):
            raise ValueError(f"x and y must be given together, got {'y' if x is None else 'x'} alone")
        chosen = (kinds,) if isinstance(kinds, str) else kinds
        self.kinds = tuple(validate_choice("kinds", kind, KINDS) for kind in chosen)
        self.freq = validate_int("freq", freq, 1)
        self.directory = None if directory is None else Path(directory)
        self.writer = writer
        self.log = log
        self.x, self.y = x, y
        self.class_names = class_names
        self.threshold = validate_float("threshold", threshold)
        self.n_samples = validate_int("n_samples", n_samples, 1)
        self.image_shape = image_shape
        self._warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset the state of an earlier run."""
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw the pictures if it is their epoch."""
        if (epoch + 1) % self.freq:
            return
        data = (self.x, self.y) if self.x is not None else self.validation_data
        found = None if data is None else collect(data)
        if found is None:
            self._warn_once()
            return
        x, y = found
        outputs = self.model.predict(x, verbose=0)
        predictions = classify(x, y, outputs, self.threshold, self.class_names)

        from onstage_figures import drawing  # imported late: matplotlib is slow to import

        draw: dict[str, Callable[[], Figure]] = {
            "confusion_matrix": lambda: drawing.draw_confusion_matrix(predictions),
            "roc": lambda: drawing.draw_roc(predictions),
            "precision_recall": lambda: drawing.draw_precision_recall(predictions),
            "samples": lambda: drawing.draw_samples(predictions, self.n_samples, self.image_shape),
        }
        for kind in self.kinds:
            self._hand_out(kind, draw[kind](), epoch)

    def _hand_out(self, kind: str, figure: Figure, epoch: int) -> None:
        figure.suptitle(f"epoch {epoch + 1}", fontsize="medium")
        if self.directory is not None:
            picture = BytesIO()
            figure.savefig(picture, format="png", dpi=120)
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomic(self.directory / f"epoch_{epoch + 1:03}_{kind}.png", [picture.getvalue()])
        if self.writer is not None:
            self.writer().add_figure(f"validation/{kind}", figure, epoch)
        if self.log is not None:
            self.log(f"validation/{kind}", figure, epoch)

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                "Figures draws nothing: it needs validation data that can be read again; "
                "pass validation_data to fit, or x and y to Figures",
                OnstageWarning,
                stacklevel=2,
            )
