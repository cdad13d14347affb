"""OnstageCallback: a callback of CatBoost that runs those of onstage."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, ClassVar, Self

from catboost import CatBoost

from onstage import ModelView
from onstage.hosts import HostView, RoundCallback, rounds_view, state_to_text

_STATE = "onstage"
"""Key in a model's metadata with the state of the callbacks."""


class OnstageCallback(RoundCallback):
    """Runs callbacks of onstage in ``fit``.

    CatBoost tells callbacks neither the beginning nor the end of a training:
    train in ``with OnstageCallback(…) as callback: model.fit(…,
    callbacks=[callback])``. A round is an epoch; its stages fire after it.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per round.
    model
        The model that is trained, which CatBoost does not tell callbacks.
        EarlyStopping(restore_best_weights=True) shrinks it, and its metadata
        hold the state of the callbacks.
    init_model
        The same as CatBoost's, to continue with the state of its callbacks: a
        model, or the path of its file.
    epochs
        Rounds of the training for ``params``, as CatBoost does not tell callbacks.

    Examples
    --------
    >>> from onstage_catboost import OnstageCallback
    >>> with OnstageCallback(["csv_logger"]) as callback:  # doctest: +SKIP
    ...     model.fit(x, y, eval_set=(x_valid, y_valid), callbacks=[callback])
    """

    host = "CatBoost"
    lacks: ClassVar[dict[str, str]] = {
        **RoundCallback.lacks,
        "learning_rate": "pass learning_rate to the model: it is fixed when training starts",
        "save": "there is no model before fit returns: pass save_snapshot=True to fit",
        "state_dict": "pass save_snapshot=True to fit, or init_model=… to continue a model",
        "load_state_dict": "pass save_snapshot=True to fit, or init_model=… to continue a model",
    }

    def __init__(
        self,
        callbacks: Any = None,
        *,
        verbose: int | str = 0,
        model: CatBoost | None = None,
        init_model: CatBoost | str | os.PathLike[str] | None = None,
        epochs: int | None = None,
    ) -> None:
        super().__init__(callbacks, verbose=verbose)
        self.model, self.init_model, self.epochs = model, init_model, epochs
        self._first = self._rounds = 0
        self._is_fitted = False
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Begin the run."""
        earlier = _load(self.init_model)
        self._first = self._rounds = 0 if earlier is None else earlier.tree_count_
        state = None if earlier is None else dict(earlier.get_metadata().items()).get(_STATE)
        self._is_fitted, self._error = False, None
        self.start_rounds(self._view(), first=self._first, rounds=self.epochs, state=state)
        return self

    def after_iteration(self, info: Any) -> bool:
        """Run the stages of a round; return whether to continue, as CatBoost expects."""
        try:
            if self.active_run is None:
                raise RuntimeError(
                    "CatBoost does not tell callbacks when training begins: "
                    "write with OnstageCallback(…) as callback: model.fit(…, callbacks=[callback])"
                )
            if self._first + info.iteration <= self._rounds:
                raise RuntimeError("each fit must have its own with statement, got a second fit in one")
            self._rounds = self._first + info.iteration
            self.begin("epoch", self._rounds - 1)
            return self.end_round(
                {
                    dataset: {name.lower(): values[-1] for name, values in metrics.items()}
                    for dataset, metrics in info.metrics.items()
                }
            )
        except BaseException as error:
            self._error = error  # CatBoost raises another one with its text
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run; raise the error of a callback, which CatBoost has replaced."""
        if self._error is not None and error is not None:
            raise self._error from None
        state = None if error is not None else self.save_state()
        self._is_fitted = error is None
        self.finish(error)
        if state is not None and self.model is not None:
            self.model.get_metadata()[_STATE] = state_to_text(state)

    # -- the model

    def _view(self) -> HostView:
        lacks = dict(self.lacks)
        if self.model is None:
            remedy = "pass model=… to OnstageCallback, the model that is trained"
            lacks |= dict.fromkeys(("get_weights", "set_weights"), remedy)
            return HostView(ModelView(), self.host, lacks)
        if self.model.get_params().get("use_best_model") is not False:
            lacks["set_weights"] = "make the model with use_best_model=False: CatBoost drops rounds by itself"
        return HostView(rounds_view(self._count, self._keep), self.host, lacks)

    def _count(self) -> int:
        return self.model.tree_count_ if self._is_fitted and self.model is not None else self._rounds

    def _keep(self, rounds: int) -> None:
        if not self._is_fitted or self.model is None:
            raise RuntimeError("CatBoost has no model before fit returns: set weights in on_train_end")
        self.model.shrink(rounds)


def _load(init_model: CatBoost | str | os.PathLike[str] | None) -> CatBoost | None:
    if isinstance(init_model, (str, os.PathLike)):
        return CatBoost().load_model(os.fspath(init_model))
    return init_model
