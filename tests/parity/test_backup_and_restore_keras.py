"""BackupAndRestore resumes a training in the same epoch as Keras's."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

from onstage_backup_and_restore import BackupAndRestore  # noqa: E402  # after the backend is chosen

from onstage import Sequential, layers, optimizers  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")
KERNELS = [RNG.normal(size=shape).astype("float32") for shape in ((3, 4), (4,), (4, 1), (1,))]


class Onstage:
    Sequential, layers, optimizers = Sequential, layers, optimizers
    Callback = object


class Killed(BaseException):
    pass


def train(library, callback, base, kill_at=None, epochs=5):
    """Train, possibly killed in a batch; return the epochs run and the model."""
    ran = []

    class Notes(base):
        batches = 0

        def on_epoch_begin(self, epoch, logs=None):
            ran.append(epoch)

        def on_train_batch_begin(self, batch, logs=None):
            Notes.batches += 1
            if Notes.batches == kill_at:
                raise Killed

    inside = library.layers
    model = library.Sequential([inside.Input((3,)), inside.Dense(4, activation="tanh"), inside.Dense(1)])
    model.compile(library.optimizers.Adam(0.05), loss="mse")
    model.set_weights(KERNELS)
    callbacks = [callback, Notes()] if callback else [Notes()]
    try:
        model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    except Killed:
        return ran, None
    return ran, model


def pair(tmp_path, **options):
    keep = tmp_path / "theirs"
    return (
        (Onstage, BackupAndRestore(tmp_path / "ours", **options), object),
        (keras, keras.callbacks.BackupAndRestore(str(keep), **options), keras.callbacks.Callback),
    )


@pytest.mark.parametrize("kill_at", range(4, 16))
def test_a_killed_training_resumes_in_the_same_epoch_and_ends_with_the_same_weights(tmp_path, kill_at):
    models = []
    for library, callback, base in pair(tmp_path):
        train(library, callback, base, kill_at)
        ran, model = train(library, callback, base)
        assert ran == list(range((kill_at - 1) // 3, 5))
        models.append(model)

    _, plain = train(Onstage, None, object)
    for our, their, never_killed in zip(*(model.get_weights() for model in (*models, plain)), strict=True):
        np.testing.assert_allclose(our, their, atol=1e-4)
        np.testing.assert_array_equal(our, never_killed)


def test_deliberate_difference_a_backup_in_mid_epoch_resumes_in_mid_epoch(tmp_path):
    _, plain = train(Onstage, None, object)
    for (library, callback, base), same in zip(pair(tmp_path, save_freq=1), (True, False), strict=True):
        train(library, callback, base, kill_at=6)

        _, model = train(library, callback, base)

        # Keras runs the batches of that epoch again.
        assert np.allclose(model.get_weights()[0], plain.get_weights()[0], atol=1e-4) is same


def test_deliberate_difference_a_later_fit_starts_at_epoch_0(tmp_path):
    for (library, callback, base), epochs in zip(pair(tmp_path), ([0, 1, 2], [2]), strict=True):
        train(library, callback, base, kill_at=7)
        _, model = train(library, callback, base, epochs=3)

        history = model.fit(X, Y, epochs=3, verbose=0)

        assert history.epoch == epochs


def test_deliberate_difference_only_its_own_files_are_deleted(tmp_path):
    for (library, callback, base), stays in zip(pair(tmp_path), (True, False), strict=True):
        mine = tmp_path / ("ours" if library is Onstage else "theirs") / "mine.txt"
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("precious")

        train(library, callback, base, epochs=1)

        assert mine.exists() is stays
