"""What a person sees: a training in a pseudo-terminal, on the screen that pyte renders."""

import os
import re
import subprocess
import sys

import pytest

pyte = pytest.importorskip("pyte")
pytest.importorskip("pty", reason="needs a pseudo-terminal")

TRAINING = """
import logging, sys, threading, time
import numpy as np
from onstage import Callback, Sequential, layers
from onstage.callbacks import EarlyStopping

logging.basicConfig(level="INFO", format="%(message)s")

class Slow(Callback):
    def on_train_batch_end(self, batch, logs):
        time.sleep(0.06)
    on_test_batch_end = on_train_batch_end

class Worse(Callback):
    def on_epoch_end(self, epoch, logs):
        logs["val_loss"] = 1.0 + epoch

x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int64")
model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

def fit(*callbacks, epochs=3, **options):
    return model.fit(x, y, epochs=epochs, batch_size=4, seed=0, callbacks=[Slow(), *callbacks], **options)
"""


class Screen:
    """The screen of a program that ran in a pseudo-terminal.

    Attributes
    ----------
    lines
        Lines in the end, also those that have scrolled away.
    shown
        Every text that stood on a line meanwhile.
    frames
        The lines of the screen before each part of it that was cleared.
    """

    def __init__(self, program, columns=80, rows=30, **env):
        import fcntl
        import pty
        import struct
        import termios

        # A size in the environment, such as xdist's, would hide that of the terminal.
        inherited = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with subprocess.Popen(
            [sys.executable, "-c", TRAINING + program],
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            env=inherited | {"PYTHONUNBUFFERED": "", "PYTHONWARNINGS": ""} | env,
        ) as child:
            os.close(theirs)
            self.raw = b"".join(_parts(ours))
        os.close(ours)
        self.returncode = child.returncode
        screen = pyte.HistoryScreen(columns or 80, rows, history=10_000)
        stream = pyte.ByteStream(screen)
        self.shown, self.frames = {}, []
        for piece in re.split(rb"(?=\r)", self.raw):
            if piece.startswith(b"\r\x1b[2K"):
                self.frames.append([line.rstrip() for line in screen.display if line.strip()])
            stream.feed(piece)
            self.shown |= dict.fromkeys(line.rstrip() for line in screen.display)
        above = ["".join(line[at].data for at in range(screen.columns)) for line in screen.history.top]
        self.lines = [line.rstrip() for line in (*above, *screen.display) if line.strip()]


def _parts(descriptor):
    while True:
        try:
            part = os.read(descriptor, 100_000)
        except OSError:  # the other side is closed
            return
        if not part:
            return
        yield part
