"""The cases of the published callbacks, and all cases."""

from __future__ import annotations

from typing import Any

from case import NO_FILES_OF_KERAS, Case, Lines, attributes, sends
from own_cases import OWN_CASES
from trainings import X_VAL, Y_VAL, X, Y


def rates() -> list[Case]:
    """Callbacks that set the learning rate."""
    old, new = "rates_keras2", "rates_keras3"
    return [
        *(
            Case(
                f"CyclicLR {mode}",
                old,
                lambda m, _, mode=mode: [m.CyclicLR(0.01, 0.2, 4, mode, 0.95)],
                attributes("history"),
            )
            for mode in ("triangular", "triangular2", "exp_range")
        ),
        Case("SGDR", old, lambda m, _: [m.SGDRScheduler(0.01, 0.2, 6, 0.9, 1, 2)], attributes("history")),
        Case(
            "warm-up cosine",
            old,
            lambda m, _: [m.WarmUpCosineDecayScheduler(0.2, 24, warmup_steps=5, verbose=1)],
            attributes("learning_rates"),
        ),
        Case(
            "LR finder",
            old,
            lambda m, _: [m.LRFinder(1e-3, 5.0, 24)],
            attributes("lrs", "losses"),
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "one cycle",
            old,
            lambda m, _: [m.OneCycleScheduler(0.2, 24)],
            attributes("lrs", "moms"),
            momentum=0.9,
            torch_formula=True,
        ),
        Case("polynomial decay", old, lambda m, _: [m.polynomial()]),
        Case("step decay", old, lambda m, _: [m.step_decay_of_the_present_rate()]),
        Case("reduce on spike", old, lambda m, _: [m.ReduceLROnSpike()], learning_rate=3.0, epochs=6),
        Case(
            "delayed plateau",
            old,
            lambda m, _: [
                m.DelayedReduceLROnPlateau(
                    2, monitor="val_loss", factor=0.5, patience=1, verbose=1, min_delta=0.2
                )
            ],
            attributes("calls"),
            epochs=6,
        ),
        Case(
            "LRTensorBoard",
            old,
            lambda m, _: [m.LRTensorBoard("logs")],
            reference=lambda m, _: [m.LearningRateLogger()],
        ),
        Case("rate in logs", old, lambda m, _: [m.LearningRateLogger()]),
        Case("effective rate", old, lambda m, _: [m.EffectiveLRPrinter()]),
        Case("rate as attribute", old, lambda m, _: [m.LinearDecayPerBatch()]),
        Case(
            "guide's scheduler",
            new,
            lambda m, _: [m.CustomLearningRateScheduler(lambda epoch, lr: lr / 2 if epoch > 1 else lr)],
        ),
        Case("warm-up by assign", new, lambda m, _: [m.WarmupLearningRate(0.2, 7)]),
        Case("cosine annealing", new, lambda m, _: [m.CosineAnnealing(4, 0.01)]),
        Case("Noam", new, lambda m, _: [m.NoamSchedule(16, 8)]),
        Case("step decay by numpy()", new, lambda m, _: [m.StepDecayByNumpy()]),
        Case(
            "one cycle as attributes",
            new,
            lambda m, _: [m.OneCycle(0.2, 24)],
            attributes("seen"),
            momentum=0.9,
            torch_formula=True,
        ),
        Case("LR range test", new, lambda m, _: [m.LRRangeTest()], attributes("losses")),
        Case("schedule object", new, lambda m, _: [m.ScheduleObject()]),
        Case("own plateau", new, lambda m, _: [m.OwnPlateau()], learning_rate=2.0, epochs=6),
        Case("optimizer's config", new, lambda m, _: [m.OptimizerConfigPrinter()]),
    ]


