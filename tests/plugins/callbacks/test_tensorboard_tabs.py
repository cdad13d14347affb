"""Look at every tab of TensorBoard in Chromium, with the files of a training.

``ONSTAGE_SCREENSHOTS=FOLDER pytest tests/plugins/callbacks/test_tensorboard_tabs.py``
keeps a picture of each tab.
"""

import importlib.util
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard

from onstage import Callback, Sequential, layers

if importlib.util.find_spec("tensorboard") is None:
    pytest.skip("needs tensorboard", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)
pyplot = pytest.importorskip("matplotlib.pyplot")
pytest.importorskip("PIL")

from selenium.common.exceptions import TimeoutException  # noqa: E402  # if it is there
from selenium.webdriver.chrome.service import Service  # noqa: E402  # if it is there
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --no-proxy-server
    --disable-background-networking --disable-component-update --disable-sync --window-size=1400,1600"""
PATIENCE = 60

# The text that a person sees, also in shadow roots, and the elements that match a selector.
EVERYTHING = """
    function* every(node) {
        yield node;
        if (node.shadowRoot) yield* every(node.shadowRoot);
        for (const child of node.children || []) yield* every(child);
    }
    const shown = [...every(document.body)].filter(e => e.getClientRects && e.getClientRects().length);
"""
TEXTS = (
    EVERYTHING
    + """
    const own = e => [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent.trim());
    return shown.flatMap(own).filter(text => text);
"""
)
MATCHES = EVERYTHING + "return shown.filter(e => e.matches(arguments[0])).length;"
SIZES = (
    EVERYTHING
    + """
    return shown.filter(e => e.matches("img")).map(e => [e.naturalWidth, e.naturalHeight, e.clientHeight]);
