"""Keras's files without Keras: what is written, and hostile ones, which load or are refused."""

import builtins
import io
import json
import os
import zipfile

import numpy as np
import pytest

from onstage import Sequential, load_model
from onstage.errors import StateError
from onstage.nn import activations, initializers
from onstage.nn.layers import Activation, BatchNormalization, Dense, Embedding, Input
from onstage.nn.optimizers import SGD, Adam, Optimizer

h5py = pytest.importorskip("h5py")


def small():
    model = Sequential([Input((4,)), Dense(3, "relu"), BatchNormalization(), Dense(1)], seed=0)
    model.compile(Adam(0.1), "mse", ["mae"])
    model.train_on_batch(np.ones((2, 4)), np.zeros((2, 1)))
    return model


@pytest.fixture
def model():
    return small()


# -- what is written


def test_a_file_can_be_compared_with_another_by_its_bytes(tmp_path, model):
    for name in ("a", "b"):
        model.save(tmp_path / f"{name}.keras")
        model.save_weights(tmp_path / f"{name}.weights.h5")

    for suffix in (".keras", ".weights.h5"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_weights_are_in_groups_by_class_of_layer(tmp_path, model):
    model.save_weights(tmp_path / "a.weights.h5")

    with h5py.File(tmp_path / "a.weights.h5") as file:
        found = {}
        file.visititems(lambda path, item: found.update({path: getattr(item, "shape", None)}))
        np.testing.assert_array_equal(file["layers/dense_1/vars/0"], model.get_weights()[6])
        assert file["layers/dense_1/vars"].attrs["name"] == "dense_1"
    arrays = {path: shape for path, shape in found.items() if shape is not None}
    assert arrays == {
        "layers/dense/vars/0": (4, 3),
        "layers/dense/vars/1": (3,),
        **{f"layers/batch_normalization/vars/{number}": (3,) for number in range(4)},
        "layers/dense_1/vars/0": (3, 1),
        "layers/dense_1/vars/1": (1,),
    }


def test_the_means_of_adam_are_those_of_its_paper(tmp_path):
    model = Sequential([Input((1,)), Dense(1, use_bias=False)])
    model.compile(Adam(0.1, beta_1=0.5, beta_2=0.75), "mse")
    model.set_weights([np.ones((1, 1))])
    model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))  # its gradient is 2

    model.save(tmp_path / "a.keras")

    with (
        zipfile.ZipFile(tmp_path / "a.keras") as archive,
        h5py.File(archive.open("model.weights.h5")) as file,
    ):
        variables = [file[f"optimizer/vars/{number}"][()] for number in range(4)]
    assert np.ravel(variables[:2]).tolist() == [1, np.float32(0.1)]
    assert np.ravel(variables[2:]).tolist() == [0.5 * 2, 0.25 * 4]


def test_a_failed_write_leaves_the_older_file(tmp_path, model, monkeypatch):
    model.save(tmp_path / "a.keras")
    before = (tmp_path / "a.keras").read_bytes()
    model.set_weights([each * 0 for each in model.get_weights()])

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        model.save(tmp_path / "a.keras")

    assert (tmp_path / "a.keras").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]


def test_an_existing_file_is_kept_without_overwrite(tmp_path, model):
    model.save(tmp_path / "a.keras")

    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        model.save(tmp_path / "a.keras", overwrite=False)


def test_the_suffix_must_be_that_of_the_method(tmp_path, model):
    with pytest.raises(ValueError, match=r"must end with '\.keras' for save in Keras's format"):
        model.save(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"must end with '\.weights\.h5' for save_weights in Keras's format"):
        model.save_weights(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=r"must not end with '\.h5'"):
        model.save_weights(tmp_path / "weights.h5")
    assert not list(tmp_path.iterdir())


class Own(Optimizer):
    def __init__(self, learning_rate=0.1, **options):
        super().__init__(learning_rate, **options)

    def update(self, block, constants):
        block.weights[:] -= block.gradients


@pytest.mark.parametrize(
    ("layer", "optimizer", "message"),
    [
        (
            Dense(1),
            Own(),
            "optimizer must be SGD, RMSprop, Adam, AdamW or Adagrad in a file of Keras, got Own",
        ),
        (
            Dense(1, activations.GELU(approximate=True)),
            SGD(),
            "activation GELU must have its default arguments",
        ),
    ],
)
def test_what_keras_lacks_is_refused_with_the_remedy(tmp_path, layer, optimizer, message):
    model = Sequential([Input((2,)), layer])
    model.compile(optimizer, "mse")

    for refuses in (model.save, model.snapshot_writer):
        with pytest.raises(ValueError, match=f"{message}.*save without the suffix '.keras' instead"):
            refuses(tmp_path / "a.keras")
    model.save(tmp_path / "a")