def stopping() -> list[Case]:
    """Callbacks that stop the training."""
    module = "stopping"
    return [
        Case(
            "guide's early stopping",
            module,
            lambda m, _: [m.EarlyStoppingAtMinLoss(1)],
            attributes("best", "wait"),
            learning_rate=3.0,
            epochs=8,
        ),
        Case("time, spent", module, lambda m, _: [m.TimeStopping(0, verbose=1)]),
        Case("time, left", module, lambda m, _: [m.TimeStopping(3600)]),
        Case("baseline", module, lambda m, _: [m.TerminateOnBaseline("accuracy", 0.6)], epochs=8),
        Case("loss value", module, lambda m, _: [m.EarlyStoppingByLossVal("val_loss", 0.65, 1)], epochs=10),
        Case("several metrics", module, lambda m, _: [m.MultiMetricStopping()], learning_rate=3.0, epochs=8),
        Case(
            "delayed early stopping",
            module,
            lambda m, _: [
                m.DelayedEarlyStopping(
                    start_epoch=2, patience=1, min_delta=1.0, verbose=1, restore_best_weights=True
                )
            ],
            epochs=8,
        ),
        Case(
            "chatty early stopping",
            module,
            lambda m, _: [m.ChattyEarlyStopping(monitor="val_loss", patience=2, min_delta=0.3)],
            epochs=6,
        ),
        Case("overfitting", module, lambda m, _: [m.OverfitStopping(ratio=0.5)], epochs=6),
        Case("slope", module, lambda m, _: [m.SlopeStopping()], learning_rate=0.01, epochs=6),
        Case("max batches", module, lambda m, _: [m.MaxBatches(9)]),
        Case("stop at accuracy", module, lambda m, _: [m.StopAtAccuracy()], epochs=10),
        Case("loss target", module, lambda m, _: [m.LossTargets(0.6)], epochs=10),
    ]


def evaluating() -> list[Case]:
    """Callbacks that predict and evaluate."""
    module, validation = "evaluating", (X_VAL, Y_VAL)
    return [
        Case("F1", module, lambda m, _: [m.F1Metrics(validation)], attributes("val_f1s", "val_recalls")),
        Case("validation_data", module, lambda m, _: [m.ValidationDataMetrics()], attributes("f1s")),
        Case("own validation_data", module, lambda m, _: [m.OwnValidationData(validation)]),
        Case("ROC-AUC", module, lambda m, _: [m.RocAucEvaluation((X[:16], Y[:16]), validation)]),
        Case("confusion matrix", module, lambda m, _: [m.ConfusionMatrix(*validation)]),
        Case(
            "validation sets",
            module,
            lambda m, _: [m.AdditionalValidationSets([(X[:8], Y[:8], "few"), (*validation, "all")])],
            attributes("history", "epoch"),
        ),
        Case("test data", module, lambda m, _: [m.TestCallback(validation)]),
        Case("predictions", module, lambda m, _: [m.PredictionLogger(X[:3])], attributes("predictions")),
        Case("predict_on_batch", module, lambda m, _: [m.PredictOnBatchLogger(X[:3])], attributes("means")),
        Case("test_on_batch", module, lambda m, _: [m.TestOnBatchLogger(X[:8], Y[:8])], attributes("losses")),
        Case("report", module, lambda m, _: [m.Report(*validation)]),
        Case("kappa", module, lambda m, _: [m.KappaCheckpoint(validation)], attributes("kappas")),
        Case("validation's stages", module, lambda m, _: [m.ValidationOnlyLosses()]),
    ]


