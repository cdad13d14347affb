"""The cases of own callbacks: what users try beyond the published ones."""

from __future__ import annotations

from case import NO_FILES_OF_KERAS, Case, Lines, attributes, sends
from trainings import X_VAL, Y_VAL, X, Y


def own_rates() -> list[Case]:
    """Callbacks that keep the optimizer's objects, or extend the built-in schedulers."""
    module = "own_rates"
    return [
        Case("keeps the variable", module, lambda m, _: [m.KeepsTheVariable()], attributes("seen")),
        Case("adjusts in place", module, lambda m, _: [m.AdjustsInPlace()]),
        Case(
            "triangle per epoch", module, lambda m, _: [m.TriangularPerEpoch(0.01, 0.3)], attributes("rates")
        ),
        Case("scheduler with super", module, lambda m, _: [m.SchedulerWithSuper()]),
        Case(
            "plateau with super",
            module,
            lambda m, _: [m.PlateauWithSuper("val_loss", 0.3, 1, 1, cooldown=1, min_delta=0.05)],
            attributes("restored"),
            learning_rate=2.0,
            epochs=8,
        ),
        Case(
            "stop and restart",
            module,
            lambda m, _: [m.StopAndRestart(monitor="val_loss", patience=1, min_delta=0.05, verbose=1)],
            attributes("restarts"),
            learning_rate=2.0,
            epochs=12,
        ),
        Case("warm restarts", module, lambda m, _: [m.WarmRestartsPerBatch()], epochs=7),
        Case("range finder", module, lambda m, _: [m.RangeFinder(high=5.0)], attributes("losses")),
    ]


def own_models() -> list[Case]:
    """Callbacks that use the model while it trains."""
    module = "own_models"
    return [
        Case("evaluates as dict", module, lambda m, _: [m.EvaluatesAsDict(X_VAL, Y_VAL)]),
        Case("predicts at begin", module, lambda m, _: [m.PredictsOnEpochBegin(X_VAL)], attributes("sums")),
        Case("confusion at end", module, lambda m, _: [m.ConfusionAtEnd((X_VAL, Y_VAL))]),
        Case("average of weights", module, lambda m, _: [m.AverageOfWeights()]),
        Case("noisy weights", module, lambda m, _: [m.NoisyWeights()]),
        Case("snapshots in memory", module, lambda m, _: [m.SnapshotsInMemory(X_VAL)], attributes("mean")),
        Case("stops at batch", module, lambda m, _: [m.StopsAtBatch(9)], attributes("events")),
        Case(
            "stops at batch begin", module, lambda m, _: [m.StopsAtBatchBegin(batch=2)], attributes("events")
        ),
        Case(
            "stops at epoch begin", module, lambda m, _: [m.StopsAtBatchBegin(epoch=1)], attributes("events")
        ),
        Case("stops in validation", module, lambda m, _: [m.StopsInValidation()]),
        Case("stops at train begin", module, lambda m, _: [m.StopsAtTrainBegin()]),
        Case(
            "trains by itself", module, lambda m, _: [m.TrainsByItself(X[:8], Y[:8])], attributes("results")
        ),
        Case("fits again", module, lambda m, _: [m.FitsAgain(X, Y)], attributes("losses")),
        Case(
            "saves whole model",
            module,
            lambda m, _: [m.SavesWholeModel(X_VAL)],
            attributes("equal"),
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "checkpoint with super",
            module,
            lambda m, _: [m.CheckpointWithSuper("c-{epoch:02d}.keras", save_best_only=True)],
            learning_rate=2.0,
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "moved checkpoint", module, lambda m, _: [m.MovedCheckpoint("deep/er")], refused=NO_FILES_OF_KERAS
        ),
        Case("own loop", module, lambda m, _: [m.OwnLoop(X, Y, m.CountsBatches())], attributes("kept")),
        Case("freezes in batch", module, lambda m, _: [m.FreezesInBatch("features", 9)], attributes("norms")),
    ]


def own_logs() -> list[Case]:
    """Callbacks that keep logs and parameters."""
    module = "own_logs"
    return [
        Case("every stage", module, lambda m, _: [m.EveryStage()], attributes("events")),
        Case("parameters", module, lambda m, _: [m.Parameters()], attributes("kept")),
        Case("total steps", module, lambda m, _: [m.TotalSteps()]),
        Case("metric history", module, lambda m, _: [m.MetricHistory()], attributes("batches")),
        Case("timing", module, lambda m, _: [m.Timing()]),
        Case("live plot", module, lambda m, _: [m.LivePlot()], attributes("lines")),
        Case("tracker stub", module, lambda m, _: [m.TrackerStub(Lines())], sends("client")),
        Case("CSV with super", module, lambda m, _: [m.CSVWithSuper("log.csv")]),
        Case("NaN with super", module, lambda m, _: [m.NaNWithSuper()]),
        Case("bar with super", module, lambda m, _: [m.BarWithSuper()], mask=r".*"),
        Case("backup with super", module, lambda m, _: [m.BackupWithSuper("backup")]),
        Case("lambda with super", module, lambda m, _: [m.LambdaWithSuper()], attributes("ends")),
        Case(
            "stopper with super",
            module,
            lambda m, _: [
                m.StopperWithSuper(patience=1, min_delta=0.2, restore_best_weights=True, verbose=1)
            ],
            learning_rate=2.0,
            epochs=8,
        ),
        Case("history of batches", module, lambda m, _: [m.HistoryOfBatches()], attributes("losses")),
    ]


OWN_CASES = [*own_rates(), *own_models(), *own_logs()]
