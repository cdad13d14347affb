import math
import subprocess
import sys
from itertools import combinations

import pytest

from onstage import History, Run, plot
from onstage.callbacks import EarlyStopping
from onstage.testing import FakeModel

pytest.importorskip("matplotlib")


def history_of(**curves):
    history = History()
    epochs = max(len(values) for values in curves.values())
    for epoch in range(epochs):
        history.on_epoch_end(epoch, {name: v[epoch] for name, v in curves.items() if v[epoch] is not None})
    return history


def lines_of(axis):
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axis.get_lines()}


@pytest.fixture
def history():
    return history_of(
        loss=[3.0, 2.0, 1.0, 0.9],
        val_loss=[None, 2.5, None, 2.0],
        learning_rate=[0.1, 0.1, 0.01, 0.01],
    )


def test_each_metric_has_a_panel_with_its_validation(history):
    loss, rate = history.plot().axes

    assert lines_of(loss)["training"] == [(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.9)]
    assert lines_of(loss)["validation"] == [(2, 2.5), (4, 2.0)]
    assert rate.get_ylabel() == "learning rate"
    assert rate.get_yscale() == "log"


def test_a_reduction_of_the_rate_is_marked(history):
    for axis in history.plot().axes:
        assert [x for x, _ in lines_of(axis)["learning rate reduced"]] == [2.5, 2.5]


def test_a_stop_is_marked_with_its_callback_and_reason(history):
    history.stop_reason, history.stopped_by = "val_loss has not improved", "EarlyStopping"

    axes = history.plot().axes

    assert axes[0].get_title(loc="left") == "stopped by EarlyStopping: val_loss has not improved"
    assert [x for x, _ in lines_of(axes[0])["stopped"]] == [4, 4]


def test_a_rate_reduced_in_every_epoch_has_no_marks():
    history = history_of(loss=[1.0] * 40, learning_rate=[0.9**n for n in range(40)])

    for axis in history.plot().axes:
        assert "learning rate reduced" not in lines_of(axis)


def test_a_value_that_is_not_finite_is_a_gap_and_a_cross():
    (axis,) = history_of(loss=[3.0, float("nan"), float("inf"), 1.0]).plot().axes

    lines = lines_of(axis)
    assert lines["training not finite"] == [(2, 0.0), (3, 0.0)]
    assert [epoch for epoch, value in lines["training"] if value == value] == [1, 4]


def test_values_that_are_not_numbers_are_left_out():
    (axis,) = history_of(loss=[3.0, "high", 1.0], name=["a", "b", "c"]).plot().axes

    assert lines_of(axis)["training"] == [(1, 3.0), (3, 1.0)]


def test_many_panels_are_in_two_columns_with_the_epochs_below():
    names = ("loss", "accuracy", "precision", "recall", "learning_rate")
    axes = history_of(**{name: [0.5, 0.25] for name in names}).plot().axes

    places = [axis.get_subplotspec().get_geometry()[:2] for axis in axes]
    assert places == [(3, 2)] * 5
    assert [axis.get_xlabel() for axis in axes] == ["", "", "", "epoch", "epoch"]
    assert len(axes[0].figure.axes) == 5


def test_a_single_panel_accepts_single_axes():
    from matplotlib.figure import Figure

    own = Figure().subplots()

    assert history_of(loss=[1.0]).plot(own) is own.figure


def test_a_path_is_written_as_an_image(history, tmp_path):
    history.plot(tmp_path / "new" / "training.png")
    history.plot(str(tmp_path / "training.svg"))

    assert (tmp_path / "new" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "training.svg").read_bytes()


def test_draws_into_given_axes(history):
    from matplotlib.figure import Figure

    own = Figure().subplots(2, 1)

    assert history.plot(own).axes == list(own)
    with pytest.raises(ValueError, match="axes must be 2, one for each panel, got 1"):
        history.plot(own[:1])


def test_a_metric_with_only_validation_values_has_a_panel():
    (axis,) = history_of(val_f1=[0.1, 0.2]).plot().axes

    assert axis.get_ylabel() == "f1"
    assert lines_of(axis)["validation"] == [(1, 0.1), (2, 0.2)]


def test_an_empty_history_is_an_error():
    with pytest.raises(ValueError, match="must have an epoch with a metric"):
        History().plot()


def test_the_error_without_matplotlib_names_the_remedy(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r"pip install 'onstage\[plot\]'"):
        history.plot()


