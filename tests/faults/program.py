"""The program that the tests kill: a training with every built-in callback that has state.

``python program.py FOLDER [SAVE_FREQ] [--preemption]`` trains with backups in
FOLDER; without SAVE_FREQ it makes no backups. It prints ``begun EPOCH`` and
``ended``, and writes the results that a user sees to ``result.json``.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onstage_backup_and_restore import BackupAndRestore
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_model_checkpoint import ModelCheckpoint
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_swap_ema_weights import SwapEMAWeights
from onstage_tensorboard import TensorBoard

from onstage import Callback, Sequential, layers, optimizers

EPOCHS = 60  # EarlyStopping stops earlier
RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 8)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) + RNG.normal(size=(150, 1)) > 0).astype("float32")


class PrintsEpochs(Callback):
    """Prints the beginning of each epoch, so that the tests can time their kills."""

    def on_epoch_begin(self, epoch):
        print(f"begun {epoch}", flush=True)


def callbacks(folder):
    return [
        EarlyStopping(patience=6, min_delta=0.005, restore_best_weights=True),
        ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.01, cooldown=1),
        SwapEMAWeights(swap_on_epoch=True),
        CSVLogger(folder / "log.csv"),
        ModelCheckpoint(folder / "saved" / "{epoch:02d}-{val_loss:.4f}", max_to_keep=3),
        TensorBoard(folder / "board", histogram_freq=2, update_freq=3),
        PrintsEpochs(),
    ]


def make_model():
    model = Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ],
        seed=0,
    )
    model.compile(optimizers.Adam(0.02, use_ema=True, ema_momentum=0.8), "binary_crossentropy", ["accuracy"])
    return model


def main(folder, save_freq=None, *flags):
    used = callbacks(folder)
    if save_freq is not None:
        frequency = save_freq if save_freq == "epoch" else int(save_freq)
        # Kept, so that a program killed after its training doesn't train again.
        options = {"delete_checkpoint": False, "save_before_preemption": "--preemption" in flags}
        used.append(BackupAndRestore(folder / "backup", frequency, **options))
    model = make_model()
    history = model.fit(
        X, Y, batch_size=10, epochs=EPOCHS, validation_split=0.2, seed=3, verbose=0, callbacks=used
    )
    stopping, plateau = used[:2]
    result = {
        "weights": [weight.tobytes().hex() for weight in model.get_weights()],
        "history": history.history,
        "epochs": history.epoch,
        "ended": [history.stop_reason, history.stopped_by],
        "stopping": [stopping.best, stopping.best_epoch, stopping.wait, stopping.stopped_epoch],
        "plateau": [plateau.best, plateau.wait, plateau.cooldown_counter],
    }
    (folder / "result.json").write_text(json.dumps(result))
    print("ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
