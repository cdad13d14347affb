"""The files that ``onstage new`` writes; ``@WORD@`` is filled in."""

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "@DISTRIBUTION@"
version = "0.1.0"
description = "Remembers the lowest value of a metric: a callback for onstage"
readme = "README.md"
requires-python = ">=3.11"
classifiers = ["Typing :: Typed"]
dependencies = [
    "@CORE@",
]

[project.entry-points."onstage.callbacks"]
@NAME@ = "@MODULE@:@CLASS@"

[tool.hatch.build.targets.wheel]
packages = ["src/@MODULE@"]

[tool.pytest.ini_options]
pythonpath = ["src"]
testpaths = ["tests"]
"""

README = """\
# @DISTRIBUTION@

A callback for [onstage](https://pypi.org/project/onstage/) that remembers the
lowest value of a metric, and in which epoch it was.

```python
from onstage.callbacks import @CLASS@

callback = @CLASS@(monitor="val_loss")
model.fit(x, y, callbacks=[callback])  # or callbacks=["@NAME@"]
print(callback.best, callback.best_epoch)
```
"""

MODULE = '''\
"""Remembers the lowest value of a metric."""

from __future__ import annotations

from onstage import Callback, Logs
from onstage.model import State


class @CLASS@(Callback):
    """Remembers the lowest value of a metric, and in which epoch it was.

    Parameters
    ----------
    monitor
        The name of the metric in the logs; epochs without it don't count.

    Attributes
    ----------
    best
        The lowest value so far; None before the first.
    best_epoch
        Its epoch, counted from 0; None before the first.
    """

    def __init__(self, monitor: str = "loss") -> None:
        self.monitor = monitor
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None

    def on_train_begin(self) -> None:
        """Forget an earlier training."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare this epoch with the best one."""
        value = logs.get(self.monitor)
        if value is not None and (self.best is None or value < self.best):
            self.best, self.best_epoch = value, epoch

    def state_dict(self) -> State:
        """Give what a resumed training needs."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: State) -> None:
        """Continue from what `state_dict` gave."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
'''

TEST = """\
from onstage.testing import check_callback, replay

from @MODULE@ import @CLASS@


def test_remembers_the_lowest_value_and_its_epoch():
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (1.0, 1)


def test_epochs_without_the_metric_do_not_count():
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"loss": 0.1}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (2.0, 1)


def test_does_what_every_callback_must():
    check_callback(@CLASS@)
"""
