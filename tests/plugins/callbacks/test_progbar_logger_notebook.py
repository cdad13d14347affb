"""Trainings run in a real kernel, and their outputs read where people read them."""

import re
import shutil
import subprocess
from html import unescape

import pytest

SETUP = """
import numpy as np
from onstage import Run, Sequential, layers
from onstage.callbacks import EarlyStopping
x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
model = Sequential([layers.Dense(1)], seed=0)
model.compile("sgd", loss="mse", metrics=["mae"])
"""


def table_rows(html):
    """Return the texts of the cells of a table in HTML, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [
        [unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in rows
    ]


@pytest.fixture(scope="module")
def cells(run_cells):
    """Return the cells of a notebook by name."""
    sources = {
        "fit": "_ = model.fit(x, x[:, :1], epochs=3, validation_split=0.25)",
        "long": """
with Run(epochs=50, verbose=1) as run:
    for epoch in run.epochs():
        run.log(loss=abs(epoch - 5.0))
""",
        "stopped": """
with Run(model, EarlyStopping("loss", patience=2, restore_best_weights=True), epochs=9, verbose=1) as run:
    for epoch in run.epochs():
        run.log(loss=abs(epoch - 2.0), note="<b>&")
""",
        "failed": """
with Run(epochs=9, verbose="auto") as run:
    for epoch in run.epochs():
        for batch in run.batches([1.0, 2.0]):
            run.log(loss=batch)
            assert epoch < 1
""",
        "evaluate": "_ = model.evaluate(x, x[:, :1])",
        "predict": "_ = model.predict(x)",
        "watched": """
import time
from onstage_progbar_logger.notebook import Notebook
shown = []
get_ipython().display_pub.register_hook(lambda message: shown.append(message) or message)
with Run(epochs=2, steps=4, verbose=1) as run:
    for epoch in run.epochs():
        for batch in run.batches([1.0] * 4):
            time.sleep(Notebook.interval)
            run.log(loss=batch)
        for batch in run.test_batches([1.0]):
            time.sleep(Notebook.interval)
            run.log(loss=batch)
contents = [message["content"] for message in shown]
for message, content in zip(shown, contents):
    print(message["header"]["msg_type"], content["transient"] == contents[0]["transient"])
    print(content["data"]["text/html"].splitlines()[0])
""",
        "lines": "_ = model.fit(x, x[:, :1], epochs=2, verbose=2)",
        "silent": "_ = model.fit(x, x[:, :1], epochs=2, verbose=0)",
    }
    notebook = run_cells(SETUP, *sources.values())
    return dict(zip(sources, notebook.cells[1:], strict=True)) | {"notebook": notebook}


def test_a_training_is_one_output_without_a_warning(cells):
    (output,) = cells["fit"].outputs

    assert output.output_type == "display_data"
    assert set(output.data) == {"text/plain", "text/html"}


def test_the_table_has_every_epoch_and_metric(cells):
    (output,) = cells["fit"].outputs

    header, *rows = table_rows(output.data["text/html"])
    assert header == ["epoch", "loss", "mae", "val_loss", "val_mae", ""]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert all(re.fullmatch(r"\d\.\d{4}", cell) for row in rows for cell in row[1:5])


def test_the_text_has_the_same_cells_as_the_html(cells):
    (output,) = cells["fit"].outputs

    text = output.data["text/plain"].split("\n\n")[1]
    assert [line.split() for line in text.splitlines()] == [
        list(filter(None, row)) for row in table_rows(output.data["text/html"])
    ]


def test_a_long_training_shows_the_last_twenty_epochs_and_the_best(cells):
    (output,) = cells["long"].outputs

    rows = table_rows(output.data["text/html"])[1:]
    assert [row[0] for row in rows] == ["...", "6", "...", *map(str, range(31, 51))]
    assert rows[1] == ["6", "0.0000", "best"]
    assert output.data["text/html"].startswith("<div>50 epochs in ")


def test_an_early_stop_is_told_with_its_reason_and_the_restored_epoch(cells):
    (output,) = cells["stopped"].outputs

    line = output.data["text/plain"].splitlines()[0]
    assert re.fullmatch(
        r"5 of 9 epochs in .*s, stopped by EarlyStopping: loss has not improved for 2 epochs", line
    )
    assert table_rows(output.data["text/html"])[3] == ["3", "0.0000", "<b>&", "best, restored"]


def test_an_error_leaves_the_finished_epochs_and_the_place_of_the_interruption(cells):
    display, error = cells["failed"].outputs

    assert error.ename == "AssertionError"
    assert display.data["text/plain"].startswith("Epoch 2/9: interrupted after ")
    assert table_rows(display.data["text/html"])[1:] == [["1", "1.5000", "best"]]


def test_an_evaluation_and_a_prediction_are_one_line(cells):
    (evaluated,), (predicted,) = cells["evaluate"].outputs, cells["predict"].outputs

    assert re.match(r"Evaluate: 2 steps in .*, loss \d\.\d{4}, mae \d\.\d{4}$", evaluated.data["text/plain"])
    assert re.match(r"Predict: 2 steps in .*s$", predicted.data["text/plain"])


def test_a_training_updates_its_one_output_with_progress_metrics_and_the_time_left(cells):
    _, *printed = cells["watched"].outputs
    kinds, lines = ("".join(output.text for output in printed).splitlines()[n::2] for n in (0, 1))

    assert kinds == ["display_data True", *["update_display_data True"] * (len(kinds) - 1)]
    steps = r"<div><progress value=\"0\.500\"></progress> Epoch 1/2: 2/4 steps, loss 1\.0000"
    time = r"0:0\d"
    assert any(re.fullmatch(f"{steps}, {time} left, {time} for all epochs</div>", line) for line in lines)
    assert any("Epoch 1/2: validation 1/?, loss 1.0000, val_loss 1.0000" in line for line in lines)
    assert not any("for all epochs" in line for line in lines if "Epoch 2/2" in line)


def test_lines_and_silence_are_still_to_be_had(cells):
    lines = cells["lines"].outputs

    assert {output.output_type for output in lines} == {"stream"}
    assert "".join(output.text for output in lines).count("Epoch") == 2
    assert cells["silent"].outputs == []


def test_markdown_of_the_notebook_holds_the_whole_table_as_one_block_of_html(cells):
    from nbconvert import MarkdownExporter

    markdown, _ = MarkdownExporter().from_notebook_node(cells["notebook"])

    (output,) = cells["fit"].outputs
    assert output.data["text/html"] in markdown
    assert "\n\n" not in output.data["text/html"]  # which would end the block
    assert not re.search("style|class=|<script", output.data["text/html"])  # which GitHub removes


def test_a_browser_shows_every_cell_of_the_table(cells, tmp_path):
    chromium = shutil.which("chromium") or pytest.skip("needs chromium")
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter(embed_images=True).from_notebook_node(cells["notebook"])
    # What is laid out: `innerText` leaves out what is not shown.
    reads = "<script>document.body.innerText = document.querySelector('table').innerText</script>"
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{reads}</body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
    shown = subprocess.run(
        [chromium, *options, f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        check=True,
    )

    body = re.search("<body.*?>(.*)</body>", shown.stdout, re.DOTALL)[1]
    lines = [line.split("\t") for line in unescape(body).replace("<br>", "\n").strip("\n").split("\n")]
    (output,) = cells["fit"].outputs
    assert [[cell.strip() for cell in line] for line in lines] == table_rows(output.data["text/html"])
