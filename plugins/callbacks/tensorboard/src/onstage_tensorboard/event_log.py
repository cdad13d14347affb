"""EventLog: the event files of a training, over several fits and resumes."""

from __future__ import annotations

import re
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage.errors import OnstageWarning, StateError
from onstage.model import Array, State
from onstage.state import copy_state
from onstage.validation import validate_state
from onstage_tensorboard.model_description import named_weights

if TYPE_CHECKING:  # imported with the first event: protobuf is slow to import
    from onstage_tensorboard.event_file import Positions
    from onstage_tensorboard.writer_thread import AsyncWriter

_SERIES = re.compile(r"onstage-[0-9a-f]{8}")


class EventLog:
    """Opens the event files with the first event, closes them, restores them.

    Parameters
    ----------
    log_dir
        Directory of the runs ``train`` and ``validation``.
    """

    def __init__(self, log_dir: str) -> None:
        self.log_dir = log_dir
        self._series = f"onstage-{secrets.token_hex(4)}"
        self._writer: AsyncWriter | None = None
        self._positions: Positions = {}
        self._spare: list[list[Array]] = []

    @property
    def is_open(self) -> bool:
        """Whether an event was written since the last `close`."""
        return self._writer is not None

    def scalars(self, run: str, step: int, pattern: str, values: Mapping[str, float]) -> None:
        """Write one point of each curve; `pattern` (``batch_{}``) makes a name its tag."""
        if values:
            (self._writer or self._open()).scalars(run, step, pattern, values)

    def weights(self, step: int, model: Any, images: bool) -> None:
        """Write histograms and, optionally, images of the current weights."""
        from onstage_tensorboard import summaries

        named = named_weights(model)
        names = [name for name, _ in named]
        arrays = copy_state([array for _, array in named], into=self._spare.pop() if self._spare else None)

        def build() -> list[Any]:
            values = summaries.weights(zip(names, arrays, strict=True), images)
            self._spare.append(arrays)
            return values

        self._add("train", step, build, heavy=True)

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Write an entry of the Text tab."""
        from onstage_tensorboard import summaries

        self._add("train", step, summaries.text, tag, markdown)

    def graph(self, config: Mapping[str, object]) -> None:
        """Write the model's graph."""
        from onstage_tensorboard import summaries

        self._add("train", 0, summaries.graph, config)

    def session_start(self, hparams: Mapping[str, bool | int | float | str]) -> None:
        """Begin a row of the HParams tab."""
        from onstage_tensorboard import summaries

        self._add(".", 0, summaries.session_start, hparams, time.time())

    def session_end(self, succeeded: bool) -> None:
        """End a row of the HParams tab."""
        from onstage_tensorboard import summaries

        self._add(".", 0, summaries.session_end, time.time(), succeeded)

    def projector(self, metadata: Mapping[str, str | None]) -> None:
        """Write the configuration of the Projector tab: layer to file of labels."""
        from onstage_tensorboard import projector

        self._add("train", 0, projector.write_config, Path(self.log_dir), metadata)

    def embeddings(self, step: int, tables: Mapping[str, Array]) -> None:
        """Write the tables of embeddings; they replace earlier ones."""
        from onstage_tensorboard import projector

        self._add("train", step, projector.write_tables, Path(self.log_dir), tables, heavy=True)

    def _add(self, run: str, step: int, build: Callable[..., Any], *args: Any, heavy: bool = False) -> None:
        (self._writer or self._open()).add(run, step, build, *args, heavy=heavy)

    def _open(self) -> AsyncWriter:
        from onstage_tensorboard.writer_thread import AsyncWriter

        self._writer = AsyncWriter(self.log_dir, self._series)
        return self._writer

    def close(self) -> None:
        """Write the remaining events; raise OSError if that fails."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            self._remember(writer.close())
            self._spare.clear()

    def state_dict(self) -> State:
        """Return the lengths of the files, after writing all events to disk."""
        if self._writer is not None:
            self._remember(self._writer.sync())
        return {
            "series": self._series,
            "files": {run: dict(files) for run, files in self._positions.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Return to a saved state: remove the events written after it."""
        from onstage_tensorboard.event_file import truncate_after

        series, runs = validate_state(state, series=str, files=dict)
        if not _SERIES.fullmatch(series):
            raise StateError(f"series must be 'onstage-' and 8 hexadecimal digits, got {series!r}")
        for files in runs.values():
            validate_state(files, **dict.fromkeys(files, int))
        self.close()
        self._series = series
        self._positions = {run: dict(files) for run, files in runs.items()}
        for file in truncate_after(self.log_dir, self._series, self._positions):
            warnings.warn(
                f"TensorBoard cannot find all earlier events: {file} is gone, or shorter",
                OnstageWarning,
                stacklevel=2,
            )

    def _remember(self, positions: Positions) -> None:
        for run, files in positions.items():
            self._positions.setdefault(run, {}).update(files)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_writer": None, "_spare": []}