"""
)
MARKUP = '<img src=x onerror="document.title=1">'


class Draws(Callback):
    """Writes into the runs of a TensorBoard."""

    def __init__(self, board, x, y):
        self.board, self.x, self.y = board, x, y

    def on_epoch_end(self, epoch, logs):
        logs[MARKUP] = 1.0
        figure, axes = pyplot.subplots(figsize=(3, 2))
        axes.plot([0, 1, 0])
        self.board.writer.add_figure("x_figure", figure, epoch)
        layout = {"both": {"losses": ["Multiline", ["batch_loss", "epoch_loss"]]}}
        self.board.writer.add_custom_scalars(layout)
        self.board.writer.add_text("a_note", "words of **another** callback", epoch)
        predicted = self.model.predict(self.x, verbose=0)[:, 1]
        self.board.validation_writer.add_pr_curve("of_ones", self.y, predicted, epoch)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory):
    """Train two models below one directory, as the README recommends, and return it."""
    parent = tmp_path_factory.mktemp("logs")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (64, 3))
    y = (x.sum(axis=1) > 6).astype("int64")
    for name, units in (("small", 6), ("large", 24)):
        model = Sequential(
            [
                layers.Embedding(5, 4, name="words"),
                layers.Flatten(name="flatten"),
                layers.Dense(units, activation="relu", name="hidden"),
                layers.Dense(2, activation="softmax", name="out"),
            ],
            seed=0,
        )
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        (parent / name).mkdir()
        (parent / name / "words.tsv").write_text("ape\nbee\ncow\ndog\nelk\n")
        board = TensorBoard(
            parent / name,
            histogram_freq=1,
            write_images=True,
            update_freq=1,
            embeddings_freq=1,
            embeddings_metadata="words.tsv",
            profile_batch=2,
            hparams={"units": units, "kind": name},
        )
        callbacks = [Draws(board, x, y), board]
        model.fit(x, y, batch_size=16, epochs=3, validation_data=(x, y), verbose=0, callbacks=callbacks)
    return parent


class Page:
    """TensorBoard's page in a headless browser."""

    def __init__(self, url, profile):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # selenium's own
            self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.url = url

    def open(self, tab):
        """Load the page anew at a tab."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}#{tab}")
        return self

    def wait_for(self, ready):
        """Wait until a function of this page is true."""
        try:
            WebDriverWait(self.driver, PATIENCE).until(lambda _: ready(self))
        except TimeoutException:
            raise AssertionError(self.texts()) from None

    def texts(self):
        return self.driver.execute_script(TEXTS)

    def shows(self, *texts):
        """Wait until all texts are on the page."""
        self.wait_for(lambda page: set(texts) <= set(page.texts()))

    def count(self, selector):
        return self.driver.execute_script(MATCHES, selector)

    def images(self):
        """Return the width, height and height on the page of all images."""
        return self.driver.execute_script(SIZES)

    def keep(self, name):
        """Save a picture, if the user wants to see it."""
        if folder := os.environ.get("ONSTAGE_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder, f"{name}.png")))


@pytest.fixture(scope="module")
def page(log_dir, tensorboard_server, tmp_path_factory):
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    shown = Page(tensorboard_server(log_dir).url, tmp_path_factory.mktemp("profile"))
    yield shown
    shown.driver.quit()


def test_the_time_series_tab_has_the_curves_and_runs(page):
    page.open("timeseries").shows("batch_accuracy", "batch_loss", "large/train", "small/validation")
    page.wait_for(lambda page: page.count("line-chart") >= 2)
    page.keep("timeseries")


def test_the_scalars_tab_draws_the_curves(page):
    page.open("scalars").shows("batch_accuracy", "epoch_loss")
    page.wait_for(lambda page: page.count("vz-line-chart2") == 2 and page.count("path") > 25)
    page.keep("scalars")


def test_markup_in_the_name_of_a_metric_is_text(page):
    page.open("timeseries").shows("batch_loss")
    page.open("scalars").shows("epoch_accuracy")

    assert page.driver.title == "TensorBoard"


def test_the_graphs_tab_opens_on_the_layers(page):
    page.open("graphs").shows("words", "flatten", "hidden", "out", "Main Graph")
    page.keep("graphs")

    assert not [text for text in page.texts() if "Malformed" in text]
    assert page.count("ellipse") == 4


def test_the_images_tab_has_kernels_first_and_small_vectors(page):
    page.open("images").shows("sequential/hidden/kernel/image", "sequential_vectors/hidden/bias/image")
    # Of each training: two kernels and the embeddings, then two vectors.
    page.wait_for(lambda page: len(page.images()) == 2 * (3 + 2))
    page.keep("images")

    groups = [text for text in page.texts() if text in ("sequential", "sequential_vectors", "x_figure")]
    assert groups == ["sequential", "sequential_vectors", "x_figure"]
    kernels, vectors = page.images()[:6], page.images()[6:]
    assert {(width, height) for width, height, _ in kernels} == {(24, 12), (12, 6), (24, 2), (6, 2), (5, 4)}
    assert {(width, height) for width, height, _ in vectors} == {(24, 1), (6, 1), (2, 1)}
    assert max(shown for _, _, shown in vectors) <= max(shown for _, _, shown in kernels)


def test_the_histograms_tab_draws_every_weight(page):
    page.open("histograms").shows("sequential/hidden/kernel/histogram", "sequential/out/bias/histogram")
    page.wait_for(lambda page: page.count("vz-histogram-timeseries") >= 8 and page.count("path") > 25)
    page.keep("histograms")


def test_the_distributions_tab_draws_every_weight(page):
    page.open("distributions").shows("sequential/hidden/kernel/histogram")
    page.wait_for(lambda page: page.count("vz-distribution-chart") >= 8 and page.count("path") > 25)
    page.keep("distributions")


def test_the_text_tab_has_the_model_the_profile_and_the_words_of_another_callback(page):
    page.open("text").shows("model/text_summary", "sequential/hidden/kernel", "12 x 24", "another")
    page.keep("text")

    assert {"a_note", "model", "profile_batch"} <= set(page.texts())


def test_the_pr_curves_tab_draws_the_curve_of_another_callback(page):
    page.open("pr_curves").shows("of_ones", "large/validation", "small/validation")
    page.wait_for(lambda page: page.count("vz-line-chart2") == 1)
    page.wait_for(lambda page: any("large/validation is at" in text for text in page.texts()))
    page.keep("pr_curves")


def test_the_custom_scalars_tab_has_the_layout_of_another_callback(page):
    page.open("custom_scalars").shows("both", "losses")
    page.wait_for(lambda page: page.count("vz-line-chart2") == 1)
    page.keep("custom_scalars")


def test_the_hparams_tab_compares_the_trainings_by_their_metrics(page):
    page.open("hparams").shows("units", "kind", "24.000", "6.0000", "train.epoch_loss")
    page.keep("hparams")


def test_the_projector_finds_the_embeddings_below_the_parent_directory(page):
    page.open("projector")
    for _ in range(2):  # the tab is a page in a page
        page.wait_for(lambda page: page.count("iframe"))
        page.driver.switch_to.frame(0)

    # Five words in four dimensions, of both trainings.
    page.wait_for(lambda page: re.search(r"Points: *5.*Dimension: *4", " ".join(page.texts())))
    page.keep("projector")

    assert "2 runs found" in page.texts()
