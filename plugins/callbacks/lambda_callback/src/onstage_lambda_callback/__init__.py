"""LambdaCallback: a callback composed of functions."""

from __future__ import annotations

from collections.abc import Callable

from onstage import Bus, Callback
from onstage.errors import did_you_mean
from onstage.hookspecs import STAGES

__all__ = ["LambdaCallback"]

Function = Callable[..., object]


class LambdaCallback(Callback):
    """Call a function at each stage that has one.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end
        Any callable, or None. Its arguments are those of a method of the stage,
        see `onstage.hookspecs`: ``lambda epoch, logs: …``.
    **functions
        The same for the other stages.

    Raises
    ------
    TypeError
        If there is no such stage, the value is not a function, or the stage
        cannot pass what it takes. The message has the closest name.

    Examples
    --------
    >>> from onstage.testing import replay
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> result = replay(show, [{"loss": 3.0}, {"loss": 1.0}])
    0 3.0
    1 1.0
    """

    def __init__(
        self,
        on_epoch_begin: Function | None = None,
        on_epoch_end: Function | None = None,
        on_train_begin: Function | None = None,
        on_train_end: Function | None = None,
        on_train_batch_begin: Function | None = None,
        on_train_batch_end: Function | None = None,
        **functions: Function | None,
    ) -> None:
        functions |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for stage, function in functions.items():
            if stage not in STAGES:
                raise TypeError(f"LambdaCallback has no argument {stage!r}{did_you_mean(stage, STAGES)}")
            if function is not None:
                setattr(self, stage, function)
        Bus([self])  # refuses a wrong function here rather than in the run
