"""PushedStages: begin and end stages for a program that has its own loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from onstage.errors import did_you_mean
from onstage.run._batch_stage import BatchStage
from onstage.run._lifecycle import Kind, RunLifecycle, RunState
from onstage.run._running_means import RunningMeans

PushedStage: TypeAlias = Literal[
    "train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch"
]


class PushedStages:
    """Opens and closes the stages of a run; see `Run.begin` and `Run.end`."""

    def __init__(self, run: RunState, lifecycle: RunLifecycle) -> None:
        self._run = run
        self._lifecycle = lifecycle

    def begin(self, stage: PushedStage, number: int | None, data: Any) -> None:
        """Open a stage; see `Run.begin`."""
        match _validate_stage(stage):
            case "train":
                self._ensure_training()
            case "epoch":
                self._begin_epoch(number)
            case "test" | "predict" as kind:
                self._begin_stage(kind)
            case batch:
                self._begin_batch(_kind_of(batch), number, data)

    def end(self, stage: PushedStage, logs: Mapping[str, Any], samples: float | None, running: bool) -> bool:
        """Close a stage; see `Run.end`."""
        match _validate_stage(stage):
            case "train":
                self._end_training(logs)
            case "epoch":
                return self._end_epoch(logs)
            case "test" | "predict" as kind:
                open_stage = self._close_above(kind, stage)
                if logs and isinstance(open_stage.accumulator, RunningMeans):
                    open_stage.accumulator.replace(logs)
                open_stage.close()
            case batch:
                return self._end_batch(_kind_of(batch), stage, logs, samples, running)
        return not self._run.stopping

    # -- begin

    def _ensure_training(self) -> None:
        if not self._lifecycle.is_training:
            self._lifecycle.open_training()

    def _begin_epoch(self, number: int | None) -> None:
        self._ensure_training()
        self._lifecycle.close_epoch()
        run = self._run
        following = run.initial_epoch if run.epoch is None else run.epoch + 1
        self._lifecycle.open_epoch(following if number is None else number)

    def _begin_stage(self, kind: Kind) -> BatchStage:
        if kind == "train" and not self._lifecycle.epoch_open:
            self._begin_epoch(None)
        opened = BatchStage(self._run, self._lifecycle, kind, None, RunningMeans())
        if (beside := self._open_stage(kind)) is not None:
            self._lifecycle.close_loops(above=beside)
            beside.close()
        self._lifecycle.enter(opened)
        return opened

    def _begin_batch(self, kind: Kind, number: int | None, data: Any) -> None:
        stage = self._open_stage(kind) or self._begin_stage(kind)
        self._lifecycle.close_loops(above=stage)
        if stage.is_open:
            stage.close_batch()
        if number is not None:
            stage.batch = number - 1
        stage.open_batch(data)

    # -- end

    def _end_training(self, logs: Mapping[str, Any]) -> None:
        if not self._lifecycle.is_training:
            raise _not_open("train")
        self._lifecycle.close_epoch()
        self._lifecycle.last_logs.update(logs)
        self._lifecycle.close_training()

    def _end_epoch(self, logs: Mapping[str, Any]) -> bool:
        lifecycle, interruption = self._lifecycle, self._run.interruption
        if not lifecycle.epoch_open:
            raise _not_open("epoch")
        if lifecycle.resumes_here:
            self._begin_stage("train")  # with the metrics of the batches before the state was saved
        lifecycle.close_loops()
        lifecycle.epoch_logs.update(logs)
        lifecycle.close_epoch()
        if interruption is not None:
            raise interruption
        lifecycle.agree()
        return not self._run.stopping

    def _end_batch(
        self, kind: Kind, stage: str, logs: Mapping[str, Any], samples: float | None, running: bool
    ) -> bool:
        interruption = self._run.interruption
        open_stage = self._close_above(kind, stage)
        if not open_stage.is_open:
            raise _not_open(stage)
        open_stage.log(dict(logs), samples, running=running)
        open_stage.close_batch()
        if interruption is not None and (kind == "train" or not self._run.is_training):
            raise interruption
        return not open_stage.stop_requested

    def _close_above(self, kind: Kind, stage: str) -> BatchStage:
        """Return the open stage of a kind, after closing the stages inside it."""
        found = self._open_stage(kind)
        if found is None:
            raise _not_open(stage)
        self._lifecycle.close_loops(above=found)
        return found

    def _open_stage(self, kind: Kind) -> BatchStage | None:
        of_kind = [each for each in self._lifecycle.loops if each.kind == kind]
        return of_kind[-1] if of_kind and isinstance(of_kind[-1], BatchStage) else None


def _kind_of(batch_stage: str) -> Kind:
    kinds: dict[str, Kind] = {"train_batch": "train", "test_batch": "test", "predict_batch": "predict"}
    return kinds[batch_stage]


def _validate_stage(stage: str) -> str:
    known = get_args(PushedStage)
    if stage not in known:
        raise ValueError(
            f"stage must be one of {', '.join(known)}, got {stage!r}{did_you_mean(stage, known)}"
        )
    return stage


def _not_open(stage: str) -> RuntimeError:
    return RuntimeError(f"run.end({stage!r}) must come after run.begin({stage!r}); it is not open")
