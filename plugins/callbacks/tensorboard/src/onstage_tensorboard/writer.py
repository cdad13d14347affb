"""tensorboardX's SummaryWriter on the files of an EventLog, without torch."""

from __future__ import annotations

import os
from functools import partial
from types import SimpleNamespace
from typing import Any

from onstage_tensorboard.event_log import EventLog
from onstage_tensorboard.without_torch import tensorboardX


class RunWriter(tensorboardX.SummaryWriter):  # type: ignore[misc]  # it has no types
    """SummaryWriter of one run; `close` and `flush` wait until all events are on disk."""

    all_writers: dict[str, Any] | None

    def __init__(self, log: EventLog, run: str) -> None:
        self._log, self._run = log, run
        super().__init__(os.path.join(log.log_dir, run))

    def _get_file_writer(self) -> Any:
        if self.all_writers is None:
            self.file_writer = _FileWriter(self._log, self._run, self.logdir)
            self.all_writers = {self.logdir: self.file_writer}
        return self.file_writer


class _FileWriter(tensorboardX.FileWriter):  # type: ignore[misc]  # it has no types
    """FileWriter without a queue of its own, which pickles every event and hides its place in the file."""

    def __init__(self, log: EventLog, run: str, logdir: str) -> None:
        add = partial(log.add_foreign, run)
        self.event_writer = SimpleNamespace(
            add_event=add, flush=log.sync, close=log.sync, get_logdir=lambda: logdir
        )
        self._default_metadata: dict[str, Any] = {}
