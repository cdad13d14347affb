"""A custom loop fires the stages in the documented order."""

import gc

import pytest

from onstage import Run


def train(run, batches=((1.0, 2.0), (4.0,)), validation=((0.5, 0.5),)):
    for _ in run.epochs():
        for batch in run.batches(batches):
            run.log(loss=sum(batch) / len(batch), samples=len(batch))
        for batch in run.test_batches(validation):
            run.log(loss=sum(batch) / len(batch), samples=len(batch))


EPOCH_BATCHES = [
    ("on_train_batch_begin", 0, {}),
    ("on_train_batch_end", 0, {"loss": 1.5}),
    ("on_train_batch_begin", 1, {}),
    # (1.5 * 2 samples + 4.0 * 1 sample) / 3
    ("on_train_batch_end", 1, {"loss": pytest.approx(7 / 3)}),
]
VALIDATION = [
    ("on_test_begin", {}),
    ("on_test_batch_begin", 0, {}),
    ("on_test_batch_end", 0, {"loss": 0.5}),
    ("on_test_end", {"loss": 0.5}),
]
EPOCH_LOGS = {"loss": pytest.approx(7 / 3), "val_loss": 0.5}


def test_two_epochs_with_validation_fire_the_documented_trace(recording):
    with Run(callbacks=[recording], epochs=2) as run:
        train(run)

    epoch = [*EPOCH_BATCHES, *VALIDATION]
    assert recording.calls == [
        ("on_train_begin", {}),
        ("on_epoch_begin", 0, {}),
        *epoch,
        ("on_epoch_end", 0, EPOCH_LOGS),
        ("on_epoch_begin", 1, {}),
        *epoch,
        ("on_epoch_end", 1, EPOCH_LOGS),
        ("on_train_end", EPOCH_LOGS),
        ("on_teardown",),
    ]


def test_zero_epochs_fire_only_begin_end_and_teardown(recording):
    with Run(callbacks=[recording], epochs=0) as run:
        train(run)

    assert recording.calls == [("on_train_begin", {}), ("on_train_end", {}), ("on_teardown",)]
    assert run.history.history == {}
    assert run.history.epoch == []


def test_epochs_are_counted_from_the_initial_epoch(recording):
    with Run(callbacks=[recording], epochs=4, initial_epoch=3) as run:
        assert list(run.epochs()) == [3]

    assert ("on_epoch_end", 3, {}) in recording.calls


def test_a_stop_within_an_epoch_skips_batches_but_no_end_stage(recording):
    class StopsAtFirstBatch:
        def on_train_batch_end(self, run):
            run.stop("seen enough", by=self)

    stopper = StopsAtFirstBatch()
    with Run(callbacks=[stopper, recording], epochs=5) as run:
        train(run)

    assert recording.stages == [
        "on_train_begin",
        "on_epoch_begin",
        *["on_train_batch_begin", "on_train_batch_end"],
        *["on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"],
        "on_epoch_end",
        "on_train_end",
        "on_teardown",
    ]
    assert run.history.stop_reason == "seen enough"
    assert run.history.stopped_by == "StopsAtFirstBatch"


def test_a_stop_in_one_loop_over_batches_keeps_the_next_one_of_the_epoch_from_beginning(recording):
    class StopsAtFirstBatch:
        def on_train_batch_end(self, run):
            run.stop("seen enough")

    with Run(callbacks=[StopsAtFirstBatch(), recording]) as run:
        for _ in run.epochs():
            for data in ([1.0, 2.0], [3.0]):
                for batch in run.batches(data):
                    run.log(loss=batch)

    assert recording.stages.count("on_train_batch_begin") == 1
    assert run.history.history == {"loss": [1.0]}


def test_batches_can_be_taken_one_by_one():
    with Run() as run:
        for _ in run.epochs():
            batches = run.batches([1.0, 2.0])
            assert [next(batches), next(batches)] == [1.0, 2.0]
            with pytest.raises(StopIteration):
                next(batches)
            assert list(batches) == []