def test_without_h5py_the_remedy_is_named(tmp_path, model, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest)

    model.save(tmp_path / "a.keras")
    monkeypatch.setattr(builtins, "__import__", without)

    calls = [model.save, model.load_weights, load_model]
    for call in (*calls, model.snapshot_writer):
        with pytest.raises(ImportError, match=r"files of Keras need h5py; pip install 'onstage\[keras\]'"):
            call(tmp_path / "a.keras")
    model.save(tmp_path / "a")


def test_a_file_is_known_by_its_content_whatever_its_suffix(tmp_path, model):
    model.save(tmp_path / "a.keras")
    os.rename(tmp_path / "a.keras", tmp_path / "model")
    model.save(tmp_path / "a")
    os.rename(tmp_path / "a", tmp_path / "a.keras")

    for name in ("model", "a.keras"):
        loaded = load_model(tmp_path / name)
        for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


# -- hostile archives


def archive(path, model, *, config=None, weights=None, compression=zipfile.ZIP_STORED, without=()):
    """Write a ``.keras`` file of a model, with parts replaced."""
    model.save(path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist() if name not in without}
    if config is not None:
        tree = json.loads(parts["config.json"])
        config(tree)
        parts["config.json"] = json.dumps(tree).encode()
    if weights is not None:
        parts["model.weights.h5"] = weights(parts["model.weights.h5"])
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def changed(change):
    """Return a function of the bytes of an HDF5 file that changes it."""

    def function(content):
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            change(file)
        return buffer.getvalue()

    return function


def layer(tree, number=1):
    return tree["config"]["layers"][number]


CONFIGS = [
    (lambda t: layer(t)["config"].update(units=2**40), "more than the file holds"),
    (lambda t: layer(t)["config"].update(units=10**9), "more than the file holds"),
    (lambda t: layer(t, 0)["config"].update(batch_shape=[None, 10**9]), "more than the file holds"),
    (
        lambda t: layer(t)["config"].update(units=5),
        r"the layer 'dense' must have weights of the shapes \[\(4, 5\)",
    ),
    (
        lambda t: layer(t).update(class_name="Lambda", config={"name": "a", "function": "x"}),
        "layer must be one of",
    ),
    (lambda t: layer(t).update(module="os", class_name="system"), "layer must be one of .*, got 'system'"),
    (lambda t: layer(t).update(class_name="Layer", config={}), "layer must be one of"),
    (lambda t: layer(t).update(class_name="__lambda__"), "layer must be one of"),
    (lambda t: layer(t)["config"].update(activation={"class_name": "function", "config": "eval"}), "'eval'"),
    (lambda t: layer(t)["config"].update(new_option=1), "Dense must have new_option=None, got 1"),
    (lambda t: t["config"].update(layers=t["config"]["layers"] * 2_001), "at most 2,000 layers"),
    (lambda t: t["config"].update(layers=[]), "cannot be loaded"),
    (lambda t: t["config"].pop("layers"), "cannot be loaded: 'layers'"),
    (lambda t: t.pop("config"), "cannot be loaded: 'config'"),
    (lambda t: t["compile_config"].update(loss={"class_name": "os", "config": {}}), "loss must be one of"),
    (lambda t: t["compile_config"]["optimizer"].update(class_name="Own"), "optimizer must be one of"),
    (
        lambda t: t["compile_config"]["optimizer"]["config"].update(amsgrad=True),
        "optimizer's variables must be",
    ),
    (lambda t: t["compile_config"]["optimizer"]["config"].update(learning_rate="x"), "learning_rate must be"),
]


@pytest.mark.parametrize(("config", "message"), CONFIGS)
def test_a_hostile_configuration_is_refused(tmp_path, model, config, message):
    path = archive(tmp_path / "a.keras", model, config=config)

    with pytest.raises(StateError, match=message):
        load_model(path)


def test_a_configuration_nested_without_end_is_refused(tmp_path, model):
    path = archive(tmp_path / "a.keras", model)
    with zipfile.ZipFile(path) as file:
        weights = file.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", b"[" * 100_000)
        file.writestr("model.weights.h5", weights)

    with pytest.raises(StateError, match="its archive is damaged"):
        load_model(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path, model):
    bomb = archive(
        tmp_path / "a.keras",
        model,
        weights=lambda content: bytes(50_000_000),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert bomb.stat().st_size < 100_000

    with pytest.raises(StateError, match="must be stored uncompressed in it"):
        load_model(bomb)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_a_missing_part_is_named(tmp_path, model, name):
    path = archive(tmp_path / "a.keras", model, without=[name])

    with pytest.raises(StateError, match=f"its archive is damaged: .*{name}"):
        load_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_truncated_file_is_refused(tmp_path, model, suffix):
    path = tmp_path / f"a{suffix}"
    (model.save if suffix == ".keras" else model.save_weights)(path)
    content = path.read_bytes()

    for size in range(9, len(content) - 1, len(content) // 40):
        path.write_bytes(content[:size])
        with pytest.raises(StateError, match="damaged"):
            model.load_weights(path)


def test_a_changed_bit_in_an_archive_is_noticed(tmp_path, model):
    path = tmp_path / "a.keras"
    model.save(path)
    content = bytearray(path.read_bytes())
    at = content.index(model.get_weights()[0].tobytes())
    content[at] ^= 1
    path.write_bytes(content)

    with pytest.raises(StateError, match="its archive is damaged: Bad CRC-32"):
        load_model(path)


# -- hostile HDF5

KERNEL = "layers/dense/vars/0"


def replaced(create):
    """Replace the first kernel by what a function creates under its name in its group."""

    def change(file):
        del file[KERNEL]
        create(file, file["layers/dense/vars"])

    return changed(change)


def virtual(file, group):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3), "f4")
    group.create_virtual_dataset("0", layout)


def external(file, group):
    group.create_dataset("0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def never_written(file, group):
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000))


