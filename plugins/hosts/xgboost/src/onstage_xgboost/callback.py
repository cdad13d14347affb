"""OnstageCallback: a callback of XGBoost that runs those of onstage."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
from xgboost import Booster, collective
from xgboost.callback import TrainingCallback

from onstage import ModelView
from onstage.hosts import (
    HostView,
    RoundCallback,
    file_writer,
    rounds_view,
    state_to_text,
    suffix_checker,
)

_STATE = "onstage"
"""Attribute of a Booster with the state of the callbacks."""


class OnstageCallback(RoundCallback, TrainingCallback):
    """Runs callbacks of onstage in ``xgboost.train``, ``cv`` and the estimators.

    A round is an epoch; a continued training counts on. The state of the
    callbacks is in an attribute of the Booster, so that ``xgb_model=…`` continues
    them. XGBoost reports no errors to callbacks. To fire on_exception and
    on_teardown after one, write ``with callback: xgboost.train(…)``.

    Stand last in XGBoost's list of callbacks: it does not tell the round in
    which one stops to those after it.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per round.
    epochs
        Rounds of the training for ``params``, as XGBoost does not tell callbacks.

    Examples
    --------
    >>> from onstage_xgboost import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> xgboost.train({}, data, 100, evals=[(valid, "valid")], callbacks=[callback])  # doctest: +SKIP
    """

    host = "XGBoost"
    lacks: ClassVar[dict[str, str]] = {
        **RoundCallback.lacks,
        "state_dict": "pass xgb_model=… to continue a Booster, in which the callbacks' state is",
        "load_state_dict": "pass xgb_model=… to continue a Booster, in which the callbacks' state is",
    }

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0, epochs: int | None = None) -> None:
        super().__init__(callbacks, verbose=verbose)
        self.epochs = epochs
        self._model: Any = None
        self._first = self._ended = 0
        self._results: Any = {}

    def before_training(self, model: Any) -> Any:
        """Begin the run."""
        self._model, is_booster = model, isinstance(model, Booster)
        self._first = self._ended = model.num_boosted_rounds() if is_booster else 0
        state = model.attr(_STATE) if is_booster else None
        self.start_rounds(self._view(), first=self._first, rounds=self.epochs, state=state)
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Begin the round."""
        self._model, self._results = model, evals_log
        self.begin("epoch", self._first + epoch)
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """End the round; stop if a callback asks to."""
        self._model, self._results = model, evals_log
        self._ended = self._first + epoch + 1
        go_on = self.end_round(_last_values(evals_log))
        if not go_on and not isinstance(model, Booster):
            model.set_attr(best_iteration=str(epoch))  # cv returns the rounds up to it
        return not go_on

    def after_training(self, model: Any) -> Any:
        """End the run; return the model with the rounds that the callbacks keep."""
        self._model = model
        if isinstance(model, Booster) and model.num_boosted_rounds() > self._ended:
            # A callback before this one has stopped in the last round.
            self.end_round(_last_values(self._results))
        state = self.save_state()
        self.finish()
        if isinstance(model, Booster) and state is not None:
            self._model.set_attr(**{_STATE: state_to_text(state)})
        # An estimator is pickled with its callbacks.
        model, self._model, self._results = self._model, None, {}
        return model

    # -- the model

    def _view(self) -> HostView:
        rate: dict[str, Any] = {
            "get_learning_rate": self._learning_rate,
            "set_learning_rate": self._set_learning_rate,
        }
        lacks = dict(self.lacks)
        if not isinstance(self._model, Booster):
            lacks |= dict.fromkeys(("get_weights", "set_weights", "save"), "cv has no model: use train")
            return HostView(ModelView(**rate), self.host, lacks)
        kind = json.loads(self._model.save_config())["learner"]["learner_train_param"]["booster"]
        if kind != "gbtree":
            remedy = f"{kind} has no earlier rounds to go back to: use gbtree"
            lacks |= dict.fromkeys(("get_weights", "set_weights"), remedy)
        several = collective.get_world_size() > 1
        return HostView(
            rounds_view(lambda: self._model.num_boosted_rounds(), self._keep, **rate),
            self.host,
            lacks,
            rank=collective.get_rank(),
            agree=_agree if several else None,
            save=file_writer(self._save),
            snapshot_writer=suffix_checker(self.host, (".json", ".ubj")),
        )

    def _learning_rate(self) -> float:
        model = self._model if isinstance(self._model, Booster) else self._model.cvfolds[0].bst
        return float(_find("learning_rate", json.loads(model.save_config())["learner"]["gradient_booster"]))

    def _set_learning_rate(self, rate: float) -> None:
        self._model.set_param({"learning_rate": rate})

    def _keep(self, rounds: int) -> None:
        # In place: the loop of xgboost.train holds this Booster.
        config, best = self._model.save_config(), self._model[:rounds]
        if int(best.attr("best_iteration") or 0) >= rounds:
            best.set_attr(best_iteration=None, best_score=None)
        self._model.load_model(best.save_raw("ubj"))
        self._model.load_config(config)

    def _save(self, path: str) -> None:
        self._model.set_attr(**{_STATE: state_to_text(self.save_state())})
        self._model.save_model(path)


def _last_values(results: Any) -> dict[str, dict[str, float]]:
    """Return the values of the last round; of the pairs of cv, the means."""
    return {
        dataset: {
            name: values[-1][0] if isinstance(values[-1], tuple) else values[-1]
            for name, values in metrics.items()
        }
        for dataset, metrics in results.items()
    }


def _agree(asked: bool) -> bool:
    return bool(collective.allreduce(np.array([int(asked)]), collective.Op.MAX)[0])


def _find(name: str, config: Any) -> Any:
    """Return the first value under a name in a nested configuration, None without."""
    if isinstance(config, list):
        config = dict(enumerate(config))
    if not isinstance(config, dict):
        return None
    inner = (found for each in config.values() if (found := _find(name, each)) is not None)
    return config[name] if name in config else next(inner, None)
