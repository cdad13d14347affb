"""The event files as TensorBoard reads them: its reader, and the HTTP API of its server."""

import re
import struct
import time
import warnings

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard

from onstage import Sequential, layers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PATIENCE = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train twice with one instance; return the directory, the model and the histories."""
    log_dir = tmp_path_factory.mktemp("logs") / "one"
    log_dir.mkdir()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (64, 3))
    y = (x.sum(axis=1) > 6).astype("int64")
    model = Sequential(
        [
            layers.Embedding(5, 4, name="words"),
            layers.Flatten(),
            layers.Dense(6, activation="relu", name="hidden"),
            layers.Dense(2, activation="softmax", name="out"),
        ],
        seed=0,
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    board = TensorBoard(
        log_dir,
        histogram_freq=1,
        write_images=True,
        update_freq=1,
        embeddings_freq=1,
        embeddings_metadata="words.tsv",
        profile_batch=2,
        hparams={"rate": 0.001, "kind": "small"},
    )
    (log_dir / "words.tsv").write_text("a\nb\nc\nd\ne\n")
    options = {"batch_size": 16, "epochs": 2, "validation_data": (x, y), "verbose": 0, "callbacks": [board]}
    return log_dir, model, [model.fit(x, y, **options).history for _ in range(2)]


@pytest.fixture(scope="module")
def server(trained, tensorboard_server):
    return tensorboard_server(trained[0].parent)


def read(folder):
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    reader.Reload()
    return reader


def curve(reader, tag):
    return [(point.step, point.value) for point in reader.Scalars(tag)]


def test_its_reader_finds_the_curves_with_the_values_of_the_history(trained):
    log_dir, _, (first, second) = trained

    train, validation = read(log_dir / "train"), read(log_dir / "validation")

    losses = [*first["loss"], *second["loss"]]
    assert curve(train, "epoch_loss") == [(n, pytest.approx(loss)) for n, loss in enumerate(losses)]
    losses = [*first["val_loss"], *second["val_loss"]]
    assert curve(validation, "epoch_loss") == [(n, pytest.approx(loss)) for n, loss in enumerate(losses)]
    assert curve(validation, "evaluation_loss_vs_iterations") == [
        (4 * (n + 1), pytest.approx(loss)) for n, loss in enumerate(losses)
    ]
    assert [step for step, _ in curve(train, "batch_loss")] == list(range(1, 17))
    # The last running mean of an epoch is the value of the epoch.
    assert curve(train, "batch_accuracy")[3][1] == pytest.approx(first["accuracy"][0])
    assert curve(train, "epoch_learning_rate") == [(n, pytest.approx(0.001)) for n in range(4)]


def test_its_reader_finds_histograms_and_images_of_every_weight(trained):
    log_dir, model, _ = trained

    train = read(log_dir / "train")

    names = [f"{model.name}/{layer.name}/{weight.name}" for layer in model.layers for weight in layer.weights]
    assert set(train.Tags()["histograms"]) == {f"{name}/histogram" for name in names}
    images = {name if "bias" not in name else name.replace("/", "_vectors/", 1) for name in names}
    assert set(train.Tags()["images"]) == {f"{name}/image" for name in images}
    last = train.Histograms(f"{model.name}/hidden/kernel/histogram")[-1]
    kernel = model.layers[2].weights[0].value
    assert last.step == 3
    assert last.histogram_value.num == kernel.size
    assert last.histogram_value.min == kernel.min()
    assert last.histogram_value.max == kernel.max()
    assert last.histogram_value.sum == pytest.approx(kernel.sum(dtype="float64"))


def test_the_server_has_the_curves(trained, server):
    _, _, (first, second) = trained

    tags = server.wait_for(
        "data/plugin/scalars/tags",
        lambda runs: all("epoch_loss" in runs.get(run, {}) for run in ("one/train", "one/validation")),
    )

    assert set(tags) == {"one/train", "one/validation"}
    points = server.get("data/plugin/scalars/scalars", run="one/validation", tag="epoch_accuracy")
    expected = [*first["val_accuracy"], *second["val_accuracy"]]
    assert [(step, value) for _, step, value in points] == [
        (n, pytest.approx(value)) for n, value in enumerate(expected)
    ]


def test_the_server_has_the_histograms(trained, server):
    _, model, _ = trained
    kernel = model.layers[2].weights[0].value

    histograms = server.get(
        "data/plugin/histograms/histograms", run="one/train", tag=f"{model.name}/hidden/kernel/histogram"
    )

    assert [step for _, step, _ in histograms] == [0, 1, 2, 3]
    counts, edges = np.histogram(kernel, 30)
    buckets = np.array(histograms[-1][2])
    np.testing.assert_allclose(buckets[:, 0], edges[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(buckets[:, 1], edges[1:], rtol=1e-5, atol=1e-6)
    assert buckets[:, 2].tolist() == counts.tolist()


def test_the_server_has_the_images(trained, server):
    _, model, _ = trained

    images = server.get(
        "data/plugin/images/images", run="one/train", tag=f"{model.name}/hidden/kernel/image", sample=0
    )

    assert [image["step"] for image in images] == [0, 1, 2, 3]
    png = server.read("data/plugin/images/individualImage?" + images[-1]["query"])
    assert png.startswith(b"\x89PNG\r\n")
    assert struct.unpack_from(">II", png, 16) == (12, 6)


def test_the_server_draws_the_graph_that_the_tab_opens_on(trained, server):
    graph = server.get("data/plugin/graphs/graph", run="one/train", conceptual="false").decode()

    assert re.findall(r'name: "(.*?)"', graph) == ["words", "flatten", "hidden", "out"]
    assert re.findall(r'input: "(.*?)"', graph) == ["words", "flatten", "hidden"]
    assert re.findall(r'op: "(.*?)"', graph) == ["Embedding", "Flatten", "Dense", "Dense"]


def test_the_server_draws_the_conceptual_graph(trained, server):
    _, model, _ = trained

    graph = server.get("data/plugin/graphs/graph", run="one/train", tag="keras", conceptual="true").decode()

    assert re.findall(r'name: "(.*?)"', graph) == [f"{model.name}/{layer.name}" for layer in model.layers]
    assert re.findall(r'input: "(.*?)"', graph) == [
        f"{model.name}/{layer.name}" for layer in model.layers[:-1]
    ]


def test_the_server_has_the_texts(trained, server):
    tags = server.get("data/plugin/text/tags")

    assert set(tags["one/train"]) == {"model/text_summary", "profile_batch/text_summary"}
    (entry,) = server.get("data/plugin/text/text", run="one/train", tag="model/text_summary")
    assert "<td>sequential/hidden/kernel</td>" in entry["text"].replace(" ", "").replace("\n", "")


def test_the_server_has_the_hyperparameters_and_their_metrics(trained, server):
    def experiment():
        return server.read("data/plugin/hparams/experiment", b'{"hparamsLimit": 0}')

    deadline = time.monotonic() + PATIENCE
    while not (found := experiment()).get("hparamInfos") and time.monotonic() < deadline:
        time.sleep(0.2)

    assert {info["name"] for info in found["hparamInfos"]} == {"rate", "kind"}
    metrics = {(info["name"]["group"], info["name"]["tag"]) for info in found["metricInfos"]}
    # Found if the server watches the parent directory, where trainings are compared.
    assert {("train", "epoch_loss"), ("validation", "epoch_accuracy")} <= metrics


def test_the_server_has_the_embeddings(trained, server):
    _, model, _ = trained
    table = model.layers[0].weights[0].value

    info = server.get("data/plugin/projector/info", run="one/train")
    tensor = server.get("data/plugin/projector/tensor", run="one/train", name="words")
    labels = server.get("data/plugin/projector/metadata", run="one/train", name="words")

    assert info["embeddings"][0]["tensorShape"] == [5, 4]
    assert np.array_equal(np.frombuffer(tensor, np.float32).reshape(5, 4), table)
    assert labels.decode().split() == ["a", "b", "c", "d", "e"]
