"""MLflow: log params, metrics and files of a training to MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onstage.callbacks.tracking import Point, Status, Tracker

if TYPE_CHECKING:  # imported when a training begins: it takes seconds
    from mlflow import MlflowClient

__all__ = ["MLflow"]

_METRICS, _PARAMS = 1000, 100
"""How many the server takes at once."""


class MLflow(Tracker):
    """Log params, metrics and files of a training to MLflow.

    It logs where ``mlflow.set_tracking_uri`` and ``mlflow.set_experiment``, or
    the environment (``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME``), say;
    credentials are read from the environment only. During training the run is
    the active one: ``mlflow.log_figure`` in another callback is in it. Inside
    ``with mlflow.start_run():`` it is a nested run.

    Parameters
    ----------
    run_name
        Name of the run; MLflow makes one by default.
    run_id
        An existing run to continue.
    **options
        ``params``, ``tags``, ``update_freq``, ``artifacts``, ``log_model``:
        see `onstage.callbacks.tracking.Tracker`.

    Examples
    --------
    >>> tracker = MLflow(run_name="baseline", artifacts="checkpoints")
    >>> tracker
    MLflow(run_name='baseline', artifacts=['checkpoints'])
    """

    def __init__(self, run_name: str | None = None, run_id: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.run_name = run_name
        self._existing = run_id or ""

    def connect(self) -> None:
        """Import MLflow."""
        import mlflow  # noqa: F401

    def start(self, run_id: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Start a run, make it the active one, and log params and tags."""
        import mlflow
        from mlflow.entities import Param

        self._client: MlflowClient = mlflow.MlflowClient()
        existing = run_id or self._existing
        run = mlflow.start_run(existing or None, run_name=self.run_name, nested=True, tags=tags)
        started: str = run.info.run_id
        known = run.data.params if existing else {}  # a param cannot be changed
        # Points after the saved state, which the resumed training repeats.
        self._last = {name: self._last_step(started, name) for name in run.data.metrics} if existing else {}
        new = [Param(name, str(value)) for name, value in params.items() if name not in known]
        for first in range(0, len(new), _PARAMS):
            self._client.log_batch(started, params=new[first : first + _PARAMS])
        return started

    def _last_step(self, run_id: str, name: str) -> int:
        return max(metric.step for metric in self._client.get_metric_history(run_id, name))

    def log(self, points: Sequence[Point]) -> None:
        """Log the metrics of the points, 1000 at once."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(point.time * 1000), point.step)
            for point in points
            for name, value in point.values.items()
            if point.step > self._last.get(name, -1)
        ]
        for first in range(0, len(metrics), _METRICS):
            self._client.log_batch(self.run_id, metrics=metrics[first : first + _METRICS])

    def save_file(self, path: Path, name: str) -> None:
        """Save an artifact of the run."""
        folder = name.rpartition("/")[0]
        self._client.log_artifact(self.run_id, str(path), folder or None)

    def finish(self, status: Status, summary: dict[str, str]) -> None:
        """Tag the run with the reason of a stop, and end it."""
        import mlflow

        for name, value in summary.items():
            self._client.set_tag(self.run_id, name, value)
        active = mlflow.active_run()
        if active is not None and active.info.run_id == self.run_id:
            mlflow.end_run(status.upper())
        else:
            self._client.set_terminated(self.run_id, status.upper())

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the connection."""
        return {name: value for name, value in super().__getstate__().items() if name != "_client"}
