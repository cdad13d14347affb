"""Callbacks of the Trainer run in fit, in a torch model's fit and in a loop of one's own."""

import numpy as np
import pytest

from onstage import ModelView, Run, Sequential, layers
from onstage.callbacks import BackupAndRestore, LambdaCallback

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = (X.sum(1) > 0).astype("int64")


@pytest.fixture
def as_callback(trainings):
    from onstage_transformers import as_callback

    return as_callback


def in_fit(given, epochs=5):
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(
        X, Y, batch_size=8, epochs=epochs, validation_data=(X, Y), verbose=0, shuffle=False, callbacks=given
    )


def torch_model(**options):
    import torch
    from onstage_torch import TorchModel

    torch.manual_seed(0)
    return TorchModel(
        torch.nn.Linear(4, 2),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        "cross_entropy",
        ["accuracy"],
        device="cpu",
        **options,
    )


def in_torch(given, epochs=5):
    model = torch_model()
    return model, model.fit(
        X, Y, batch_size=8, epochs=epochs, validation_data=(X, Y), verbose=0, shuffle=False, callbacks=given
    )


def in_a_loop(given, epochs=5):
    view = ModelView(get_weights=lambda: [np.zeros(2)])
    with Run(view, given, epochs=epochs, steps=3) as run:
        for epoch in run.epochs():
            for _ in run.batches(range(3)):
                run.log(loss=1.0 + epoch, accuracy=0.5)
            for _ in run.test_batches(range(2)):
                run.log(loss=1.0 + epoch, accuracy=0.5)
    return view, run.history


TRAINERS = pytest.mark.parametrize("train", [in_fit, in_torch, in_a_loop])


def recorder_of_events():
    """Return a callback of the Trainer that records its events, with steps, epochs and metrics."""
    from transformers import TrainerCallback

    class Records(TrainerCallback):
        def __init__(self):
            self.events, self.numbers, self.reported = [], [], []

    def recording(name):
        def record(self, args, state, control, logs=None, metrics=None, **kwargs):
            self.events.append(name)
            self.numbers.append((name, state.global_step, state.epoch))
            if logs is not None or metrics is not None:
                self.reported.append((name, sorted(logs or metrics)))
            self.last = args, state, kwargs

        return record

    for name in vars(TrainerCallback):
        if name.startswith("on_"):
            setattr(Records, name, recording(name))
    return Records()


def of_the_trainer(trainings, **options):
    """Return what the recorder sees in the Trainer itself."""
    records = recorder_of_events()
    records.events.clear()
    trainer = trainings.new_trainer([records], 2, **options)
    trainer.train()
    return records


def test_it_sees_the_events_of_a_trainer_in_their_order(as_callback, trainings):
    theirs = of_the_trainer(trainings)
    ours = recorder_of_events()
    in_torch([as_callback(ours)], epochs=2)

    # A validation of the Trainer begins after the epoch's end: its steps come later there.
    def others(records):
        return [each for each in records.numbers if each[0] != "on_prediction_step"]

    assert others(ours) == others(theirs)
    assert ours.events.count("on_prediction_step") == 2 * 3  # batches of 8
    timings = ("_runtime", "_per_second")
    for (event, names), (their_event, their_names) in zip(ours.reported, theirs.reported, strict=True):
        assert event == their_event
        if event == "on_evaluate":
            own = {name for name in their_names if not name.endswith((*timings, "_time"))}
            assert set(names) == own


def test_accumulated_batches_are_substeps_as_in_the_trainer(as_callback, trainings):
    theirs = of_the_trainer(trainings, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    ours = recorder_of_events()
    model = torch_model(accumulate=2)
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[as_callback(ours)])

    steps = [name for name in ours.events if "step" in name]
    assert steps == [name for name in theirs.events if "step" in name and name != "on_prediction_step"]


def test_it_gets_the_module_its_optimizer_and_the_arguments_of_the_run(as_callback, trainings):
    records = recorder_of_events()
    model, _ = in_torch([as_callback(records)], epochs=2)

    args, state, kwargs = records.last
    assert kwargs["model"] is model.module
    assert kwargs["optimizer"] is model.optimizer
    assert (args.num_train_epochs, args.per_device_train_batch_size) == (2, 8)
    assert args.learning_rate == pytest.approx(0.1)
    assert (state.max_steps, state.num_train_epochs, state.is_world_process_zero) == (6, 2, True)


