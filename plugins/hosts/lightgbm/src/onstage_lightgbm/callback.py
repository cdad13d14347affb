"""OnstageCallback: callbacks of LightGBM that run those of onstage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from lightgbm import Booster
from lightgbm.callback import CallbackEnv, EarlyStopException

from onstage import ModelView
from onstage.hosts import HostView, RoundCallback, file_writer, rounds_view, state_to_text, suffix_checker
from onstage_lightgbm.state import ATTRIBUTE, read_state, write_model

_BOOSTING = ("boosting", "boosting_type", "boost")
_RATE = ("learning_rate", "shrinkage_rate", "eta")


@dataclass(eq=False)
class _Part:
    """One of the two functions that LightGBM calls in a round."""

    function: Callable[[CallbackEnv], None]
    before_iteration: bool
    order: int = 25

    def __call__(self, env: CallbackEnv) -> None:
        self.function(env)


class OnstageCallback(RoundCallback):
    """Runs callbacks of onstage in ``lightgbm.train``, ``cv`` and the estimators.

    LightGBM calls one function before a round and another one after it: pass both
    of them with a star, ``callbacks=[*callback]``. A round is an epoch; a continued
    training counts on. LightGBM reports no errors, and not the stop of another
    callback. To fire on_exception and on_teardown, or on_train_end, after them,
    write ``with callback: lightgbm.train(…)``.

    Parameters
    ----------
    callbacks
        Instances, names of installed callbacks, ``{"name": {option: value}}``,
        or nested lists of these.
    verbose
        1 adds onstage's progress bar, 2 a line per round.
    init_model
        The same as LightGBM's, to continue with the state of its callbacks: the
        result of a training, or the path of a file of ModelCheckpoint.

    Examples
    --------
    >>> from onstage_lightgbm import OnstageCallback
    >>> callback = OnstageCallback(["csv_logger", {"early_stopping": {"patience": 3}}])
    >>> lightgbm.train({}, data, 100, valid_sets=[valid], callbacks=[*callback])  # doctest: +SKIP
    """

    host = "LightGBM"
    lacks: ClassVar[dict[str, str]] = {
        **RoundCallback.lacks,
        "state_dict": "pass init_model=… to train and to OnstageCallback",
        "load_state_dict": "pass init_model=… to train and to OnstageCallback",
    }
    order = 25  # after LightGBM's log_evaluation and record_evaluation, before its early_stopping
    before_iteration = True

    def __init__(self, callbacks: Any = None, *, verbose: int | str = 0, init_model: Any = None) -> None:
        super().__init__(callbacks, verbose=verbose)
        self.init_model = init_model
        self._env: Any = None
        self._results: dict[int, Any] = {}

    def __iter__(self) -> Iterator[Callable[[CallbackEnv], None]]:
        """Return the callbacks of LightGBM, for before and after a round."""
        return iter([_Part(self._before_round, True), _Part(self._after_round, False)])

    def __call__(self, env: CallbackEnv) -> NoReturn:
        """Raise TypeError: LightGBM calls the parts."""
        raise TypeError(
            "callbacks must be [*OnstageCallback(…)], got it without the star; "
            "LightGBM calls one function before a round and another one after it"
        )

    def _before_round(self, env: CallbackEnv) -> None:
        self._env = env
        if env.iteration == env.begin_iteration:
            self._results = {}
            self.start_rounds(
                self._view(),
                first=env.begin_iteration,
                rounds=env.end_iteration - env.begin_iteration,
                state=read_state(self.init_model),
            )
        self.begin("epoch", env.iteration)

    def _after_round(self, env: CallbackEnv) -> None:
        self._env, self._results[env.iteration] = env, env.evaluation_result_list or []
        go_on = self.end_round(_values(env))
        if go_on and env.iteration + 1 < env.end_iteration:
            return
        state = self.save_state()
        self.finish()
        if isinstance(env.model, Booster):
            vars(env.model)[ATTRIBUTE] = state_to_text(state)
        rounds = self._rounds()
        if not go_on or rounds <= env.iteration:
            raise EarlyStopException(rounds - 1, self._results.get(rounds - 1, []))

    # -- the model

    def _view(self) -> HostView:
        rate: dict[str, Any] = {
            "get_learning_rate": self._learning_rate,
            "set_learning_rate": self._set_learning_rate,
        }
        lacks, params = dict(self.lacks), self._env.params
        if not isinstance(self._env.model, Booster):
            lacks |= dict.fromkeys(("get_weights", "set_weights", "save"), "cv has no model: use train")
            return HostView(ModelView(**rate), self.host, lacks)
        if "dart" in [params.get(name) for name in _BOOSTING]:
            remedy = "dart has no earlier rounds to go back to: use gbdt"
            lacks |= dict.fromkeys(("get_weights", "set_weights"), remedy)
        return HostView(
            rounds_view(self._rounds, self._keep, **rate),
            self.host,
            lacks,
            save=file_writer(
                lambda path: write_model(self._env.model, path, state_to_text(self.save_state()))
            ),
            snapshot_writer=suffix_checker(self.host, (".txt",)),
        )

    def _rounds(self) -> int:
        model = self._env.model
        return int(model.current_iteration()) if isinstance(model, Booster) else self._env.iteration + 1

    def _learning_rate(self) -> float:
        params = self._env.params
        return float(next((params[name] for name in _RATE if name in params), 0.1))

    def _set_learning_rate(self, rate: float) -> None:
        model = self._env.model
        for booster in [model] if isinstance(model, Booster) else model.boosters:
            booster.reset_parameter({"learning_rate": rate})
        self._env.params["learning_rate"] = rate  # LightGBM's own callbacks read it there

    def _keep(self, rounds: int) -> None:
        model = self._env.model
        in_training = getattr(model, "train_set", None) is not None
        if in_training and rounds >= self._env.begin_iteration:
            while model.current_iteration() > rounds:
                model.rollback_one_iter()
        else:  # rounds of init_model, or a Booster that train has returned: neither can be rolled back
            model.model_from_string(model.model_to_string(num_iteration=rounds))
        model.best_iteration = min(model.best_iteration, rounds)


def _values(env: CallbackEnv) -> dict[str, dict[str, float]]:
    """Return the values of a round; of those of cv, the means."""
    values: dict[str, dict[str, float]] = {}
    for result in env.evaluation_result_list or []:
        dataset, name, value = result[:3]
        if dataset == "cv_agg":  # before LightGBM 4.6
            dataset, _, name = name.partition(" ")
        values.setdefault(dataset, {})[name] = value
    return values