def weights() -> list[Case]:
    """Callbacks that read and change weights."""
    module = "weights"
    return [
        Case("weight norms", module, lambda m, _: [m.WeightNorms()]),
        Case("norms of all weights", module, lambda m, _: [m.WeightNormsByVariable()], attributes("norms")),
        Case(
            "dead ReLUs",
            module,
            lambda m, _: [m.DeadReLU(X)],
            refused={"torch": "the layer 'hidden' cannot be called: the module's forward"},
        ),
        Case(
            "activations by a graph",
            module,
            lambda m, _: [m.ActivationPrinter(X)],
            refused=dict.fromkeys(
                ("numpy", "torch"), "has no 'Model'; train a torch.nn.Module by onstage_torch"
            ),
        ),
        Case(
            "activations by K.function",
            module,
            lambda m, _: [m.FunctionOfTheBackend(X)],
            reference=lambda m, _: [],
            refused=dict.fromkeys(
                ("numpy", "torch"), "has no 'function'; call the layers one after the other"
            ),
        ),
        Case("freeze", module, lambda m, _: [m.FreezeAfter("features", 2)], attributes("kernels")),
        Case("gradual unfreezing", module, lambda m, _: [m.GradualUnfreezing()], attributes("sums")),
        Case("best weights", module, lambda m, _: [m.BestWeights("val_loss", "min")], learning_rate=3.0),
        Case("GetBest", module, lambda m, _: [m.GetBest(verbose=1)], learning_rate=2.0),
        Case("SWA", module, lambda m, _: [m.SWA(1)]),
        Case("moving average", module, lambda m, _: [m.MovingAverageWeights()]),
        Case("lookahead", module, lambda m, _: [m.LookaheadCallback()]),
        Case("weight clipping", module, lambda m, _: [m.WeightClipper()]),
        Case("kernels by the backend", module, lambda m, _: [m.KernelByBackend()]),
        Case("weight change", module, lambda m, _: [m.WeightChange()]),
        Case("parameter count", module, lambda m, _: [m.ParameterCount()]),
        Case(
            "snapshot ensemble", module, lambda m, _: [m.SnapshotEnsemble(2, 0.2)], refused=NO_FILES_OF_KERAS
        ),
    ]


def saving() -> list[Case]:
    """Callbacks that write files."""
    module = "saving"
    return [
        Case("save every n", module, lambda m, _: [m.SaveEveryN(2)], refused=NO_FILES_OF_KERAS),
        Case(
            "epoch checkpoint",
            module,
            lambda m, _: [m.EpochCheckpoint(".", every=2)],
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "periodic checkpoint",
            module,
            lambda m, _: [m.PeriodicCheckpoint("e{epoch}.weights.h5", 2, save_weights_only=True)],
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "announcing checkpoint",
            module,
            lambda m, _: [
                m.AnnouncingCheckpoint("best.weights.h5", save_best_only=True, save_weights_only=True)
            ],
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "best checkpointer",
            module,
            lambda m, _: [m.BestCheckpointer()],
            learning_rate=3.0,
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "architecture",
            module,
            lambda m, _: [m.ArchitectureDump()],
            refused={"torch": "TorchModel has no to_json: a module's class is its configuration"},
        ),
        Case(
            "loads its model",
            module,
            lambda m, _: [m.LoadsItsModel()],
            refused=NO_FILES_OF_KERAS,
        ),
        Case(
            "another model's checkpoint",
            module,
            lambda m, model: [m.AltModelCheckpoint("a.weights.h5", model, save_weights_only=True)],
            refused=NO_FILES_OF_KERAS,
        ),
        Case("CSV with rate", module, lambda m, _: [m.RateCSVLogger("log.csv")]),
        Case("CSV of batches", module, lambda m, _: [m.BatchCSVLogger()]),
        Case("JSON lines", module, lambda m, _: [m.JSONHistory()]),
        Case("noted backup", module, lambda m, _: [m.NotedBackup("backup")]),
    ]


def trackers() -> list[Case]:
    """Callbacks of trackers, notifiers and tuners."""
    module = "trackers"
    return [
        Case("W&B-like", module, lambda m, _: [m.WandbLikeCallback(Lines(), 2)], sends("run_")),
        Case("MLflow-like", module, lambda m, _: [m.MLflowLikeCallback(Lines())], sends("client")),
        Case("Neptune-like", module, lambda m, _: [m.NeptuneLikeCallback(Lines())], sends("_run")),
        Case("Comet-like", module, lambda m, _: [m.CometLikeCallback(Lines())], sends("experiment")),
        Case("Slack", module, lambda m, _: [m.SlackNotifier(Lines())], sends("send")),
        Case("Telegram", module, lambda m, _: [m.TelegramCallback(Lines())], sends("send")),
        Case(
            "training monitor",
            "monitor",
            lambda m, _: [m.TrainingMonitor("plot.png", "h.json")],
            attributes("H"),
        ),
        Case("plot", module, lambda m, _: [m.PlotLearning()], attributes("metrics")),
        Case("heartbeat", module, lambda m, _: [m.Heartbeat()]),
        Case("pruning", module, lambda m, _: [m.PruningCallback(Lines())], sends("_trial"), epochs=6),
        Case(
            "pruning by an exception",
            module,
            lambda m, _: [m.RaisingPruner(1)],
            refused=dict.fromkeys(("keras", "keras2", "numpy", "torch"), "Trial was pruned at epoch 1."),
        ),
        Case(
            "tuner's report",
            module,
            lambda m, _: [m.TunerReporter(Lines(), {"score": "val_accuracy"})],
            sends("report"),
        ),
    ]


