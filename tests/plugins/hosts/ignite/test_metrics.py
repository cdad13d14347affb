"""Outputs and metrics of engines are in the logs of onstage, each where it belongs."""

import numpy as np
import pytest

from onstage.testing import Recorder


def train(trainings, output, transform=None):
    """Train an engine whose step returns `output(loss)`; return the losses and the logs of the stages."""
    import torch
    from ignite.engine import Engine
    from onstage_ignite import OnstageHandler

    training, losses = trainings.Training(), []

    def step(engine, batch):
        training.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(training.module(batch[0]), batch[1])
        loss.backward()
        training.optimizer.step()
        losses.append(loss.item())
        return output(loss)

    recorder = Recorder()
    trainer = Engine(step)
    handler = OnstageHandler([recorder], output_transform=transform)
    handler.attach(trainer)
    trainer.run(training.train_data, max_epochs=1)
    seen = [(event.stage, logs) for event, logs in zip(recorder.trace, recorder.logs, strict=True)]
    return losses, seen


def of_stage(seen, stage):
    return [logs for name, logs in seen if name == stage]


@pytest.mark.parametrize(
    ("output", "transform"),
    [
        (lambda loss: loss, None),
        (lambda loss: loss.item(), None),
        (lambda loss: loss.detach().reshape(1), None),
        (lambda loss: np.float32(loss.item()), None),
        (lambda loss: {"train_loss": loss, "y": loss.new_zeros(3), "label": "a"}, None),
        (lambda loss: (None, loss), lambda output: output[1]),
        (lambda loss: (None, loss), lambda output: {"loss": output[1]}),
    ],
)
def test_the_loss_is_a_running_mean_of_the_outputs(output, transform, trainings):
    losses, seen = train(trainings, output, transform)

    batches = of_stage(seen, "on_train_batch_end")
    assert all(set(logs) == {"loss"} for logs in batches)
    np.testing.assert_allclose([logs["loss"] for logs in batches], np.cumsum(losses) / [1, 2, 3], rtol=1e-6)
    assert of_stage(seen, "on_epoch_end") == [batches[-1]]


@pytest.mark.parametrize("output", [lambda loss: None, lambda loss: (1, 2), lambda loss: {"ok": True}])
def test_an_output_without_numbers_leaves_the_logs_empty(output, trainings):
    _, seen = train(trainings, output)

    assert of_stage(seen, "on_train_batch_end") == [{}, {}, {}]


def test_metrics_of_the_trainer_are_in_the_logs_of_the_epoch(trainings):
    from ignite.metrics import RunningAverage

    training = trainings.Training()
    RunningAverage(output_transform=lambda loss: loss, alpha=0.5).attach(training.trainer, "train_smooth")
    handler, _ = trainings.fit([], training=training, epochs=2)

    assert handler.history.history["smooth"][-1] == training.trainer.state.metrics["train_smooth"]
    assert set(handler.history.history) == {"loss", "smooth", "val_loss", "val_accuracy"}


def test_a_metric_of_the_evaluator_has_one_prefix_whatever_its_name(trainings):
    from ignite.metrics import Accuracy, ConfusionMatrix

    training = trainings.Training()
    Accuracy().attach(training.evaluator, "val_acc")
    Accuracy().attach(training.evaluator, "f1@0.5")
    ConfusionMatrix(2).attach(training.evaluator, "confusion")
    handler, _ = trainings.fit([], training=training, epochs=1)

    assert set(handler.history.history) == {"loss", "val_loss", "val_accuracy", "val_f1_0_5"}


def test_params_tell_epochs_steps_and_batch_size(trainings):
    recorder = Recorder()
    trainings.fit([recorder], epochs=2)

    assert {name: recorder.params[name] for name in ("epochs", "steps", "batch_size")} == {
        "epochs": 2,
        "steps": 3,
        "batch_size": 8,
    }


def test_batches_hold_their_data(trainings):
    from onstage import Callback

    class Data(Callback):
        def __init__(self):
            self.shapes = []

        def on_train_batch_end(self):
            self.shapes.append(tuple(self.run.batch_data[0].shape))

        def on_test_batch_end(self):
            self.shapes.append(tuple(self.run.batch_data[0].shape))

    data = Data()
    trainings.fit([data], epochs=1)

    assert data.shapes == [(8, 4)] * 3 + [(12, 4)] * 2
