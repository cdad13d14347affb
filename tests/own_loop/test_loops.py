"""Real callbacks on a handwritten loop."""

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


def train(line, run, batches, validation=()):
    for _ in run.epochs():
        for x, y in run.batches(batches):
            run.log(loss=line.step(x, y))
        for x, y in run.test_batches(validation):
            run.log(loss=line.loss(x, y))


def test_early_stopping_restores_the_best_weights(line, batches):
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


def fit_with_backups(line, batches, folder, *callbacks):
    with Run(
        line.view(),
        [
            CSVLogger(folder / "log.csv"),
            ReduceLROnPlateau("loss", factor=0.5, patience=1),
            BackupAndRestore(folder / "backup", save_freq=1, delete_checkpoint=False),
            *callbacks,
        ],
        epochs=4,
    ) as run:
        train(line, run, batches)
    return {
        "weights": [weight.tolist() for weight in line.weights],
        "rate": line.rate,
        "history": run.history.history,
        "csv": (folder / "log.csv").read_text(),
    }


@pytest.fixture(scope="module")
def uninterrupted(new_line, batches, tmp_path_factory):
    return fit_with_backups(new_line(), batches, tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("die_after", range(1, 12))
def test_a_loop_killed_after_any_batch_resumes_bitwise(die_after, uninterrupted, new_line, batches, tmp_path):
    class Dies(Callback):
        def __init__(self):
            self.left = die_after

        def on_train_batch_begin(self):
            self.left -= 1
            if self.left < 0:
                raise SystemExit

    with pytest.raises(SystemExit):
        fit_with_backups(new_line(), batches, tmp_path, Dies())

    assert fit_with_backups(new_line(), batches, tmp_path) == uninterrupted


def test_a_checkpoint_of_a_loop_contains_its_state(line, batches, tmp_path):
    with Run(line.view(), [ModelCheckpoint(tmp_path / "line")], epochs=2) as run:
        train(line, run, batches)

    saved = storage.load(tmp_path / "line.safetensors")
    assert saved["weights"][0].tolist() == line.weights[0].tolist()
    assert saved["rate"] == 0.1


def test_scalars_of_any_library_become_floats_in_the_epochs_logs():
    seen = {}

    class Sees(Callback):
        def on_epoch_end(self, logs):
            seen.update(logs)

    with Run(callbacks=[Sees()], epochs=1) as run:
        for _ in run.epochs():
            run.log(val_loss=np.float32(0.5), val_hits=np.array(3), note="text", count=2)

    assert seen == {"val_loss": 0.5, "val_hits": 3.0, "note": "text", "count": 2}
    assert [type(value) for value in seen.values()] == [float, float, str, int]


def test_an_epoch_goes_on_after_a_validation_in_its_middle(line, batches):
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


def test_a_gan_logs_two_losses_in_one_batch():
    rng = np.random.default_rng(0)
    real = [rng.normal(3.0, 1.0, size=(8, 1)) for _ in range(20)]
    mean, slope = 0.0, 0.0  # the only weight of the generator, and of the critic

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


def test_accumulated_gradients_log_each_batch(line, batches):
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


def test_two_interleaved_runs_do_not_affect_each_other(new_line, new_recording, batches):
    runs = [(new_line(rate), new_recording()) for rate in (0.1, 0.01)]
    with (
        Run(runs[0][0].view(), [runs[0][1]], epochs=2) as one,
        Run(runs[1][0].view(), [runs[1][1]], epochs=2) as other,
    ):
        for _ in zip(one.epochs(), other.epochs(), strict=True):
            for (x, y), (u, v) in zip(one.batches(batches), other.batches(batches), strict=True):
                one.log(loss=runs[0][0].step(x, y))
                other.log(loss=runs[1][0].step(u, v))

    assert one.history.history["loss"] != other.history.history["loss"]
    assert runs[0][1].stages == runs[1][1].stages
