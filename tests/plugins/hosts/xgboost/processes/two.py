"""Train with two processes of XGBoost; write what the callbacks of each rank saw."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import xgboost as xgb
from onstage_xgboost import OnstageCallback
from xgboost import collective
from xgboost.tracker import RabitTracker

from onstage import Callback
from onstage.callbacks import CSVLogger
from onstage.testing import Recorder


class StopOnRankOne(Callback):
    def on_epoch_end(self, epoch):
        if collective.get_rank() == 1 and epoch == 1:
            self.stop("enough on rank 1")


class OnZero(Callback):
    ranks = "zero"
    calls = 0

    def on_epoch_end(self):
        self.calls += 1


def work(arguments):
    with collective.CommunicatorContext(**arguments):
        rank = collective.get_rank()
        rng = np.random.default_rng(rank)
        x = rng.normal(size=(40, 4))
        data = xgb.DMatrix(x, (x.sum(1) > 0).astype(int))
        recorder, on_zero = Recorder(), OnZero()
        callback = OnstageCallback([CSVLogger("log.csv"), StopOnRankOne(), on_zero, recorder])
        with callback:
            xgb.train(
                {"objective": "binary:logistic", "nthread": 1},
                data,
                9,
                evals=[(data, "valid")],
                callbacks=[callback],
                verbose_eval=False,
            )
        seen = {
            "epochs": callback.history.epoch,
            "reason": callback.history.stop_reason,
            "on_zero": on_zero.calls,
            "last": recorder.stages[-1],
        }
        Path(f"rank{rank}.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    tracker = RabitTracker(host_ip="127.0.0.1", n_workers=2)
    tracker.start()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=work, args=(tracker.worker_args(),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