HDF5 = [
    (
        replaced(lambda f, g: g.update({"0": h5py.ExternalLink("/etc/passwd", "/x")})),
        "'0' in .* must be part of the file",
    ),
    (
        replaced(lambda f, g: g.update({"0": h5py.SoftLink("/layers/dense/vars/1")})),
        "'0' in .* must be part of the file",
    ),
    (replaced(external), "must be an uncompressed array of numbers within the file"),
    (replaced(virtual), "must be an uncompressed array of numbers within the file"),
    (replaced(never_written), "needs 4,000,000,000,000 bytes, but the file holds fewer"),
    (
        replaced(lambda f, g: g.create_dataset("0", data=np.zeros((4, 3), "f4"), compression="gzip")),
        "must be an uncompressed array",
    ),
    (
        replaced(lambda f, g: g.create_dataset("0", data=np.zeros((4, 3), "S4"))),
        "must be an uncompressed array of num",
    ),
    (
        replaced(lambda f, g: g.create_dataset("0", data=["x"] * 3)),
        "must be an uncompressed array of numbers",
    ),
    (
        replaced(lambda f, g: g.create_dataset("0", data=np.zeros((4, 4)))),
        r"'dense' must have weights of the shapes",
    ),
    (replaced(lambda f, g: g.create_dataset("0", dtype="f4")), "must be an uncompressed array of numbers"),
    (replaced(lambda f, g: g.create_group("0")), "must be a dataset, got a Group"),
    (replaced(lambda f, g: None), "'0' in '/layers/dense/vars' must be part of the file"),
    (changed(lambda f: f.pop("layers")), r"'dense' must have weights of the shapes .*, got \[\]"),
    (
        changed(lambda f: f.update({"layers/dense/vars/2": np.zeros(3)})),
        r"'dense' must have weights of the shapes",
    ),
    (lambda content: b"\x89HDF\r\n\x1a\n" + bytes(200), "its HDF5 content is damaged"),
    (lambda content: b"", "its HDF5 content is damaged"),
]


@pytest.mark.parametrize(("weights", "message"), HDF5)
def test_hostile_hdf5_is_refused_and_changes_nothing(tmp_path, model, weights, message):
    path = archive(tmp_path / "a.keras", model, weights=weights)
    before = model.get_weights()

    for load in (load_model, model.load_weights):
        with pytest.raises(StateError, match=message):
            load(path)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_array_under_many_names_counts_each_time(tmp_path):
    layers = [Dense(100, use_bias=False) for _ in range(20)]
    model = Sequential([Input((100,)), *layers])
    model.save_weights(tmp_path / "a.weights.h5")

    with h5py.File(tmp_path / "b.weights.h5", "w") as file:
        first = file.create_dataset("layers/dense/vars/0", data=np.zeros((100, 100), "f4"))
        for number in range(1, 20):
            file.create_group(f"layers/dense_{number}/vars")["0"] = first

    with pytest.raises(StateError, match="its arrays are larger than the file"):
        model.load_weights(tmp_path / "b.weights.h5")


def test_weights_alone_make_no_model(tmp_path, model):
    model.save_weights(tmp_path / "a.weights.h5")

    with pytest.raises(
        StateError, match="it is HDF5, which holds weights alone; make the model, then call load_weights"
    ):
        load_model(tmp_path / "a.weights.h5")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.keras")

    with pytest.raises(StateError, match="must be a regular file"):
        load_model(tmp_path / "a.keras")


def test_weights_of_integers_and_of_other_precisions_are_converted(tmp_path):
    model = Sequential([Input((2,)), Embedding(3, 2), Activation("relu")])
    model.save_weights(tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file["layers/embedding/vars/0"]
        file["layers/embedding/vars/0"] = np.arange(6, dtype="i8").reshape(3, 2)

    model.load_weights(tmp_path / "a.weights.h5")

    assert model.get_weights()[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert model.get_weights()[0].dtype == np.float32


def test_an_initializer_that_is_no_configuration_cannot_be_saved(tmp_path):
    kernel = initializers.FromArray(np.ones((2, 1)))
    model = Sequential([Input((2,)), Dense(1, kernel_initializer=kernel)])

    with pytest.raises(TypeError, match="initializer is an array and cannot be saved"):
        model.save(tmp_path / "a.keras")