def test_a_stop_before_the_first_batch_still_runs_one_batch_as_in_keras(recording):
    class StopsAtOnce:
        def on_epoch_begin(self, run):
            run.stop("at once")

    with Run(callbacks=[StopsAtOnce(), recording], epochs=5) as run:
        train(run)

    assert recording.stages.count("on_train_batch_end") == 1
    assert recording.stages.count("on_epoch_end") == 1


def test_model_stop_training_ends_the_run_like_stop(recording):
    class Model:
        stop_training = True  # from an earlier run: reset when a run begins

    class Stopper:
        def on_epoch_end(self, epoch):
            model.stop_training = epoch == 1

    model = Model()
    with Run(model, callbacks=[Stopper(), recording], epochs=9) as run:
        train(run)

    assert recording.stages.count("on_epoch_end") == 2
    assert run.history.stop_reason == "model.stop_training was set"


def test_break_from_the_batch_loop_closes_the_batch_before_the_validation(recording):
    with Run(callbacks=[recording]) as run:
        for _ in run.epochs():
            for batch in run.batches([1.0, 2.0]):
                run.log(loss=batch)
                break
            for batch in run.test_batches([3.0]):
                run.log(loss=batch)

    assert recording.stages[2:6] == [
        *["on_train_batch_begin", "on_train_batch_end"],
        *["on_test_begin", "on_test_batch_begin"],
    ]
    assert recording.calls[-3] == ("on_epoch_end", 0, {"loss": 1.0, "val_loss": 3.0})


def test_break_from_the_epoch_loop_still_ends_epoch_and_training(recording):
    with Run(callbacks=[recording], epochs=7) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)
            break

    assert recording.stages[-3:] == ["on_epoch_end", "on_train_end", "on_teardown"]
    assert run.history.epoch == [0]


def test_continue_still_ends_the_batch(recording):
    with Run(callbacks=[recording]) as run:
        for _ in run.epochs():
            for batch in run.batches([1.0, 2.0, 3.0]):
                if batch == 2.0:
                    continue
                run.log(loss=batch)

    assert recording.stages.count("on_train_batch_end") == 3
    assert run.history.history == {"loss": [2.0]}


def test_an_epoch_continues_after_a_validation_within_it(recording):
    with Run(callbacks=[recording]) as run:
        for _ in run.epochs():
            for batch in run.batches([1.0, 2.0]):
                run.log(loss=batch)
                for value in run.test_batches([batch * 10]):
                    run.log(loss=value)

    assert [call for call in recording.calls if call[0] == "on_train_batch_end"] == [
        ("on_train_batch_end", 0, {"loss": 1.0}),
        ("on_train_batch_end", 1, {"loss": 1.5}),
    ]
    assert recording.stages.count("on_test_end") == 2
    assert run.history.history == {"loss": [1.5], "val_loss": [20.0]}


def test_steps_train_without_epochs(recording):
    with Run(callbacks=[recording]) as run:
        for batch in run.steps(iter([1.0, 3.0])):
            run.log(loss=batch)

    assert recording.stages[:2] == ["on_train_begin", "on_epoch_begin"]
    assert recording.calls[-3:] == [
        ("on_epoch_end", 0, {"loss": 2.0}),
        ("on_train_end", {"loss": 2.0}),
        ("on_teardown",),
    ]


def test_epochs_none_runs_until_stopped():
    class StopsAtThird:
        def on_epoch_end(self, epoch, run):
            if epoch == 2:
                run.stop("three are enough")

    with Run(callbacks=[StopsAtThird()], epochs=None) as run:
        assert list(run.epochs()) == [0, 1, 2]


def test_a_second_batch_loop_of_an_epoch_continues_the_count(recording):
    with Run(callbacks=[recording]) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0, 1.0]):
                run.log(loss=1.0)
            for _ in run.batches([1.0, 1.0]):
                run.log(loss=3.0)

    ends = [call[1] for call in recording.calls if call[0] == "on_train_batch_end"]
    assert ends == [0, 1, 2, 3]
    assert run.history.history == {"loss": [2.0]}


