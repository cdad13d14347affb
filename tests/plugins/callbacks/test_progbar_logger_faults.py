"""A display never ends a training: few characters, a closed pipe, a full disk, no standard output."""

import io
import os
import subprocess
import sys

import pytest
from onstage_progbar_logger import ProgbarLogger

from onstage import OnstageWarning
from onstage.callbacks import EarlyStopping
from onstage.testing import replay

ENCODINGS = [
    *("ascii", "gbk", "gb2312", "cp932", "cp949", "big5", "koi8-r", "iso8859-2", "cp437", "cp850"),
    *("shift_jis", "euc_kr", "latin-1", "cp1252", "utf-8", "utf-16"),
]

PROGRAM = """
import sys
from onstage.callbacks import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau
from onstage import Sequential, layers
import numpy as np

model = Sequential([layers.Dense(1)], seed=0)
model.compile("sgd", "mse")
callbacks = [
    LearningRateScheduler(lambda epoch: 0.01, verbose=1),
    ReduceLROnPlateau("loss", patience=1, min_delta=1e9, verbose=1),
    ModelCheckpoint(sys.argv[1] + "/model", "loss", verbose=1),
    EarlyStopping("loss", patience=4, min_delta=1e9, verbose=1, restore_best_weights=True),
]
x = np.ones((64, 4), "float32")
before()
history = model.fit(x, x[:, :1], epochs=9, batch_size=32, verbose=VERBOSE, callbacks=callbacks)
open(sys.argv[1] + "/ended", "w").write(f"{len(history.epoch)} {history.disabled}")
"""


def run(tmp_path, redirection, *, verbose="'auto'", before="None", **env):
    """Run the program with a redirection of the shell; return what it wrote to standard error."""
    (tmp_path / "program.py").write_text(f"VERBOSE = {verbose}\nbefore = lambda: {before}\n{PROGRAM}")
    ended = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" "{tmp_path}/program.py" "{tmp_path}" {redirection}'],
        env=os.environ | {"PYTHONWARNINGS": ""} | env,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ended.stderr


def ended(tmp_path):
    return (tmp_path / "ended").read_text()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_a_training_is_shown_in_the_characters_of_any_encoding(encoding, verbose):
    file = io.TextIOWrapper(io.BytesIO(), encoding)

    result = replay(ProgbarLogger(file=file), [{"loss": 0.5, "précision": 1.0}] * 2, verbose=verbose)

    text = file.buffer.getvalue().decode(encoding)
    assert result.run.bus.disabled == []
    assert text.count("0.5000") >= 2
    assert "pr\\xe9cision" in text or "précision" in text


def test_a_log_of_few_characters_is_written_to_its_end(tmp_path):
    log = tmp_path / "log"

    run(tmp_path, f"> {log}", PYTHONIOENCODING="gbk")

    assert ended(tmp_path) == "5 []"
    lines = log.read_text("gbk").splitlines()
    assert lines[0].startswith(
        "Training Sequential: 9 epochs, 2 steps per epoch, 64 samples, batch size 32; "
    )
    assert sum(line.startswith("Epoch 5/9 - ") for line in lines) == 1
    assert "Epoch 5: early stopping" in lines
    assert "" not in lines


@pytest.mark.parametrize("verbose", ["'auto'", 1])
@pytest.mark.parametrize(
    ("redirection", "before", "reason"),
    [
        ("| head -1", "None", "BrokenPipeError"),
        ("> /dev/full", "None", "No space left on device"),
        ("> /dev/null", "sys.stdout.close()", "closed file"),
    ],
)
def test_a_stream_that_fails_ends_the_display_alone(tmp_path, redirection, before, reason, verbose):
    if redirection == "> /dev/full" and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")

    errors = run(tmp_path, redirection, verbose=verbose, before=before)

    assert ended(tmp_path) == "5 ['ProgbarLogger']"
    assert (tmp_path / "model.safetensors").exists()
    assert reason in errors
    assert "the training went on without: ProgbarLogger" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("redirection", "before"), [("> /dev/null", "setattr(sys, 'stdout', None)"), (">&-", "None")]
)
def test_a_program_without_standard_output_trains_in_silence(tmp_path, redirection, before):
    errors = run(tmp_path, redirection, verbose=1, before=before)

    assert ended(tmp_path) == "5 []"
    assert errors == ""


def test_the_error_of_a_display_is_a_warning_that_names_it():
    class Broken(io.StringIO):
        def write(self, text):
            raise OSError("disk away")

    stopper = EarlyStopping("loss", patience=1)
    with (
        pytest.warns(OnstageWarning, match="the training went on without: ProgbarLogger"),
        pytest.warns(OnstageWarning, match="ProgbarLogger .* takes no further part: OSError: disk away"),
    ):
        result = replay([stopper, ProgbarLogger(file=Broken())], [{"loss": 1.0}] * 3, verbose=1)

    assert result.epochs_run == 2
    assert result.history.disabled == ["ProgbarLogger"]
