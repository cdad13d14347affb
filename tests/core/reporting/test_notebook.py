"""Histories and pictures as a notebook shows them."""

from base64 import b64decode

import pytest

pytest.importorskip("matplotlib")

SETUP = """
import onstage
with onstage.Run(epochs=3) as run:
    for epoch in run.epochs():
        run.log(loss=1 / (epoch + 1), **{"<b>&": 1.0})
history = run.history
"""


@pytest.fixture(scope="module")
def cells(run_cells):
    """Return the cells of a notebook by name."""
    sources = {
        "history": "history",
        "result": "history.plot()",
        "assigned": "figure = history.plot()\nprint('first the text')",
        "semicolon": "import matplotlib.pyplot\nhistory.plot();",
        "loop": "for _ in range(2):\n    onstage.plot([history, history])",
        "changed": "figure = history.plot()\n_ = figure.suptitle('mine')\nfigure",
        "again": "figure",
    }
    return dict(zip(sources, run_cells(SETUP, *sources.values()).cells[1:], strict=True))


def pictures(cell):
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    assert all(b64decode(picture).startswith(b"\x89PNG") for picture in found)
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [("result", 1), ("assigned", 1), ("semicolon", 1), ("loop", 2), ("changed", 1), ("again", 1)],
)
def test_a_plot_is_shown_once_without_any_magic(cells, name, count):
    assert len(pictures(cells[name])) == count


def test_a_change_in_the_same_cell_is_in_the_picture(cells):
    assert pictures(cells["changed"]) == pictures(cells["again"])
    assert pictures(cells["changed"]) != pictures(cells["result"])


def test_a_history_draws_its_curves_and_a_table_of_last_and_best(cells):
    (output,) = cells["history"].outputs
    html = output.data["text/html"]

    assert '<img alt="curves of loss, &lt;b&gt;&amp;" src="data:image/png;base64,iVBOR' in html
    assert '<td align="left">loss</td><td align="right">0.3333</td><td align="right">0.3333</td>' in html
    assert '<td align="left">&lt;b&gt;&amp;</td>' in html
    assert output.data["text/plain"] == "<History: 3 epochs of loss, <b>&>"
