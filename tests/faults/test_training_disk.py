"""If a disk fails during training, the error names the file and no earlier file is lost."""

import errno
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits and mounts")

# Trains in a folder that fails before the third epoch, repairs it, and trains again.
_TRAIN = """
import json, os, resource, shutil, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
from onstage import Callback, Sequential, layers, load_model
from onstage.state import storage
from onstage.callbacks import BackupAndRestore, ModelCheckpoint

how, what, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 50)), rng.normal(size=(64, 1))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

def remount(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)

def break_disk():
    while what == "background" and not (folder / what / "2.safetensors").exists():
        time.sleep(0.01)  # still being written
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, unlimited[1]))
    elif how == "read-only":
        remount("ro")
    elif how == "full":
        with open(folder / "others", "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
    elif how == "gone":
        shutil.rmtree(folder / what)

def repair():
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    if how == "read-only":
        remount("rw")
    (folder / "others").unlink(missing_ok=True)

class BreaksDisk(Callback):
    weights = None
    def on_epoch_begin(self, epoch):
        if epoch == 2:
            break_disk()
    def on_batch_end(self):
        self.weights = self.model.get_weights()

def fit(*callbacks, epochs=4):
    model = Sequential([layers.Dense(100), layers.Dropout(0.1), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    try:
        model.fit(x, y, epochs=epochs, seed=0, verbose=0, callbacks=list(callbacks))
        return model, None
    except OSError as error:
        return model, error

def same(model, weights):
    return all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))

callback = {
    "backup": lambda: BackupAndRestore(folder / "backup"),
    "one_backup": lambda: BackupAndRestore(folder / "one_backup", double_checkpoint=False),
    "backup_by_batch": lambda: BackupAndRestore(folder / "backup_by_batch", 1),
    "checkpoint": lambda: ModelCheckpoint(folder / "checkpoint" / "{epoch}"),
    "one_checkpoint": lambda: ModelCheckpoint(folder / "one_checkpoint" / "model"),
    "background": lambda: ModelCheckpoint(folder / "background" / "{epoch}", save_in_background=True),
}[what]
breaks = BreaksDisk()

def strict():
    made = callback()
    made.on_error = "raise"
    return made

descriptors = len(os.listdir("/proc/self/fd"))
model, error = fit(strict(), breaks)
left = len(os.listdir("/proc/self/fd")) - descriptors
kept = same(model, breaks.weights)
usable = bool(np.isfinite(model.predict(x, verbose=0)).all())
loaded = {}
for path in sorted((folder / what).glob("*.safetensors")):
    try:
        state = storage.load(path)
        loaded[path.name] = state.get("epoch", True)
    except ValueError as damage:
        loaded[path.name] = str(damage)
litter = [path.name for path in (folder / what).glob(".onstage-*")]
repair()
again, second = fit(strict())
print(json.dumps({
    "errno": error and error.errno, "file": error and error.filename, "text": str(error),
    "notes": error and error.__notes__, "kept": kept, "usable": usable, "loaded": loaded,
    "litter": litter, "left": left,
    "again": second is None and same(again, fit()[0].get_weights()),
}))
"""


def train(how, what, folder, prefix=()):
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _TRAIN, how, what, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _can_mount():
    tried = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


ON_A_SMALL_DISK = (
    *("unshare", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"',
)
SAVED = {
    "backup": {"backup-previous.safetensors": 1, "backup.safetensors": 2},
    "one_backup": {"backup.safetensors": 2},
    # All batches of epoch 1 are done, all but the last in the previous one.
    "backup_by_batch": {"backup-previous.safetensors": 1, "backup.safetensors": 1},
    "checkpoint": {"1.safetensors": True, "2.safetensors": True},
    "one_checkpoint": {"model.safetensors": True},
    "background": {"1.safetensors": True, "2.safetensors": True},
}
FAILED = {
    "backup": "backup.safetensors",
    "one_backup": "backup.safetensors",
    "backup_by_batch": "backup.safetensors",
    "checkpoint": "3.safetensors",
    "one_checkpoint": "model.safetensors",
    "background": "3.safetensors",
}


def assert_nothing_lost(result, what, folder, number):
    assert result["errno"] == number
    assert result["file"] == str(folder / what / FAILED[what])
    assert f"[Errno {number}] {os.strerror(number)}" in result["text"]
    assert any(note.startswith("raised by callback ") for note in result["notes"])
    assert result["kept"], "the weights are those after the last batch"
    assert result["usable"]
    assert result["loaded"] == SAVED[what]
    assert result["litter"] == []
    assert result["left"] == 0
    assert result["again"], "the same program, run again, must end as if the disk had not failed"


@pytest.mark.parametrize("what", SAVED)
def test_a_file_at_its_size_limit(tmp_path, what):
    assert_nothing_lost(train("limit", what, tmp_path), what, tmp_path, errno.EFBIG)


@pytest.mark.skipif(not _can_mount(), reason="not permitted to mount a small disk")
@pytest.mark.parametrize("what", ["one_backup", "checkpoint", "background"])
def test_a_full_disk(tmp_path, what):
    result = train("full", what, tmp_path, [*ON_A_SMALL_DISK, str(tmp_path)])

    assert_nothing_lost(result, what, tmp_path, errno.ENOSPC)


@pytest.mark.skipif(not _can_mount(), reason="not permitted to mount a small disk")
@pytest.mark.parametrize("what", ["checkpoint", "background"])  # a locked backup_dir refuses the remount
def test_a_read_only_disk(tmp_path, what):
    result = train("read-only", what, tmp_path, [*ON_A_SMALL_DISK, str(tmp_path)])

    assert_nothing_lost(result, what, tmp_path, errno.EROFS)


def test_a_backup_directory_that_vanishes_is_named_in_the_error(tmp_path):
    result = train("gone", "backup", tmp_path)

    assert result["errno"] == errno.ENOENT
    assert str(tmp_path / "backup") in result["text"]
    assert result["kept"]
    assert result["usable"]
    assert result["left"] == 0


def test_a_checkpoint_directory_that_vanishes_is_made_again(tmp_path):
    result = train("gone", "checkpoint", tmp_path)

    assert result["errno"] is None
    assert result["loaded"] == {"3.safetensors": True, "4.safetensors": True}
