"""Figures: its numbers against scikit-learn, and the pictures that it hands out."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from onstage_figures import Figures
from onstage_figures.counts import confusion_matrix, precision_recall_curve, roc_curve
from onstage_figures.drawing import draw_confusion_matrix, draw_precision_recall, draw_roc, draw_samples
from onstage_figures.validation import classify, collect
from sklearn import metrics

from onstage import OnstageWarning, Sequential, layers

KINDS = ("confusion_matrix", "roc", "precision_recall", "samples")


def rng(seed=0):
    return np.random.default_rng(seed)


def scores_with_ties(seed, n=200):
    random = rng(seed)
    return random.integers(0, 2, n).astype(bool), random.integers(0, 20, n) / 10


@pytest.mark.parametrize("seed", range(5))
def test_the_confusion_matrix_is_scikit_learns(seed):
    labels, predicted = rng(seed).integers(0, 5, (2, 300))

    ours = confusion_matrix(labels, predicted, 7)

    np.testing.assert_array_equal(ours, metrics.confusion_matrix(labels, predicted, labels=range(7)))


@pytest.mark.parametrize("seed", range(5))
def test_the_roc_curve_is_scikit_learns(seed):
    positive, scores = scores_with_ties(seed)

    curve = roc_curve(positive, scores)

    false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, false)
    np.testing.assert_allclose(curve.y, true)
    assert curve.area == pytest.approx(metrics.roc_auc_score(positive, scores))


@pytest.mark.parametrize("seed", range(5))
def test_the_precision_recall_curve_is_scikit_learns(seed):
    positive, scores = scores_with_ties(seed)

    curve = precision_recall_curve(positive, scores)

    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(curve.x, recall[::-1])
    np.testing.assert_allclose(curve.y, precision[::-1])
    assert curve.area == pytest.approx(metrics.average_precision_score(positive, scores))


@pytest.mark.parametrize("compute", [roc_curve, precision_recall_curve])
def test_without_positives_a_curve_is_undefined(compute):
    assert np.isnan(compute(np.zeros(4, bool), np.arange(4.0)).area)


def multiclass(n=60, classes=3):
    random = rng()
    y = random.integers(0, classes, n)
    return classify(random.normal(size=(n, 6, 6)), y, random.random((n, classes)), 0.5, None)


def test_the_pictures_show_the_numbers_of_scikit_learn():
    found = multiclass()
    one_hot = np.eye(3)[found.labels]

    matrix, roc, pr = draw_confusion_matrix(found), draw_roc(found), draw_precision_recall(found)

    texts = [int(text.get_text()) for text in matrix.axes[0].texts]
    assert texts == metrics.confusion_matrix(found.labels, found.predicted).ravel().tolist()
    assert (
        matrix.axes[0].get_title() == f"accuracy {metrics.accuracy_score(found.labels, found.predicted):.4f}"
    )
    areas = metrics.roc_auc_score(one_hot, found.scores, average=None)
    labels = [text.get_text().split(": AUC ") for text in roc.axes[0].get_legend().get_texts()]
    assert [name for name, _ in labels] == ["0", "1", "2"]
    assert [float(area) for _, area in labels] == pytest.approx(areas, abs=1e-4)
    mean = metrics.average_precision_score(one_hot, found.scores, average="macro")
    assert float(pr.axes[0].get_title().removeprefix("mean AP ")) == pytest.approx(mean, abs=1e-4)


def test_of_many_classes_the_lowest_curves_are_drawn():
    found = multiclass(600, 30)
    areas = metrics.roc_auc_score(np.eye(30)[found.labels], found.scores, average=None)

    figure = draw_roc(found)

    names = [text.get_text().partition(":")[0] for text in figure.axes[0].get_legend().get_texts()]
    assert names == [str(n) for n in np.argsort(areas)[:10]]
    assert figure.axes[0].get_title().endswith("; the lowest 10 of 30 classes")


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((6, 6), (6, 6)), ((6, 6, 1), (6, 6)), ((3, 6, 5), (6, 5, 3)), ((6, 5, 3), (6, 5, 3)), ((7,), None)],
)
def test_samples_are_drawn_as_images_or_as_lines(shape, drawn):
    x = rng().normal(size=(5, *shape))
    found = classify(x, np.array([0, 1, 0, 1, 0]), np.array([0.1, 0.9, 0.8, 0.7, 0.2]), 0.5, ["no", "yes"])

    figure = draw_samples(found, 4)

    assert [axes.get_title() for axes in figure.axes] == ["no", "yes", "yes, is no", "yes"]
    images = [axes.images[0].get_array().shape for axes in figure.axes if axes.images]
    assert images == [drawn] * 4 if drawn else len(figure.axes[0].lines) == 1


def digits():
    x = rng().normal(size=(64, 4)).astype("float32")
    y = (x.sum(axis=1) > 0).astype("int64")
    model = Sequential([layers.Dense(2, activation="softmax")], seed=0)
    model.compile("adam", loss="sparse_categorical_crossentropy")
    return model, x, y


def test_files_are_written_every_freq_epochs(tmp_path):
    model, x, y = digits()

    figures = Figures(freq=2, directory=tmp_path / "new" / "figures")
    model.fit(x, y, epochs=5, validation_data=(x, y), verbose=0, callbacks=[figures])

    written = sorted(path.name for path in (tmp_path / "new/figures").iterdir())
    assert written == sorted(f"epoch_{epoch}_{kind}.png" for epoch in ("002", "004") for kind in KINDS)
    for name in written:
        assert imread(tmp_path / "new/figures" / name).std() > 0.01  # not an empty picture


def test_a_function_gets_tag_figure_and_epoch_and_the_numbers_of_the_validation():
    model, x, y = digits()
    logged = []

    figures = Figures("confusion_matrix", directory=None, log=lambda *given: logged.append(given))
    model.fit(x, y, epochs=2, validation_data=(x[:20], y[:20]), verbose=0, callbacks=[figures])

    assert [(tag, epoch) for tag, _, epoch in logged] == [("validation/confusion_matrix", n) for n in (0, 1)]
    assert all(isinstance(figure, Figure) for _, figure, _ in logged)
    predicted = model.predict(x[:20], verbose=0).argmax(axis=1)
    shown = [int(text.get_text()) for text in logged[-1][1].axes[0].texts]
    assert shown == metrics.confusion_matrix(y[:20], predicted, labels=[0, 1]).ravel().tolist()


def test_the_writer_of_tensorboard_gets_the_pictures(tmp_path, tfevents):
    from onstage.callbacks import TensorBoard

    model, x, y = digits()
    board = TensorBoard(tmp_path)

    figures = Figures(["roc", "samples"], directory=None, writer=lambda: board.writer)
    model.fit(x, y, epochs=2, validation_split=0.25, verbose=0, callbacks=[board, figures])

    values = [each for each in tfevents.values_of(tmp_path / "train") if each[0].startswith("validation/")]
    assert sorted((tag, step) for tag, step, _ in values) == [
        (f"validation/{kind}", step) for kind in ("roc", "samples") for step in (0, 1)
    ]
    assert all(value.image.encoded_image_string.startswith(b"\x89PNG") for *_, value in values)


def test_the_training_is_the_same_as_without(tmp_path):
    weights = []
    for callbacks in ([], [Figures(directory=tmp_path)]):
        model, x, y = digits()
        model.fit(x, y, epochs=3, validation_split=0.25, seed=0, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())

    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_own_samples_take_the_place_of_the_validation_data(tmp_path):
    model, x, y = digits()
    logged = []

    figures = Figures(
        "confusion_matrix", directory=None, x=x[:9], y=y[:9], log=lambda *given: logged.append(given)
    )
    model.fit(x, y, epochs=1, verbose=0, callbacks=[figures])

    assert sum(int(text.get_text()) for text in logged[0][1].axes[0].texts) == 9


def test_validation_data_of_batches_are_collected():
    class Batches:
        def __iter__(self):
            return iter([(np.ones((2, 3)), np.zeros(2)), (np.zeros((1, 3)), np.ones(1))])

    x, y = collect(Batches())

    assert x.shape == (3, 3)
    assert y.tolist() == [0, 0, 1]
    assert collect(iter(Batches())) is None


def test_without_validation_data_a_warning_says_what_to_pass(tmp_path):
    model, x, y = digits()

    with pytest.warns(OnstageWarning, match="pass validation_data to fit, or x and y") as caught:
        model.fit(x, y, epochs=3, verbose=0, callbacks=[Figures(directory=tmp_path)])

    assert len(caught) == 1
    assert list(tmp_path.iterdir()) == []


def test_one_hot_labels_and_logits_of_one_output_are_classes():
    logits = np.array([[-2.0], [0.3], [1.0]])

    found = classify(np.zeros((3, 1)), np.array([[0], [1], [0]]), logits, 0.0, None)
    one_hot = classify(np.zeros((2, 1)), np.eye(3)[[2, 0]], np.eye(3)[[1, 0]], 0.5, None)

    assert found.predicted.tolist() == [0, 1, 1]
    assert found.labels.tolist() == [0, 1, 0]
    assert one_hot.labels.tolist() == [2, 0]
    assert one_hot.predicted.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "outputs", "names", "message"),
    [
        (
            [0.3, 1.2],
            [0.1, 0.2],
            None,
            r"y must be classes in \[0, 2\) or one-hot, got values from 0.3 to 1.2",
        ),
        ([0, 4], np.eye(3)[:2], None, r"y must be classes in \[0, 3\) or one-hot, got values from 0 to 4"),
        (
            [0, 1],
            np.zeros((2, 3, 4)),
            None,
            r"model.predict must return shape \(2, classes\), got \(2, 3, 4\)",
        ),
        ([0, 1], np.eye(3)[:2], ["a", "b"], "class_names must be 3 names, got 2"),
    ],
)
def test_refuses_what_is_no_classification(y, outputs, names, message):
    with pytest.raises(ValueError, match=message):
        classify(np.zeros((2, 1)), np.array(y), np.array(outputs), 0.5, names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": "rocs"}, "kinds must be one of .*did you mean 'roc'"),
        ({"freq": 0}, "freq must be an integer >= 1"),
        ({"x": [1.0]}, "x and y must be given together, got x alone"),
    ],
)
def test_refuses_invalid_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Figures(**options)
    with pytest.raises(TypeError, match="writer must be a function or None"):
        Figures(writer=object())
