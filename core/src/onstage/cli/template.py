"""The files that ``onstage new`` writes, with placeholders ``@WORD@``."""

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "@DISTRIBUTION@"
version = "0.1.0"
description = "Records the lowest value of a metric: a callback for onstage"
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
python_classes = [] # tests are functions; a callback's name may begin with Test
"""

README = """\
# @DISTRIBUTION@

A callback for [onstage](https://pypi.org/project/onstage/) that records the
lowest value of a metric and its epoch.

```python
from onstage.callbacks import @CLASS@

callback = @CLASS@(monitor="val_loss")
model.fit(x, y, callbacks=[callback])  # or callbacks=["@NAME@"]
print(callback.best, callback.best_epoch)
```
"""

MODULE = '''\
"""@CLASS@: the lowest value of a metric."""

from __future__ import annotations

from onstage import Callback, Logs
from onstage.model import State


class @CLASS@(Callback):
    """Record the lowest value of a metric and its epoch.

    Parameters
    ----------
    monitor
        Name of the metric in the logs; epochs without it are ignored.

    Attributes
    ----------
    best
        Lowest value so far; None before the first.
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
        """Reset the state of an earlier training."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare the epoch's value with the lowest."""
        value = logs.get(self.monitor)
        if value is not None and (self.best is None or value < self.best):
            self.best, self.best_epoch = value, epoch

    def state_dict(self) -> State:
        """Return the state that a resumed training needs."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: State) -> None:
        """Restore the state that `state_dict` returned."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
'''

TEST = """\
from onstage.testing import check_callback, replay

from @MODULE@ import @CLASS@


def test_records_the_lowest_value_and_its_epoch():
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (1.0, 1)


def test_ignores_epochs_without_the_metric():
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"loss": 0.1}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (2.0, 1)


def test_behaves_as_every_callback_must():
    check_callback(@CLASS@)
"""