def progress() -> list[Case]:
    """Callbacks that print."""
    module = "progress"
    return [
        Case("times", module, lambda m, _: [m.TimeHistory()], lambda callbacks: len(callbacks[0].times)),
        Case("ETA", module, lambda m, _: [m.ETA()], mask=r"\d+\.\d\ds"),
        Case("batch timer", module, lambda m, _: [m.BatchTimer()]),
        Case("tqdm-like", module, lambda m, _: [m.TqdmLike()]),
        Case("n-batch logger", module, lambda m, _: [m.NBatchLogger(3)]),
        Case("old parameters", module, lambda m, _: [m.OldParams()]),
        Case("sample counter", module, lambda m, _: [m.SampleCounter()]),
        Case("validation flag", module, lambda m, _: [m.ValidationFlag()]),
        Case("every n epochs", module, lambda m, _: [m.PrintEveryN()]),
        Case("dots", module, lambda m, _: [m.PrintDot()]),
        Case("guide's printing", module, lambda m, _: [m.LossAndErrorPrinting()]),
        Case("guide's stages", module, lambda m, _: [m.CustomCallback()]),
        Case("progress bar inside", module, lambda m, _: [m.ProgbarInside()], mask=r" - .*"),
        Case("lambda prints batches", module, lambda m, _: [m.lambda_print_batches()]),
        Case("lambda keeps lines", module, _lambda_lines, lambda callbacks: callbacks[0].lines),
    ]


def _lambda_lines(module: Any, model: Any) -> list[Any]:
    lines: list[Any] = []
    callback = module.lambda_dump(lines)
    callback.lines = lines
    return [callback]


def signatures() -> list[Case]:
    """Callbacks whose methods are spelt in other ways."""
    module = "signatures"
    return [
        Case("loss history", module, lambda m, _: [m.LossHistory()], attributes("losses")),
        Case("other names", module, lambda m, _: [m.OtherNames()], attributes("seen")),
        Case("star arguments", module, lambda m, _: [m.StarArguments()], attributes("seen")),
        Case("super everywhere", module, lambda m, _: [m.SuperEverywhere()]),
        Case("decorated", module, lambda m, _: [m.Decorated()]),
        Case(
            "sets its own model",
            module,
            lambda m, _: [m.SetsItsOwnModel()],
            reference=lambda m, _: [],
            printed="4 False\n",
        ),
        Case("extended History", module, lambda m, _: [m.ExtendedHistory()], attributes("count", "epoch")),
        Case(
            "callbacks in a callback",
            module,
            lambda m, _: [m.CallbackOfCallbacks([m.AddsToLogs(), m.ReadsTheGap()])],
        ),
        Case("adds to logs", module, lambda m, _: [m.AddsToLogs(), m.ReadsTheGap()]),
        Case("replaces logs", module, lambda m, _: [m.ReplacesLogs()]),
        Case("all methods of Keras 1", module, lambda m, _: [m.LegacyEverything()], attributes("order")),
        Case("resets metrics", module, lambda m, _: [m.ResetsMetrics()]),
        Case("attributes of a model", module, lambda m, _: [m.ShrinksL2()]),
    ]


CASES = [
    *rates(),
    *stopping(),
    *evaluating(),
    *weights(),
    *saving(),
    *trackers(),
    *progress(),
    *signatures(),
    *OWN_CASES,
]
