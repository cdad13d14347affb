"""TensorBoard's histograms, images, texts, hyperparameters, embeddings and profiles."""

import io
import sys

import numpy as np
import pytest
from onstage_tensorboard import TensorBoard
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from onstage import Callback, ModelView, OnstageWarning, Run
from onstage.testing import FakeModel, replay


class Layer:
    def __init__(self, name, **weights):
        self.name = name
        self.weights = [Weight(key, value) for key, value in weights.items()]


class Weight:
    def __init__(self, name, value):
        self.name = name
        self.value = np.asarray(value)


class Embedding(Layer):
    pass


def model_of(*layers):
    model = FakeModel()
    model.name, model.layers = "net", list(layers)
    return model


class Fails(Callback):
    def on_train_batch_end(self):
        raise InterruptedError


LOGS = [
    {"loss": 0.5, "accuracy": 0.25, "val_loss": 0.75},
    {"loss": 0.25, "accuracy": 0.5, "val_loss": 0.625},
]


def test_histograms_have_30_buckets_over_the_finite_weights(tmp_path, tfevents):
    kernel = np.append(np.arange(60.0).repeat(2), [np.nan, np.inf]).astype(np.float32)
    model = model_of(Layer("dense", kernel=kernel))

    replay(TensorBoard(tmp_path, histogram_freq=2), LOGS * 2, model=model)

    histograms = [
        (step, v.histo) for tag, step, v in tfevents.values_of(tmp_path / "train") if v.HasField("histo")
    ]
    assert [step for step, _ in histograms] == [0, 2]
    histo = histograms[0][1]
    # TensorBoard's format has upper limits only: an empty bucket holds the lowest one.
    assert list(histo.bucket) == [0.0] + [4.0] * 30
    assert np.allclose(histo.bucket_limit, np.linspace(0, 59, 31))
    assert (histo.min, histo.max, histo.num, histo.sum) == (0, 59, 120, 3540)
    assert histo.sum_squares == 2 * sum(n * n for n in range(60))


def test_weights_are_named_after_model_and_layer(tmp_path, tfevents):
    model = model_of(Layer("a", kernel=np.ones((2, 2)), bias=np.ones(2)), Layer("b", kernel=np.ones(3)))

    replay(TensorBoard(tmp_path, histogram_freq=1), LOGS[:1], model=model)

    assert [tag for tag, _, value in tfevents.values_of(tmp_path / "train") if value.HasField("histo")] == [
        "net/a/kernel/histogram",
        "net/a/bias/histogram",
        "net/b/kernel/histogram",
    ]


def test_a_model_without_layers_has_numbered_weights(tmp_path, tfevents):
    replay(TensorBoard(tmp_path, histogram_freq=1), LOGS[:1], model=FakeModel())

    assert [tag for tag, _, value in tfevents.values_of(tmp_path / "train") if value.HasField("histo")] == [
        "fakemodel/weight_0/histogram",
        "fakemodel/weight_1/histogram",
    ]


def test_a_histogram_shows_the_weights_of_its_epoch(tmp_path, tfevents):
    model = FakeModel()  # each step adds 1 to every weight

    replay(TensorBoard(tmp_path, histogram_freq=1), LOGS * 20, model=model, batches=3)

    sums = [
        v.histo.sum
        for tag, _, v in tfevents.values_of(tmp_path / "train")
        if tag.endswith("weight_1/histogram")
    ]
    assert sums == [3.0 * (epoch + 1) for epoch in range(40)]


def test_a_histogram_of_the_weights_of_an_own_loop_shows_its_epoch_too(tmp_path, tfevents):
    weights = np.zeros(1000)
    view = ModelView(get_weights=lambda: [weights])

    with Run(view, [TensorBoard(tmp_path, histogram_freq=1)], epochs=20) as run:
        for _ in run.epochs():
            for _ in run.batches(range(2)):
                weights += 1  # in place, while the thread may still read those of the last epoch

    histograms = [
        value.histo.sum for _, _, value in tfevents.values_of(tmp_path / "train") if value.HasField("histo")
    ]
    assert histograms == [2000.0 * (epoch + 1) for epoch in range(20)]


def drawn(tfevents, folder, tag):
    image = tfevents.single(folder, tag).image
    picture = pytest.importorskip("PIL.Image").open(io.BytesIO(image.encoded_image_string))
    assert (image.width, image.height, image.colorspace) == (*picture.size, 3)
    red, green, blue = np.moveaxis(np.asarray(picture), -1, 0)
    assert np.array_equal(red, green)
    assert np.array_equal(red, blue)
    return red.tolist()


