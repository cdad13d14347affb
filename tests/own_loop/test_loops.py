"""A hand-written loop under real callbacks, however it goes on and ends."""

import gc
import signal

import numpy as np
import pytest

from onstage import Callback, Run
from onstage.callbacks import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from onstage.state import storage


class Closes(Callback):
    """Knows whether it was begun, ended and torn down, each how often."""

    def __init__(self):
        self.seen = []

    def on_train_begin(self):
        self.seen.append("train begin")

    def on_epoch_end(self, epoch):
        self.seen.append(f"epoch {epoch} end")

    def on_train_end(self):
        self.seen.append("train end")

    def on_exception(self, exception):
        self.seen.append(type(exception).__name__)

    def on_teardown(self):
        self.seen.append("teardown")


def train(line, run, batches, validation=()):
    for _ in run.epochs():
        for x, y in run.batches(batches):
            run.log(loss=line.step(x, y))
        for x, y in run.test_batches(validation):
            run.log(loss=line.loss(x, y))


def test_early_stopping_gives_the_best_weights_back(line, batches):
    kept = {}

    class Keeps:
        def on_epoch_end(self, epoch):
            kept[epoch] = [weight.copy() for weight in line.weights]

    stopper = EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    with Run(line.view(), [Keeps(), stopper], epochs=200) as run:
        train(line, run, batches, batches[:1])

    losses = run.history.history["val_loss"]
    assert run.history.stopped_by == "EarlyStopping"
    assert len(losses) < 200
    assert stopper.best_epoch == int(np.argmin(losses))
    np.testing.assert_array_equal(line.weights[0], kept[stopper.best_epoch][0])


def test_a_plateau_lowers_the_rate_of_the_steps(line, batches):
    with Run(line.view(), [ReduceLROnPlateau("loss", factor=0.5, patience=2)], epochs=40) as run:
        train(line, run, batches)

    assert line.rate < 0.1
    assert run.history.history["learning_rate"][-1] >= line.rate


def test_epoch_logs_are_means_over_samples(line, batches):
    with Run(epochs=1) as run:
        for _ in run.epochs():
            for x, _ in run.batches([(np.zeros((3, 2)), 0), (np.zeros((1, 2)), 0)]):
                run.log(loss=float(len(x)))

    assert run.history.history["loss"] == [(3 * 3 + 1 * 1) / 4]


@pytest.mark.parametrize("die_after", range(1, 12))
def test_killed_after_any_batch_it_continues_to_the_bit(die_after, new_line, batches, tmp_path):
    def fit(folder, dies=None):
        line = new_line()
        callbacks = [
            CSVLogger(folder / "log.csv"),
            ReduceLROnPlateau("loss", factor=0.5, patience=1),
            BackupAndRestore(folder / "backup", save_freq=1, delete_checkpoint=False),
            *([] if dies is None else [dies]),
        ]
        with Run(line.view(), callbacks, epochs=4) as run:
            train(line, run, batches)
        return line, run.history

    class Dies(Callback):
        def __init__(self):
            self.left = die_after

        def on_train_batch_begin(self):
            self.left -= 1
            if self.left < 0:
                raise SystemExit

    whole, history = fit(tmp_path / "whole")
    with pytest.raises(SystemExit):
        fit(tmp_path / "killed", Dies())
    resumed, again = fit(tmp_path / "killed")

    assert [w.tolist() for w in resumed.weights] == [w.tolist() for w in whole.weights]
    assert resumed.rate == whole.rate
    assert again.history == history.history
    rows = [(tmp_path / each / "log.csv").read_text() for each in ("whole", "killed")]
    assert rows[0] == rows[1]


def test_a_checkpoint_of_a_loop_holds_its_state(line, batches, tmp_path):
    with Run(line.view(), [ModelCheckpoint(tmp_path / "line")], epochs=2) as run:
        train(line, run, batches)

    saved = storage.load(tmp_path / "line.safetensors")
    assert saved["weights"][0].tolist() == line.weights[0].tolist()
    assert saved["rate"] == 0.1


def test_scalars_of_any_library_that_an_epoch_logs_are_floats_in_its_logs():
    seen = {}

    class Sees(Callback):
        def on_epoch_end(self, logs):
            seen.update(logs)

    with Run(callbacks=[Sees()], epochs=1) as run:
        for _ in run.epochs():
            run.log(val_loss=np.float32(0.5), val_hits=np.array(3), note="as it is", count=2)

    assert seen == {"val_loss": 0.5, "val_hits": 3.0, "note": "as it is", "count": 2}
    assert [type(value) for value in seen.values()] == [float, float, str, int]


# -- every way out


