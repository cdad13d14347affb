"""The files that ``onstage new`` writes, with placeholders ``@WORD@``."""

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "@DISTRIBUTION@"
version = "0.1.0"
description = "Records the lowest value of a metric: a callback for onstage"
readme = "README.md"
license = "MIT"
license-files = ["LICENSE"]
requires-python = ">=3.11"
classifiers = ["Typing :: Typed"]
dependencies = [
    "@CORE@",
]
@URLS@
[project.entry-points."onstage.callbacks"]
@NAME@ = "@MODULE@:@CLASS@"

[dependency-groups]
dev = ["mypy>=1.13", "pytest>=8.3", "ruff>=0.9"]

[tool.hatch.build.targets.wheel]
packages = ["src/@MODULE@"]

[tool.mypy]
strict = true
mypy_path = "src"

[tool.pytest.ini_options]
pythonpath = ["src"]
testpaths = ["tests"]
python_classes = [] # tests are functions; a callback's name may begin with Test
"""

URLS = """
[project.urls]
Repository = "@URL@"
"""

LICENSE = """\
MIT License

Copyright (c) @YEAR@ @AUTHOR@

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

WORKFLOW = """\
name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - run: pip install --upgrade pip && pip install --editable . --group dev
      - run: ruff check . && mypy src tests && pytest
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


def test_records_the_lowest_value_and_its_epoch() -> None:
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (1.0, 1)


def test_ignores_epochs_without_the_metric() -> None:
    callback = @CLASS@(monitor="val_loss")

    replay(callback, [{"loss": 0.1}, {"val_loss": 2.0}])

    assert (callback.best, callback.best_epoch) == (2.0, 1)


def test_behaves_as_every_callback_must() -> None:
    check_callback(@CLASS@)
"""
