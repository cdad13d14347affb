"""Trackio: log params, metrics and files of a training to Trackio's local database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onstage.callbacks.tracking import Point, Status, Tracker

__all__ = ["Trackio"]


class Trackio(Tracker):
    """Log params, metrics and files of a training to Trackio.

    The database is in the directory of the environment variable
    ``TRACKIO_DIR``; ``trackio show`` draws it. It is on this machine, unless the
    environment names another one (``TRACKIO_SPACE_ID``, ``TRACKIO_SERVER_URL``),
    whose credentials are read there too. A resumed training continues its run.

    Parameters
    ----------
    project
        Name of the project.
    name
        Name of the run, which is continued if it exists; Trackio makes one by default.
    group
        Group of runs, such as the folds of a cross-validation.
    **options
        ``params``, ``tags``, ``update_freq``, ``artifacts``, ``log_model``:
        see `onstage.callbacks.tracking.Tracker`.

    Examples
    --------
    >>> Trackio("digits", name="baseline")
    Trackio(project='digits', name='baseline')
    """

    def __init__(
        self, project: str = "onstage", name: str | None = None, group: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.project, self.name, self.group = project, name, group

    def connect(self) -> None:
        """Import Trackio."""
        import trackio  # noqa: F401

    def start(self, run_id: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Start or continue a run; its config has the params and the tags."""
        import trackio

        config = {**params, "tags": tags}
        name = run_id or self.name
        # Its own monitors write to the run beside us: onstage-system-monitor adds to the logs.
        self._run = trackio.init(
            self.project,
            name=name,
            group=self.group,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return str(self._run.name)

    def log(self, points: Sequence[Point]) -> None:
        """Log the values of each point at the step of its epoch or batch."""
        for point in points:
            self._run.log(dict(point.values), step=point.step)

    def save_file(self, path: Path, name: str) -> None:
        """Save a file as an artifact of the run."""
        self._run.log_artifact(path, name=f"{self.run_id}-{name.replace('/', '-')}")

    def finish(self, status: Status, summary: dict[str, str]) -> None:
        """End the run, after an alert with the reason of a stop."""
        import trackio

        if summary:
            self._run.alert(
                "training stopped", "; ".join(f"{name}: {text}" for name, text in summary.items())
            )
        if trackio.context_vars.current_run.get() is self._run:
            trackio.finish()
        else:
            self._run.finish()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the connection."""
        return {name: value for name, value in super().__getstate__().items() if name != "_run"}