@pytest.mark.parametrize("error", [ValueError("bad batch"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_in_the_loop_fires_no_end_stage(recording, error):
    with pytest.raises(type(error)) as caught, Run(callbacks=[recording]) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                raise error

    assert caught.value is error
    assert recording.calls[-2:] == [("on_exception", type(error).__name__), ("on_teardown",)]
    assert not {"on_train_batch_end", "on_epoch_end", "on_train_end"} & set(recording.stages)


def test_evaluate_and_predict_fire_only_their_stages(recording):
    with Run(callbacks=[recording]) as run:
        for batch in run.test_batches([2.0]):
            run.log(loss=batch)
        for batch in run.predict_batches([5.0]):
            run.log(outputs=[batch])

    assert recording.calls == [
        ("on_test_begin", {}),
        ("on_test_batch_begin", 0, {}),
        ("on_test_batch_end", 0, {"loss": 2.0}),
        ("on_test_end", {"loss": 2.0}),
        ("on_predict_begin", {}),
        ("on_predict_batch_begin", 0, {}),
        ("on_predict_batch_end", 0, {"outputs": [5.0]}),
        ("on_predict_end", {}),
        ("on_teardown",),
    ]


def test_values_logged_outside_a_batch_are_added_to_the_epoch():
    with Run() as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)
            run.log(val_loss=0.25)

    assert run.history.history == {"loss": [1.0], "val_loss": [0.25]}


def test_values_that_a_callback_adds_reach_later_callbacks_but_not_the_trainer(recording):
    class Adds:
        def on_epoch_end(self, logs):
            logs["f1"] = 0.5

    with Run(callbacks=[Adds(), recording]) as run:
        train(run)

    assert run.history.history["f1"] == [0.5]
    assert recording.calls[-3][2]["f1"] == 0.5
    assert "f1" not in recording.calls[-2][1]


def test_batch_logs_of_the_run_are_the_values_of_the_batch_alone():
    seen = []

    class Looks:
        def on_train_batch_end(self, logs, run):
            seen.append((logs["loss"], run.batch_logs["loss"], run.batch_data))

    with Run(callbacks=[Looks()]) as run:
        for _ in run.epochs():
            for batch in run.batches([1.0, 3.0]):
                run.log(loss=batch)

    assert seen == [(1.0, 1.0, 1.0), (2.0, 3.0, 3.0)]


def test_logs_that_a_callback_keeps_do_not_change():
    kept = []

    class Keeps:
        def on_train_batch_end(self, logs):
            kept.append(logs)

    with Run(callbacks=[Keeps()]) as run:
        for _ in run.epochs():
            for batch in run.batches([1.0, 3.0]):
                run.log(loss=batch)

    assert kept == [{"loss": 1.0}, {"loss": 2.0}]


def test_values_are_converted_only_when_they_are_read():
    class OnDevice:
        reads = 0

        def __mul__(self, samples):
            return self

        __radd__ = __add__ = __truediv__ = __mul__

        def __float__(self):
            OnDevice.reads += 1
            return 1.0

    class Receives:
        def on_train_batch_end(self, logs):
            pass

    with Run(callbacks=[Receives()]) as run:
        for _ in run.epochs():
            for _ in run.batches(range(100)):
                run.log(loss=OnDevice())

    assert OnDevice.reads == 1  # once, for the epoch


def test_misuse_is_refused_with_the_remedy():
    run = Run()
    with pytest.raises(RuntimeError, match="a Run must be open"):
        run.epochs()
    with run, pytest.raises(RuntimeError, match=r"run\.steps\(data\)"):
        run.batches([1])
    with pytest.raises(RuntimeError, match="make a new one"), run:
        pass
    with Run() as run, pytest.raises(RuntimeError, match=r"run\.epochs\(\)"):
        run.log(loss=1.0)


def test_a_run_trains_once():
    with Run(epochs=1) as run:
        list(run.epochs())
        with pytest.raises(RuntimeError, match="a Run trains once"):
            run.epochs()


def test_an_abandoned_run_warns():
    run = Run()
    run.__enter__()
    with pytest.warns(ResourceWarning, match="never closed"):
        del run
        gc.collect()
