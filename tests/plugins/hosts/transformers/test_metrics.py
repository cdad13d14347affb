"""Losses and evaluations of the Trainer are in the logs of onstage, each where it belongs."""

import pytest

from onstage.testing import Recorder


def of_stage(recorder, stage):
    return [logs for event, logs in zip(recorder.trace, recorder.logs, strict=True) if event.stage == stage]


def reported(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def test_the_loss_of_an_epoch_is_that_of_the_trainer(trainings):
    adapter, trainer = trainings.fit([], epochs=3)

    assert adapter.history.history["loss"] == pytest.approx(reported(trainer, "loss"), rel=1e-6)
    assert adapter.history.history["val_loss"] == reported(trainer, "eval_loss")
    assert adapter.history.history["val_accuracy"] == reported(trainer, "eval_accuracy")
    assert set(adapter.history.history) == {"loss", "val_loss", "val_accuracy"}


def test_accumulated_batches_are_one_step_with_the_loss_of_the_trainer(trainings):
    recorder = Recorder()
    adapter, trainer = trainings.fit(
        [recorder], epochs=2, gradient_accumulation_steps=2, per_device_train_batch_size=4
    )

    begun = [event.number for event in recorder.trace if event.stage == "on_train_batch_begin"]
    assert begun == [0, 1, 2] * 2
    assert adapter.history.history["loss"] == pytest.approx(reported(trainer, "loss"), rel=1e-6)


def language_model():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=12, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    for part in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):
        setattr(config, part, 0.0)
    return GPT2LMHeadModel(config)


def test_losses_over_the_tokens_of_all_accumulated_batches_add_up(trainings):
    # As many tokens as the sample's number: a mean of means would differ.
    texts = [{"input_ids": list(range(n)), "labels": list(range(n))} for n in (3, 4, 5, 6, 7, 8)]
    adapter, trainer = trainings.fit(
        [],
        epochs=2,
        model=language_model(),
        train=texts,
        evaluation=texts[:1],
        gradient_accumulation_steps=3,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        prediction_loss_only=True,
    )

    assert adapter.history.history["loss"] == pytest.approx(reported(trainer, "loss"), rel=1e-5)


def test_a_loss_that_the_model_does_not_return_is_the_trainers(trainings):
    from torch import nn

    def loss(outputs, labels, num_items_in_batch=None):
        return nn.functional.cross_entropy(outputs["logits"], labels)

    adapter, trainer = trainings.fit([], epochs=2, compute_loss_func=loss)
    steps, _ = trainings.fit([], epochs=2, compute_loss_func=loss, logging_strategy="steps", logging_steps=1)

    assert adapter.history.history["loss"] == reported(trainer, "loss")
    assert steps.history.history["loss"] == pytest.approx(reported(trainer, "loss"), rel=1e-4)


def test_an_epoch_without_evaluation_ends_at_once(trainings):
    recorder = Recorder()
    adapter, _ = trainings.fit([recorder], epochs=2, eval_strategy="no", logging_strategy="no")

    assert "on_test_begin" not in recorder.stages
    assert set(adapter.history.history) == {"loss"}
    assert adapter.history.epoch == [0, 1]


def test_an_evaluation_within_an_epoch_fires_its_own_stages(trainings):
    recorder = Recorder()
    adapter, _ = trainings.fit([recorder], epochs=1, eval_strategy="steps", eval_steps=1)

    stages = [
        name for name in recorder.stages if name in ("on_train_batch_end", "on_test_begin", "on_epoch_end")
    ]
    assert stages == ["on_train_batch_end", "on_test_begin"] * 3 + ["on_epoch_end"]
    assert adapter.history.history["val_loss"] == [of_stage(recorder, "on_test_end")[-1]["loss"]]


def test_an_evaluation_before_the_training_reaches_no_callback(trainings):
    recorder = Recorder()
    trainings.fit([recorder], epochs=1, eval_on_start=True)

    assert recorder.stages.count("on_test_begin") == 1
    assert recorder.stages.index("on_epoch_begin") < recorder.stages.index("on_test_begin")


def test_several_datasets_are_evaluated_each_under_its_name(trainings):
    from onstage import Callback

    class Stops(Callback):
        def on_epoch_end(self, epoch):
            if epoch == 1:
                self.stop("enough")

    recorder = Recorder()
    evaluation = {"near": trainings.Samples(), "far": trainings.Samples()}
    adapter, trainer = trainings.fit([recorder, Stops()], epochs=4, evaluation=evaluation)

    assert recorder.stages.count("on_test_begin") == 4
    assert {"val_near_loss", "val_far_loss", "val_near_accuracy"} <= set(adapter.history.history)
    assert adapter.history.epoch == [0, 1]
    # Nothing tells which evaluation is the last one: the Trainer makes one more step.
    assert trainer.state.global_step == 7


def test_generated_predictions_count_as_one_batch(trainings):
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    config = BartConfig(
        vocab_size=12,
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        max_position_embeddings=16,
    )
    from onstage_transformers import OnstageCallback

    texts = [{"input_ids": [3, 4, 5], "labels": [4, 5, 2]} for _ in range(4)]
    recorder = Recorder()
    adapter = OnstageCallback([recorder])
    arguments = Seq2SeqTrainingArguments(
        "out",
        num_train_epochs=1,
        predict_with_generate=True,
        generation_max_length=6,
        eval_strategy="epoch",
        save_strategy="no",
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Seq2SeqTrainer(
        BartForConditionalGeneration(config),
        arguments,
        train_dataset=texts,
        eval_dataset=texts,
        callbacks=[adapter],
    )
    with adapter:
        trainer.train()

    assert [event.number for event in recorder.trace if event.stage == "on_test_batch_end"] == [0, 1]
    assert adapter.history.history["val_loss"] == reported(trainer, "eval_loss")
