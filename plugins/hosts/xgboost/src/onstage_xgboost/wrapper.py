"""as_callback: a callback of XGBoost in the trainings of onstage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from xgboost.callback import EarlyStopping, LearningRateScheduler, TrainingCallback, TrainingCheckPoint

from onstage import Callback, Logs
from onstage.model import State
from onstage.validation import validate_state

_RATE = ("learning_rate", "eta")


def as_callback(callback: TrainingCallback) -> Callback:
    """Return a callback of onstage that runs one of XGBoost, an epoch as a round.

    It runs in ``fit``, in a torch model's ``fit`` and in loops of one's own. The
    metrics of an epoch are those of two data sets, ``train`` and ``valid``. In
    place of the Booster it gets the model's learning rate, the number of epochs
    and attributes (``set_attr``); what else a Booster has raises AttributeError.

    Parameters
    ----------
    callback
        An instance of a subclass of ``xgboost.callback.TrainingCallback``.

    Raises
    ------
    TypeError
        If it is none.
    ValueError
        If it slices or saves the Booster: EarlyStopping(save_best=True) and
        TrainingCheckPoint.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> stop = EarlyStopping(rounds=2, data_name="valid", metric_name="loss")
    >>> result = replay(as_callback(stop), [{"val_loss": loss} for loss in (3, 1, 2, 2, 0)])
    >>> result.epochs_run, result.stop_reason
    (4, 'EarlyStopping of XGBoost stopped the training')
    """
    if not isinstance(callback, TrainingCallback):
        raise TypeError(
            f"callback must be an instance of xgboost.callback.TrainingCallback, got {callback!r}"
        )
    if isinstance(callback, TrainingCheckPoint):
        raise ValueError("callback must not save a Booster, got TrainingCheckPoint; use ModelCheckpoint")
    if isinstance(callback, EarlyStopping) and callback.save_best:
        raise ValueError(
            "callback must not slice a Booster, got EarlyStopping(save_best=True); "
            "use onstage's EarlyStopping(restore_best_weights=True)"
        )
    return _Wrapped(callback)


class _Wrapped(Callback):
    """Runs a callback of XGBoost."""

    adds_logs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, callback: TrainingCallback) -> None:
        self.callback = callback
        self._trainee = _Trainee(None)
        self._results: dict[str, Any] = {}
        if isinstance(callback, LearningRateScheduler):
            self.needs = ("learning_rate",)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Tell the callback that the training begins."""
        self._trainee, self._results = _Trainee(self.model), {}
        self.callback.before_training(model=self._trainee)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Tell the callback that a round begins."""
        self._stop_if(self.callback.before_iteration(self._trainee, epoch, self._results))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Tell the callback the metrics of the round."""
        self._trainee.rounds = epoch + 1
        for name, value in (logs or {}).items():
            if isinstance(value, (int, float)):
                own = name.removeprefix("val_")
                metrics = self._results.setdefault("train" if own == name else "valid", {})
                metrics.setdefault(own, []).append(float(value))
        self._stop_if(self.callback.after_iteration(self._trainee, epoch, self._results))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Tell the callback that the training ends."""
        self.callback.after_training(model=self._trainee)

    def _stop_if(self, asked: bool) -> None:
        if asked:
            self.stop(f"{type(self.callback).__name__} of XGBoost stopped the training")

    def state_dict(self) -> State:
        """Return the metrics and attributes; the callback itself has no state to save."""
        return {"results": self._results, "attributes": self._trainee.attributes()}

    def load_state_dict(self, state: State) -> None:
        """Restore the state of `state_dict`."""
        results, attributes = validate_state(state, results=dict, attributes=dict)
        self._results = results
        self._trainee.set_attr(**attributes)


class _Trainee:
    """The part of a Booster that a training outside XGBoost has."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._attributes: dict[str, str] = {}
        self.rounds = 0

    def num_boosted_rounds(self) -> int:
        return self.rounds

    def set_param(self, params: str | Mapping[str, Any], value: Any = None) -> None:
        for name, each in ({params: value} if isinstance(params, str) else params).items():
            if name not in _RATE:
                raise AttributeError(f"set_param must set learning_rate outside XGBoost, got {name!r}")
            self._model.learning_rate = float(each)

    def attr(self, key: str) -> str | None:
        return self._attributes.get(key)

    def attributes(self) -> dict[str, str]:
        return dict(self._attributes)

    def set_attr(self, **attributes: str | None) -> None:
        kept = self._attributes | {name: str(value) for name, value in attributes.items()}
        self._attributes = {
            name: value for name, value in kept.items() if attributes.get(name, "") is not None
        }

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a training outside XGBoost has no Booster, got a callback that asks for its {name!r}; "
            "train with xgboost and OnstageCallback, or write the callback for onstage"
        )