@TRAINERS
def test_its_request_to_stop_is_heeded(train, as_callback):
    from transformers import TrainerCallback

    class Stops(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 5:
                control.should_training_stop = True
            return control

    wrapped = as_callback(Stops())
    _, history = train([wrapped])

    assert history.epoch == [0, 1]
    assert wrapped.state.global_step == 5
    assert history.stop_reason == "Stops set control.should_training_stop"


@TRAINERS
def test_early_stopping_of_the_trainer_stops_at_its_epoch(train, as_callback):
    from transformers import EarlyStoppingCallback

    # No epoch improves by 9: the first one is the best.
    stop = EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=9.0)
    wrapped = as_callback(stop)
    _, history = train([wrapped], epochs=9)

    assert history.epoch == [0, 1, 2]
    assert stop.early_stopping_patience_counter == 2
    assert wrapped.state.best_metric == min(history.history["val_loss"])


def test_the_progress_bar_of_the_trainer_runs(as_callback, trainings, capfd):
    from transformers import PrinterCallback, ProgressCallback

    in_torch([as_callback(ProgressCallback()), as_callback(PrinterCallback())], epochs=2)

    printed = capfd.readouterr()
    assert "6/6" in printed.err
    assert "'eval_loss'" in printed.out


def test_gradients_are_there_before_the_step(as_callback, trainings):
    from transformers import TrainerCallback

    class Norms(TrainerCallback):
        def __init__(self):
            self.norms = []

        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            self.norms.append(float(model.weight.grad.norm()))

    norms = Norms()
    in_torch([as_callback(norms)], epochs=1)

    assert len(norms.norms) == 3
    assert min(norms.norms) > 0


def test_an_evaluation_outside_a_training_is_told_too(as_callback, trainings):
    records = recorder_of_events()
    model, _ = in_torch([], epochs=1)

    model.evaluate(X, Y, verbose=0, callbacks=[as_callback(records)])

    assert records.events[-2:] == ["on_log", "on_evaluate"]
    assert records.reported[-1] == ("on_evaluate", ["epoch", "eval_accuracy", "eval_loss"])


@pytest.mark.parametrize(
    ("switch", "remedy"),
    [
        ("should_epoch_stop", "set should_training_stop"),
        ("should_evaluate", "pass validation_data to fit"),
        ("should_save", "add onstage's ModelCheckpoint"),
    ],
)
def test_a_request_that_only_a_trainer_heeds_is_refused(switch, remedy, as_callback):
    from transformers import TrainerCallback

    class Asks(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            setattr(control, switch, True)

    with pytest.raises(TypeError, match=f"Asks set control.{switch} in on_step_end.*{remedy}"):
        in_fit([as_callback(Asks())])


def test_what_would_never_act_is_refused_at_once(as_callback):
    from transformers import TrainerCallback, TrainingArguments

    class Uploads(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            pass

    with pytest.raises(TypeError, match="Uploads acts only in on_save, which only a Trainer has"):
        as_callback(Uploads())
    with pytest.raises(TypeError, match=r"must be a transformers\.TrainerCallback, got LambdaCallback"):
        as_callback(LambdaCallback())
    loads = TrainingArguments(
        "out", eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True
    )
    with pytest.raises(TypeError, match="must not have load_best_model_at_end"):
        as_callback(TrainerCallback(), loads)


def test_it_logs_at_the_steps_of_given_arguments(as_callback, trainings):
    from transformers import TrainingArguments

    records = recorder_of_events()
    given = TrainingArguments("out", logging_steps=2, eval_strategy="epoch", save_strategy="no")
    in_torch([as_callback(records, given)], epochs=2)

    logged = [step for name, step, _ in records.numbers if name == "on_log"]
    # After steps 2, 4 and 6, each validation, and the training.
    assert logged == [2, 3, 4, 6, 6, 6]


def test_its_counts_continue_in_a_resumed_run(as_callback, trainings, tmp_path):
    from transformers import EarlyStoppingCallback

    class Fails(Exception):
        pass

    def fail(epoch, logs):
        if epoch == 2:
            raise Fails

    def stop():
        return EarlyStoppingCallback(early_stopping_patience=4, early_stopping_threshold=9.0)

    backup = tmp_path / "backup"
    with pytest.raises(Fails):
        in_torch(
            [as_callback(stop()), BackupAndRestore(backup), LambdaCallback(on_epoch_begin=fail)], epochs=9
        )
    again = stop()
    wrapped = as_callback(again)
    _, history = in_torch([wrapped, BackupAndRestore(backup)], epochs=9)

    assert history.epoch[-1] == 4
    assert again.early_stopping_patience_counter == 4
    assert wrapped.state.global_step == 15
