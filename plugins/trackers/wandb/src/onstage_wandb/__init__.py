"""Wandb: log params, metrics and files of a training to Weights & Biases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from onstage.callbacks.tracking import Point, Status, Tracker
from onstage.validation import validate_choice

__all__ = ["Wandb"]

_MODES = ("online", "offline", "disabled", "shared")


class Wandb(Tracker):
    """Log params, metrics and files of a training to Weights & Biases.

    During training the run is ``wandb.run``, to which other callbacks may log.
    If a run is open already, its metrics are logged to it, and it stays open. A
    resumed training continues its run. The key is read from the environment
    (``WANDB_API_KEY``) or the login of wandb, never from an argument.

    Parameters
    ----------
    project
        Name of the project; that of the environment (``WANDB_PROJECT``) by default.
    name
        Name of the run; wandb makes one by default.
    mode
        ``"online"``, ``"offline"``, which needs no account, ``"disabled"`` or
        ``"shared"``; that of the environment (``WANDB_MODE``) by default.
    dir
        Directory of wandb's files.
    group
        Group of runs, such as the folds of a cross-validation.
    **options
        ``params``, ``tags``, ``update_freq``, ``artifacts``, ``log_model``:
        see `onstage.callbacks.tracking.Tracker`.

    Examples
    --------
    >>> Wandb("digits", mode="offline")
    Wandb(project='digits', mode='offline')
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        *,
        mode: Literal["online", "offline", "disabled", "shared"] | None = None,
        dir: str | None = None,
        group: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.project, self.name, self.dir, self.group = project, name, dir, group
        self.mode = mode if mode is None else validate_choice("mode", mode, _MODES)

    def connect(self) -> None:
        """Import wandb."""
        import wandb  # noqa: F401

    def start(self, run_id: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Start a run, or take the open one; its config has the params and the tags."""
        import wandb

        self._is_own = wandb.run is None
        self._run: Any = wandb.run or wandb.init(
            project=self.project,
            name=self.name,
            id=run_id or None,
            resume="allow" if run_id else None,
            mode=self.mode,  # type: ignore[arg-type]  # validated
            dir=self.dir,
            group=self.group,
        )
        self._run.config.update({**params, "tags": tags}, allow_val_change=True)
        # wandb's own step must never fall, those of epochs and batches have their own axes.
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric("batch_*", step_metric="batch")
        return str(self._run.id)

    def log(self, points: Sequence[Point]) -> None:
        """Log the values of each point with its epoch or batch."""
        for point in points:
            self._run.log({**point.values, point.kind: point.step})

    def save_file(self, path: Path, name: str) -> None:
        """Copy a file to the run's files."""
        target = Path(self._run.dir, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        self._run.save(str(target), base_path=self._run.dir, policy="now")

    def finish(self, status: Status, summary: dict[str, str]) -> None:
        """Add the reason of a stop to the summary, and end the run."""
        self._run.summary.update({"status": status, **summary})
        if self._is_own:
            self._run.finish(exit_code=0 if status == "finished" else 1)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the connection."""
        return {name: value for name, value in super().__getstate__().items() if name != "_run"}