def test_images_run_from_black_to_white(tmp_path, tfevents):
    stack = np.zeros((2, 2, 1, 3))
    stack[..., 0, 0], stack[..., 0, 1], stack[..., 0, 2] = 1, 3, -1
    model = model_of(
        Layer(
            "a",
            vector=[-1.0, 1.0, 3.0],
            matrix=[[0.0, 5.0], [10.0, np.nan], [5.0, 5.0]],
            kernels=stack,
            equal=np.full((1, 2), 7.0),
            number=[4.0],
        )
    )

    replay(TensorBoard(tmp_path, histogram_freq=1, write_images=True), LOGS[:1], model=model)

    train = tmp_path / "train"
    assert drawn(tfevents, train, "net_vectors/a/vector/image") == [[0, 128, 255]]
    assert drawn(tfevents, train, "net/a/matrix/image") == [[0, 255, 128], [128, 0, 128]]
    assert drawn(tfevents, train, "net/a/equal/image") == [[127, 127]]
    # Three kernels of 2 x 2 in a grid of two columns, with a line between.
    assert drawn(tfevents, train, "net/a/kernels/image") == [
        [128, 128, 0, 255, 255],
        [128, 128, 0, 255, 255],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert not [tag for tag, _, _ in tfevents.values_of(train) if tag.endswith("number/image")]


def test_every_kth_row_and_column_of_a_large_matrix_is_drawn(tmp_path, tfevents):
    model = model_of(Layer("a", kernel=np.zeros((10, 2500), np.float32)))

    replay(TensorBoard(tmp_path, histogram_freq=1, write_images=True), LOGS[:1], model=model)

    assert drawn(tfevents, tmp_path / "train", "net/a/kernel/image") == [[127] * 834] * 10


def test_a_table_of_the_weights_is_in_the_text_tab(tmp_path, tfevents):
    replay(TensorBoard(tmp_path), LOGS, model=model_of(Layer("a", kernel=np.ones((200, 6)))))

    value = tfevents.single(tmp_path / "train", "model/text_summary")
    assert value.metadata.plugin_data.plugin_name == "text"
    assert "FakeModel: 1,200 weights" in value.tensor.string_val[0].decode()
    assert "| net/a/kernel | 200 x 6 | 1,200 |" in value.tensor.string_val[0].decode()


def test_hyperparameters_and_the_outcome_are_in_the_hparams_tab(tmp_path, tfevents):
    hparams = {"rate": np.float32(0.5), "layers": 3, "bias": True, "act": "relu"}

    replay(TensorBoard(tmp_path, hparams=hparams), LOGS)

    start, end = (
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for _, _, value in tfevents.values_of(tmp_path)
    )
    given = start.session_start_info.hparams
    assert given["rate"].number_value == 0.5
    assert given["layers"].number_value == 3
    assert given["bias"].bool_value is True
    assert given["act"].string_value == "relu"
    assert end.session_end_info.status == 1  # STATUS_SUCCESS


def test_a_training_that_raised_is_marked_as_failed_in_the_hparams_tab(tmp_path, tfevents):
    with pytest.raises(InterruptedError):
        replay([TensorBoard(tmp_path, update_freq=1, hparams={"n": 1}), Fails()], LOGS, batches=1)

    end = HParamsPluginData.FromString(tfevents.values_of(tmp_path)[-1][2].metadata.plugin_data.content)
    assert end.session_end_info.status == 2  # STATUS_FAILURE


def test_embeddings_are_written_as_a_table_and_a_configuration_entry(tmp_path):
    table = np.float32([[1 / 3, 2], [3, 4], [5, -6]])
    model = model_of(Embedding("words", embeddings=table), Layer("dense", kernel=np.ones((2, 2))))
    metadata = {"words": 'labels "a".tsv'}
    (tmp_path / 'labels "a".tsv').write_text("a\nb\nc\n")

    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata)
    replay(board, LOGS, model=model)

    assert metadata == {"words": 'labels "a".tsv'}, "the caller's dict is his"
    train = tmp_path / "train"  # TensorBoard reads no file outside the directory of a run
    assert (train / "projector_config.pbtxt").read_text() == (
        'embeddings {\n  tensor_name: "words"\n  tensor_path: "embeddings/words.tsv"\n'
        '  metadata_path: "embeddings/words.labels.tsv"\n}\n'
    )
    assert np.array_equal(np.loadtxt(train / "embeddings/words.tsv", dtype=np.float32), table)
    assert (train / "embeddings/words.labels.tsv").read_text() == "a\nb\nc\n"


def test_embeddings_of_an_unknown_layer_are_refused_before_training(tmp_path):
    model = model_of(Embedding("words", embeddings=np.ones((2, 2))))

    with pytest.raises(ValueError, match="got 'wrds'; did you mean 'words'"):
        replay(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"wrds": "f"}), LOGS, model=model)
    with pytest.raises(ValueError, match="without an Embedding layer"):
        replay(TensorBoard(tmp_path, embeddings_freq=1), LOGS, model=FakeModel())
    with pytest.raises(ValueError, match=r"files in log_dir, got '.*labels.tsv'; write it before training"):
        replay(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata="labels.tsv"), LOGS, model=model)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("profile_batch", [3, "3", (3, 3), "3,3"])
def test_a_profile_of_batches_is_in_the_text_tab(tmp_path, profile_batch, tfevents):
    class Slow(Callback):
        def on_train_batch_end(self, batch):
            self.busy() if batch == 2 else self.idle()

        def busy(self):
            return sum(n * n for n in range(10_000))

        def idle(self):
            return sum(n * n for n in range(10_000))

    replay([Slow(), TensorBoard(tmp_path, profile_batch=profile_batch)], LOGS, batches=4)

    (profile,) = [
        entry for entry in tfevents.values_of(tmp_path / "train") if entry[0] == "profile_batch/text_summary"
    ]
    text = profile[2].tensor.string_val[0].decode()
    assert profile[1] == 3
    assert "(busy)" in text
    assert "(idle)" not in text
    assert sys.getprofile() is None


def test_an_error_stops_the_profiler(tmp_path):
    with pytest.raises(InterruptedError):
        replay([TensorBoard(tmp_path, profile_batch=(1, 9)), Fails()], LOGS, batches=3)

    assert sys.getprofile() is None


def test_another_profiler_is_not_disturbed(tmp_path, tfevents):
    def other(*_):
        return None

    sys.setprofile(other)
    try:
        with pytest.warns(OnstageWarning, match="another profiler is active"):
            replay(TensorBoard(tmp_path, profile_batch=1), LOGS)
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)

    assert "epoch_loss" in tfevents.points(tmp_path / "train")
