import sys

import pytest

from onstage import History

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
    loss, rate = history.plot()

    assert lines_of(loss)["training"] == [(0, 3.0), (1, 2.0), (2, 1.0), (3, 0.9)]
    assert lines_of(loss)["validation"] == [(1, 2.5), (3, 2.0)]
    assert rate.get_ylabel() == "learning rate"
    assert rate.get_yscale() == "log"


def test_a_reduction_of_the_rate_is_marked(history):
    for axis in history.plot():
        assert [x for x, _ in lines_of(axis)["learning rate reduced"]] == [1.5, 1.5]


def test_a_stop_is_marked_with_its_callback_and_reason(history):
    history.stop_reason, history.stopped_by = "val_loss has not improved", "EarlyStopping"

    axes = history.plot()

    assert axes[0].get_title(loc="right") == "stopped by EarlyStopping: val_loss has not improved"
    assert [x for x, _ in lines_of(axes[0])["stopped"]] == [3, 3]


def test_a_rate_reduced_in_every_epoch_has_no_marks():
    history = history_of(loss=[1.0] * 40, learning_rate=[0.9**n for n in range(40)])

    for axis in history.plot():
        assert "learning rate reduced" not in lines_of(axis)


def test_a_value_that_is_not_finite_is_a_gap_and_a_cross():
    (axis,) = history_of(loss=[3.0, float("nan"), float("inf"), 1.0]).plot()

    lines = lines_of(axis)
    assert lines["training not finite"] == [(1, 0.0), (2, 0.0)]
    assert [epoch for epoch, value in lines["training"] if value == value] == [0, 3]


def test_values_that_are_not_numbers_are_left_out():
    (axis,) = history_of(loss=[3.0, "high", 1.0], name=["a", "b", "c"]).plot()

    assert lines_of(axis)["training"] == [(0, 3.0), (2, 1.0)]


def test_many_panels_are_in_two_columns_with_the_epochs_below():
    names = ("loss", "accuracy", "precision", "recall", "learning_rate")
    axes = history_of(**{name: [0.5, 0.25] for name in names}).plot()

    places = [axis.get_subplotspec().get_geometry()[:2] for axis in axes]
    assert places == [(3, 2)] * 5
    assert [axis.get_xlabel() for axis in axes] == ["", "", "", "epoch", "epoch"]
    assert len(axes[0].figure.axes) == 5


def test_a_single_panel_accepts_single_axes():
    from matplotlib.figure import Figure

    own = Figure().subplots()

    assert history_of(loss=[1.0]).plot(own) == [own]


def test_a_path_is_written_as_an_image(history, tmp_path):
    history.plot(tmp_path / "new" / "training.png")
    history.plot(str(tmp_path / "training.svg"))

    assert (tmp_path / "new" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "training.svg").read_bytes()


def test_draws_into_given_axes(history):
    from matplotlib.figure import Figure

    own = Figure().subplots(2, 1)

    assert history.plot(own) == list(own)
    with pytest.raises(ValueError, match="axes must be 2, one for each panel, got 1"):
        history.plot(own[:1])


def test_a_metric_with_only_validation_values_has_a_panel():
    (axis,) = history_of(val_f1=[0.1, 0.2]).plot()

    assert axis.get_ylabel() == "f1"
    assert lines_of(axis)["validation"] == [(0, 0.1), (1, 0.2)]


def test_an_empty_history_is_an_error():
    with pytest.raises(ValueError, match="must have an epoch with a metric"):
        History().plot()


def test_the_error_without_matplotlib_names_the_remedy(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match=r"pip install 'onstage\[plot\]'"):
        history.plot()


def test_pyplot_is_not_imported(history):
    history.plot()

    assert "matplotlib.pyplot" not in sys.modules
