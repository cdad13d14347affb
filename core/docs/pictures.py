"""Make the pictures of the documentation, from trainings that run now.

From the checkout::

    uv run --with ipykernel --with nbclient --with nbconvert python core/docs/pictures.py

The terminal is ``examples/digits.py`` in a pseudo-terminal, drawn as SVG; the notebook is
run by a kernel and photographed by chromium, if that is there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import runpy
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from time import monotonic

import pyte

ROOT = Path(__file__).resolve().parents[2]
STATIC = Path(__file__).resolve().parent / "_static"
DIGITS = ROOT / "examples/digits.py"
COLUMNS, ROWS = 100, 16
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8, 18, 16
BACKGROUND, FOREGROUND = "#1c2024", "#edeef0"
COLORS = {"green": "#65ba74", "red": "#ec5d5e", "brown": "#f5e147", "blue": "#70b8ff", "cyan": "#4ccce6"}

NOTEBOOK = [
    """
import numpy as np
from onstage import Sequential, layers
from onstage.callbacks import EarlyStopping, ReduceLROnPlateau
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
x = x.astype("float32") / 16
""",
    """
model = Sequential([layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")], seed=0)
model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=8, validation_split=0.2, seed=0,
                    callbacks=[EarlyStopping(patience=3), ReduceLROnPlateau(patience=2)])
""",
    "history",
]


def record(command: list[str], folder: str) -> pyte.Screen:
    """Run a command in a pseudo-terminal and return its screen at the end."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
        os.execvp(command[0], command)
    until = monotonic() + 300
    with contextlib.suppress(OSError):  # the terminal's end
        while monotonic() < until and (data := os.read(terminal, 65536)):
            stream.feed(data.replace(folder.encode(), b"~"))
    os.waitpid(child, 0)
    return screen


def draw_screen(screen: pyte.Screen, title: str) -> str:
    """Return a screen as SVG: a line of text for each row, with its colours."""
    rows = [number for number in range(ROWS) if screen.display[number].strip()]
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, len(rows) * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{escape(title)}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13" fill="{FOREGROUND}">',
    ]
    for line, number in enumerate(rows):
        y = MARGIN + CELL_HEIGHT * (line + 0.75)
        for column, text, color in _spans(screen.buffer[number]):
            # A fixed length keeps columns in place, whatever font the reader has.
            parts.append(
                f'<text x="{MARGIN + column * CELL_WIDTH}" y="{y:g}" textLength="{len(text) * CELL_WIDTH}" '
                f'fill="{COLORS.get(color, FOREGROUND)}" xml:space="preserve">{escape(text)}</text>'
            )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _spans(row):
    """Yield the runs of characters of one colour: column, text, colour."""
    start, text, color = 0, "", ""
    for column in range(COLUMNS + 1):
        cell = row[column] if column < COLUMNS else None
        is_gap = cell is None or (cell.data == " " and text.endswith(" "))
        if text and (is_gap or cell.fg != color):
            yield start, text.rstrip(), color
            text = ""
        if cell is not None and not is_gap and (text or cell.data != " "):
            if not text:
                start, color = column, cell.fg
            text += cell.data


def draw_history(target: Path, folder: str) -> None:
    """Train the digits, and let the History draw itself."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(None):
        history = runpy.run_path(str(DIGITS))["history"]
    history.plot(target)


def photograph_notebook(target: Path, folder: str) -> None:
    """Run the notebook in a kernel and photograph it as Jupyter exports it."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    cells = [nbformat.v4.new_code_cell(source.strip()) for source in NOTEBOOK]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    page = Path(folder, "notebook.html")
    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True)
    page.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
    photograph(page.as_uri(), target, size="900,1330")


def photograph(url: str, target: Path, size: str) -> None:
    """Save a picture of a page in headless chromium."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000"]
    command = [CHROMIUM, *flags, f"--window-size={size}", f"--screenshot={target}", url]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""


def main() -> None:
    """Make all pictures, but those whose tools are missing."""
    STATIC.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        screen = record([sys.executable, str(DIGITS)], folder)
        (STATIC / "terminal.svg").write_text(
            draw_screen(screen, "A training in a terminal"), encoding="utf-8"
        )
        draw_history(STATIC / "history.png", folder)
        if CHROMIUM and importlib.util.find_spec("nbclient") and importlib.util.find_spec("nbconvert"):
            photograph_notebook(STATIC / "notebook.png", folder)
        else:
            print("no chromium, nbclient or nbconvert: the notebook's picture stays as it is")


if __name__ == "__main__":
    main()
