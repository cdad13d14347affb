"""Concurrent trainings, in threads or processes, have bitwise the results of single ones."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from onstage_backup_and_restore import BackupAndRestore
from onstage_csv_logger import CSVLogger
from onstage_early_stopping import EarlyStopping
from onstage_model_checkpoint import ModelCheckpoint
from onstage_reduce_lr_on_plateau import ReduceLROnPlateau
from onstage_tensorboard import TensorBoard

from onstage import Sequential, layers, optimizers
from onstage.state import storage

SEEDS = range(8)


def train(folder, seed):
    """Train with a seed; return all results that a user sees."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, 6)).astype("float32")
    y = (x.sum(axis=1, keepdims=True) > 0).astype("float32")
    model = Sequential(
        [
            layers.Dense(16, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, "sigmoid"),
        ],
        seed=seed,
    )
    model.compile(optimizers.Adam(0.05, use_ema=True), "binary_crossentropy", ["accuracy"])
    callbacks = [
        EarlyStopping(patience=3, restore_best_weights=True),
        ReduceLROnPlateau(patience=1),
        CSVLogger(folder / "log.csv"),
        ModelCheckpoint(folder / "saved" / "{epoch}", max_to_keep=2),
        TensorBoard(folder / "board"),
        BackupAndRestore(folder / "backup"),
    ]
    history = model.fit(
        x, y, batch_size=8, epochs=10, validation_split=0.25, seed=seed, verbose=0, callbacks=callbacks
    )
    return {
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "history": history.history,
        "csv": (folder / "log.csv").read_bytes(),
        "files": {path.name: path.read_bytes() for path in (folder / "saved").iterdir()},
    }


def folder_of(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "same", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["one seed", "eight seeds"]
)
def test_eight_trainings_in_threads_equal_single_trainings_bitwise(tmp_path, same):
    seeds = [0 for _ in SEEDS] if same else SEEDS
    alone = {seed: train(folder_of(tmp_path, f"alone-{seed}"), seed) for seed in set(seeds)}
    ended, at_once = {}, threading.Barrier(len(seeds))

    def work(number, seed):
        folder = folder_of(tmp_path, f"beside-{number}")
        at_once.wait()
        ended[number] = train(folder, seed)

    workers = [threading.Thread(target=work, args=pair) for pair in enumerate(seeds)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(alone) == len(set(seeds))
    assert len(ended) == len(seeds)
    for number, seed in enumerate(seeds):
        assert ended[number] == alone[seed], f"training {number}"


@pytest.mark.slow
def test_eight_trainings_in_processes_equal_a_single_training_bitwise(tmp_path, unkilled, program, seen_of):
    processes = [program(tmp_path / str(number), "epoch") for number in SEEDS]
    errors = [process.communicate()[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * len(processes), errors
    for number in SEEDS:
        assert seen_of(tmp_path / str(number)) == unkilled, f"process {number}"


_SHARED = """
import sys
from onstage.state import storage
import numpy as np
number = int(sys.argv[2])
for count in range(150):
    storage.save(sys.argv[1], {"writer": number, "w": np.full(5000, number)})
"""


def test_processes_that_save_to_one_file_leave_one_complete_state(tmp_path):
    path = tmp_path / "state"
    writers = [
        subprocess.Popen([sys.executable, "-c", _SHARED, str(path), str(number)], stderr=subprocess.PIPE)
        for number in range(3)
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            state = storage.load(path)
            assert (state["w"] == state["writer"]).all()
            seen.add(state["writer"])
    errors = [writer.communicate()[1] for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    assert seen <= {0, 1, 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]