def test_pyplot_is_not_imported():
    program = """
import sys
from onstage import History
history = History()
history.on_epoch_end(0, {"loss": 1.0})
history.plot()
print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout == "True False\n", done.stderr


def texts_of(figure):
    """Return the texts at the ends of curves, by panel."""
    return [[text.get_text() for text in axis.texts] for axis in figure.axes]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_best_epoch_of_early_stopping_is_marked_with_whether_it_was_restored():
    for restores, told in ((True, "best epoch 2, weights restored"), (False, "best epoch 2")):
        with Run(
            FakeModel(), EarlyStopping("loss", patience=2, restore_best_weights=restores), epochs=9
        ) as run:
            for epoch in run.epochs():
                run.log(loss=abs(epoch - 1.0))

        figure = run.history.plot()

        assert told in legend_of(figure)
        assert [x for x, _ in lines_of(figure.axes[0])[told]] == [2, 2]


def test_without_a_callback_that_decides_the_best_epoch_is_that_of_the_lowest_validation_loss():
    figure = history_of(loss=[3.0, 2.0, 1.0], val_loss=[3.0, 2.5, 2.75]).plot()

    assert "best epoch 2" in legend_of(figure)


def test_a_curve_ends_with_its_last_and_best_value_and_a_ring_is_at_the_best():
    figure = history_of(loss=[3.0, 1.0, 2.0], accuracy=[0.1, 0.2, 0.3], learning_rate=[0.1, 0.1, 0.1]).plot()

    assert texts_of(figure) == [["2.0000, best 1.0000"], ["0.3000, best"], ["0.1000"]]
    rings = [lines_of(axis).get("_best") for axis in figure.axes]
    assert rings == [[(2, 1.0)], [(3, 0.3)], None]


@pytest.mark.parametrize("runs", [1, 8])
def test_the_values_at_the_ends_never_overlap_and_are_inside_the_picture(runs):
    histories = [history_of(loss=[3.0, 1.0], val_loss=[3.0, 1.0 + n / 1000]) for n in range(runs)]

    figure = plot(histories)

    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 2 * runs
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
    assert all(box.y1 <= figure.bbox.y1 for box in boxes)


def test_nothing_is_cut_with_twenty_metrics_long_names_and_a_long_reason():
    names = [f"precision_at_recall_{n}" for n in range(20)]
    history = history_of(**{name: [0.5, 0.25] for name in names})
    history.stop_reason, history.stopped_by = "no improvement " * 20, "EarlyStopping"

    figure = history.plot()

    figure.draw_without_rendering()
    drawn = figure.get_tightbbox()
    assert 0 <= drawn.x0 < drawn.x1 <= figure.get_figwidth()
    assert 0 <= drawn.y0 < drawn.y1 <= figure.get_figheight()
    title = figure.axes[0].title if figure.axes[0].get_title() else figure.axes[0]._left_title
    assert title.get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 0.009], "log"), ([1.0, 0.011], "linear"), ([1.0, 0.0], "linear"), ([1.0, -0.001], "linear")],
)
def test_an_axis_is_logarithmic_above_two_decades_of_positive_values(values, scale):
    (axis,) = history_of(loss=values).plot().axes

    assert axis.get_yscale() == scale


def test_the_axis_of_epochs_begins_at_one():
    (axis,) = history_of(loss=[1.0] * 40).plot().axes

    left, right = axis.get_xlim()
    assert 0 < left <= 1
    assert right >= 40
    assert all(tick == int(tick) for tick in axis.get_xticks())


def test_several_runs_lie_over_one_another_with_their_labels():
    first = history_of(loss=[3.0, 2.0], val_loss=[3.5, 2.5])
    second = history_of(loss=[3.0, 1.0], val_loss=[3.5, 1.5], accuracy=[0.5, 0.6])

    figure = plot([first, second], labels=["adam", "_sgd $x$"])

    assert legend_of(figure) == ["adam", " _sgd $x$", "training", "validation"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "accuracy"]
    assert sorted(texts_of(figure)[0]) == [
        *("1.5000, best", "2.5000, best", "training 1.0000, best", "training 2.0000, best")
    ]
    curves = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 2]
    assert [line.is_dashed() for line in curves] == [True, False, True, False]
    assert len({line.get_color() for line in curves}) == 2


def test_each_run_needs_a_label():
    histories = [history_of(loss=[1.0])] * 2

    assert legend_of(plot(histories)) == ["run 1", "run 2"]
    with pytest.raises(ValueError, match="labels must be 2, one for each history, got 1"):
        plot(histories, labels=["one"])


def test_names_are_text_and_no_formulas(tmp_path):
    history = history_of(**{"loss": [1.0], "$\\frac$": [math.pi]})
    history.stop_reason = "$\\alpha"

    plot([history, history], tmp_path / "several.png", labels=["$\\beta", "$x$"])
    figure = history.plot(tmp_path / "single.png")

    assert figure.axes[1].get_ylabel() == "$\\frac$"
    assert figure.axes[0].get_title(loc="left") == "stopped: $\\alpha"