def test_break_from_the_batches_still_ends_the_epoch(line, batches):
    closes = Closes()
    with Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                break

    assert closes.seen == ["train begin", "epoch 0 end", "epoch 1 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 2


def test_break_from_the_epochs_ends_the_training(line, batches):
    closes = Closes()
    with Run(callbacks=[closes], epochs=9) as run:
        for epoch in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
            if epoch == 1:
                break

    assert closes.seen == ["train begin", "epoch 0 end", "epoch 1 end", "train end", "teardown"]


def test_break_from_both_in_one_return(line, batches):
    closes = Closes()

    def search():
        with Run(callbacks=[closes], epochs=9) as run:
            for _ in run.epochs():
                for x, y in run.batches(batches):
                    run.log(loss=line.step(x, y))
                    return run

    run = search()

    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 1


def test_continue_leaves_a_batch_without_values_out(batches):
    with Run(epochs=1) as run:
        for _ in run.epochs():
            for number, _ in enumerate(run.batches(batches)):
                if number == 1:
                    continue
                run.log(loss=float(number))

    assert run.history.history["loss"] == [1.0]  # of 0 and 2


@pytest.mark.parametrize("error", [ValueError, MemoryError, SystemExit, KeyboardInterrupt])
def test_an_error_comes_out_as_it_is_and_fakes_no_end(error, line, batches):
    closes = Closes()
    with pytest.raises(error), Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                raise error

    assert closes.seen == ["train begin", error.__name__, "teardown"]


def test_ctrl_c_is_an_error_like_any_other(line, batches):
    closes = Closes()
    with pytest.raises(KeyboardInterrupt), Run(callbacks=[closes], epochs=2) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                signal.raise_signal(signal.SIGINT)

    assert closes.seen == ["train begin", "KeyboardInterrupt", "teardown"]


@pytest.mark.parametrize(
    ("stage", "ran"), [("on_train_begin", 1), ("on_train_batch_end", 1), ("on_epoch_end", 3)]
)
def test_a_stop_asked_in_any_stage_ends_in_order(stage, ran, line, batches):
    closes = Closes()
    steps = []
    stops = type("Stops", (Callback,), {stage: lambda self: self.stop("enough")})()
    with Run(callbacks=[stops, closes], epochs=9) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                steps.append(line.step(x, y))
                run.log(loss=steps[-1])

    assert len(steps) == ran
    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert (run.history.stop_reason, run.history.stopped_by) == ("enough", "Stops")


def test_a_validation_in_the_middle_of_an_epoch_lets_it_go_on(line, batches):
    validated = []

    class Sees(Callback):
        def on_test_end(self, logs):
            validated.append((self.run.batch, logs["loss"]))

    with Run(callbacks=[Sees()], epochs=1) as run:
        for _ in run.epochs():
            for x, y in run.batches(batches):
                run.log(loss=line.step(x, y))
                for x_val, y_val in run.test_batches(batches[:1]):
                    run.log(loss=line.loss(x_val, y_val))

    assert [batch for batch, _ in validated] == [0, 1, 2]
    history = run.history.history
    assert history["val_loss"] == [validated[-1][1]]
    assert len(history["loss"]) == 1


def test_a_gan_logs_two_losses_of_two_players_in_one_batch():
    rng = np.random.default_rng(0)
    real = [rng.normal(3.0, 1.0, size=(8, 1)) for _ in range(20)]
    mean, slope = 0.0, 0.0  # the generator's only weight, the critic's only weight

    def critic_step(x, fake):
        nonlocal slope
        gap = float(x.mean() - fake.mean())
        slope = float(np.clip(slope + 0.1 * gap, -1, 1))
        return -slope * gap

    def generator_step():
        nonlocal mean
        mean += 0.2 * slope
        return -slope * mean

    with Run(callbacks=[EarlyStopping("generator", mode="min", patience=50)], epochs=3) as run:
        for _ in run.epochs():
            for x in run.batches(real):
                fake = mean + rng.normal(size=x.shape)
                run.log(critic=critic_step(x, fake))
                run.log(generator=generator_step())

    assert abs(mean - 3.0) < 1.5
    assert [len(run.history.history[name]) for name in ("critic", "generator")] == [3, 3]


def test_gradients_accumulated_over_batches_log_each_batch(line, batches):
    pending, steps = [], 0
    with Run(epochs=1) as run:
        for _ in run.epochs():
            for number, (x, y) in enumerate(run.batches(batches)):
                pending.append((x, y))
                run.log(loss=line.loss(x, y))
                if number % 2 == 1 or number == len(batches) - 1:
                    line.step(*(np.concatenate(parts) for parts in zip(*pending, strict=True)))
                    pending.clear()
                    steps += 1

    assert steps == 2
    assert run.history.history["loss"][0] > 0


def test_steps_are_a_loop_without_epochs(line, batches):
    closes = Closes()
    with Run(line.view(), [closes, EarlyStopping("loss")]) as run:
        for x, y in run.steps(batches * 5):
            run.log(loss=line.step(x, y))

    assert closes.seen == ["train begin", "epoch 0 end", "train end", "teardown"]
    assert len(run.history.history["loss"]) == 1


def test_an_abandoned_run_warns_that_it_was_never_left():
    run = Run(callbacks=[Closes()])
    run.__enter__()
    iter(run.epochs())

    with pytest.warns(ResourceWarning, match="use it in a with statement"):
        del run
        gc.collect()


def test_two_runs_side_by_side_do_not_see_each_other(new_line, batches):
    runs = [(new_line(rate), Closes()) for rate in (0.1, 0.01)]
    with (
        Run(runs[0][0].view(), [runs[0][1]], epochs=2) as one,
        Run(runs[1][0].view(), [runs[1][1]], epochs=2) as other,
    ):
        for _ in zip(one.epochs(), other.epochs(), strict=True):
            for (x, y), (u, v) in zip(one.batches(batches), other.batches(batches), strict=True):
                one.log(loss=runs[0][0].step(x, y))
                other.log(loss=runs[1][0].step(u, v))

    assert one.history.history["loss"] != other.history.history["loss"]
    assert runs[0][1].seen == runs[1][1].seen
