"""Metrics that a module logs are in the logs of onstage, each where it belongs."""

import pytest

from onstage.testing import Recorder


def logged(trainings, step, validation=None, epochs=2, **options):
    """Train a module that logs by the functions given; return the logs of its stages."""
    import lightning.pytorch as pl

    module = trainings.new_module(pl)

    def log_training(batch, batch_idx):
        loss, _ = module._measure(batch)
        step(module, loss, batch_idx)
        return loss

    def log_validation(batch, batch_idx):
        (validation or (lambda module, loss: module.log("val_loss", loss)))(module, module._measure(batch)[0])

    module.training_step, module.validation_step = log_training, log_validation
    recorder = Recorder()
    trainings.fit([recorder], epochs=epochs, module=module, **options)
    return [(event.stage, logs) for event, logs in zip(recorder.trace, recorder.logs, strict=True)]


def of_stage(seen, stage):
    return [logs for name, logs in seen if name == stage]


def test_a_metric_of_the_steps_is_averaged_over_the_epoch(trainings):
    seen = logged(trainings, lambda module, loss, batch: module.log("train_count", float(batch)))

    assert [logs["count"] for logs in of_stage(seen, "on_train_batch_end")] == [0.0, 0.5, 1.0] * 2
    assert [logs["count"] for logs in of_stage(seen, "on_epoch_end")] == [1.0, 1.0]


def test_a_metric_of_the_epoch_is_that_of_lightning(trainings):
    def step(module, loss, batch):
        module.log("peak", float(batch), on_step=False, on_epoch=True, reduce_fx="max")

    seen = logged(trainings, step)

    assert all("peak" not in logs for logs in of_stage(seen, "on_train_batch_end"))
    assert [logs["peak"] for logs in of_stage(seen, "on_epoch_end")] == [2.0, 2.0]


def test_a_metric_of_both_has_one_name_and_the_epochs_value_of_lightning(trainings):
    def step(module, loss, batch):
        module.log("peak", float(batch), on_step=True, on_epoch=True, reduce_fx="max")

    seen = logged(trainings, step)

    assert [logs["peak"] for logs in of_stage(seen, "on_train_batch_end")] == [0.0, 0.5, 1.0] * 2
    assert [sorted(logs) for logs in of_stage(seen, "on_epoch_end")] == [["loss", "peak", "val_loss"]] * 2
    assert [logs["peak"] for logs in of_stage(seen, "on_epoch_end")] == [2.0, 2.0]


def test_a_metric_that_only_the_validation_logs_gets_its_prefix(trainings):
    seen = logged(trainings, lambda *_: None, lambda module, loss: module.log("f1", 0.5))

    assert [logs["f1"] for logs in of_stage(seen, "on_test_end")] == [0.5, 0.5]
    assert [sorted(logs) for logs in of_stage(seen, "on_epoch_end")] == [["loss", "val_f1"]] * 2


@pytest.mark.parametrize("sanity", [0, 2])
def test_an_epoch_without_validation_has_no_stale_values(trainings, sanity):
    seen = logged(
        trainings, lambda *_: None, epochs=4, check_val_every_n_epoch=2, num_sanity_val_steps=sanity
    )

    assert ["val_loss" in logs for logs in of_stage(seen, "on_epoch_end")] == [False, True, False, True]
    assert len(of_stage(seen, "on_test_begin")) == 2


def test_a_validation_within_an_epoch_fires_its_own_stages(trainings):
    seen = logged(trainings, lambda *_: None, epochs=1, val_check_interval=1)

    stages = [name for name, _ in seen if name in ("on_train_batch_end", "on_test_begin", "on_epoch_end")]
    assert stages == ["on_train_batch_end", "on_test_begin"] * 3 + ["on_epoch_end"]
    assert [logs["val_loss"] for logs in of_stage(seen, "on_epoch_end")] == [
        of_stage(seen, "on_test_end")[-1]["loss"]
    ]


def test_the_loss_of_an_epoch_is_the_sample_weighted_mean_of_its_steps(trainings):
    losses = []
    seen = logged(trainings, lambda module, loss, batch: losses.append(loss.item()), epochs=1)

    (logs,) = of_stage(seen, "on_epoch_end")
    assert logs["loss"] == pytest.approx(sum(losses) / 3)
