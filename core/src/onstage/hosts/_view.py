"""HostView: the model of another trainer, as callbacks see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from onstage.state import storage

StrPath = str | PathLike[str]


class HostView:
    """A model of another trainer: what it offers to callbacks, and what it lacks.

    Parameters
    ----------
    model
        Has the attributes of a model that the trainer's model can offer: an
        `onstage.ModelView`, or another view of it.
    host
        Name of the trainer, for messages.
    lacks
        What the trainer cannot offer, a need of `onstage.Callback.needs`, to a
        clause for the message that refuses a callback which needs it: what to
        use instead.
    rank
        Rank of this process.
    agree
        For several processes: takes whether this one asks to stop, and returns
        whether any of them does. All of them call it at the same time.
    **offers
        Further attributes of the model, such as ``save``; they replace those of `model`.

    Attributes
    ----------
    stop_training
        Set by callbacks to stop; `HostCallback.end` returns False then.

    Examples
    --------
    >>> from onstage import ModelView
    >>> weights = {"kernel": 1.0}
    >>> view = HostView(ModelView(get_weights=weights.values), "Host", {"save": "use host.dump()"})
    >>> view.get_weights()
    [array(1.)]
    """

    def __init__(
        self,
        model: Any,
        host: str,
        lacks: Mapping[str, str] | None = None,
        *,
        rank: int = 0,
        agree: Callable[[bool], bool] | None = None,
        **offers: Any,
    ) -> None:
        self._model = model
        self._agree = agree
        self.host = host
        self.lacks = dict(lacks or {})
        self.rank = rank
        self.stop_training = False
        if "save" in offers and hasattr(model, "snapshot_writer"):
            self.snapshot_writer = self._snapshot_writer
        vars(self).update(offers)

    def __getattr__(self, name: str) -> Any:
        # Without the check, copying would look for _model in an object that has none yet.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._model, name)

    def _snapshot_writer(self, filepath: StrPath, weights_only: bool = False) -> Callable[..., None]:
        """Return the writer of a path, whose suffix is for the trainer to judge if it writes the file."""
        if ("save_weights" if weights_only else "save") in vars(self):
            return storage.save
        write: Callable[..., None] = self._model.snapshot_writer(filepath, weights_only)
        return write

    @property
    def learning_rate(self) -> float:
        """Current rate; setting it sets that of the trainer's optimizer."""
        return float(self._model.learning_rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._model.learning_rate = rate

    def agree_on_stop(self, interrupted: bool | None = None) -> str | None:
        """Share requests to stop, or signals to end, between the processes; return the reason, if any.

        See `onstage.model.SupportsStopAgreement`. A stop has a reason only if another process asked for it.
        """
        asked = self.stop_training if interrupted is None else interrupted
        agreed = self._agree(asked) if self._agree is not None else asked
        if interrupted is not None:
            return "a process received a signal to end" if agreed else None
        self.stop_training = agreed
        return "another process stopped the training" if agreed and not asked else None
