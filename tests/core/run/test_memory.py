"""Training needs little memory beyond its data, and releases it."""

import gc
import os
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from onstage import Sequential, layers
from onstage.callbacks import EarlyStopping

linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")


def model_for(x, classes=10):
    model = Sequential([layers.Input(x.shape[1:]), layers.Dense(classes, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


SAMPLES, FEATURES = 200_000, 50


@pytest.fixture(scope="module")
def data():
    """Return 40 MB of x, and labels."""
    rng = np.random.default_rng(0)
    return rng.random((SAMPLES, FEATURES), np.float32), rng.integers(10, size=SAMPLES)


def peak_of(train):
    """Return the peak number of bytes that a call allocates."""
    tracemalloc.start()
    try:
        train()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"validation_split": 0.3},
        {"class_weight": {0: 2.0}},
        {"sample_weight": np.ones(SAMPLES, np.float32)},
    ],
    ids=lambda options: "+".join(options) or "shuffled",
)
def test_fit_allocates_at_most_a_tenth_of_the_data(data, options):
    x, y = data
    model = model_for(x)

    peak = peak_of(lambda: model.fit(x, y, 500, epochs=2, verbose=0, **options))

    assert peak <= 0.1 * (x.nbytes + y.nbytes)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2]])
def test_arrays_of_any_memory_order_are_not_copied(data, change):
    x, y = change(data[0]), data[1]
    assert not x.flags.c_contiguous
    model = model_for(x)

    peak = peak_of(lambda: model.fit(x, y, 500, verbose=0))

    assert peak <= 0.1 * (x.nbytes + y.nbytes)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_data_of_another_dtype_is_cast_batch_by_batch(data, dtype):
    x, y = data[0].astype(dtype), data[1]
    model = model_for(x)

    peak = peak_of(lambda: model.fit(x, y, 500, verbose=0, shuffle=False))

    assert peak <= 0.1 * (x.nbytes + y.nbytes)


LIMITED = """
    import resource, sys
    import numpy as np
    from onstage import Sequential, layers

    features = 256
    model = Sequential([layers.Input((features,)), layers.Dense(10, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    # BLAS allocates its buffers once, on some processors only for large products.
    model.fit(np.ones((2048, features)), np.ones(2048, int), 1024, validation_split=0.5, verbose=0)

    # 16 MB above the memory in use now.
    (taken,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData")]
    limit = int(taken) * 1024 + 16 * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    rows = 4 * limit // (4 * features)
    np.memmap("x.bin", np.float32, "w+", shape=(rows, features))  # a sparse file uses no disk space
    x = np.memmap("x.bin", np.float32, "r", shape=(rows, features))
    y = np.memmap("y.bin", np.uint8, "w+", shape=rows)
    assert x.nbytes >= 4 * limit > limit

    try:
        np.array(x)
    except MemoryError:
        print("a copy does not fit")
    history = model.fit(x, y, 1024, verbose=0, validation_split=0.1)
    print(sorted(history.history))
"""


@linux
def test_fit_trains_on_a_memmap_four_times_larger_than_the_memory_limit(tmp_path):
    # RLIMIT_DATA limits allocated memory. RLIMIT_AS would also count the mapped
    # file, which uses addresses but no memory.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED)],
        cwd=tmp_path,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "a copy does not fit",
        "['accuracy', 'loss', 'val_accuracy', 'val_loss']",
    ], done.stderr


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@linux
@pytest.mark.parametrize("new_models", [False, True], ids=["one model", "a new model each"])
def test_a_thousand_trainings_leak_no_memory(new_models):
    x, y = np.ones((8, 3), np.float32), np.zeros(8, np.int64)
    model = model_for(x, 2)
    stopping = EarlyStopping("loss", restore_best_weights=True)

    def train(times):
        for _ in range(times):
            trained = model_for(x, 2) if new_models else model
            trained.fit(x, y, verbose=0, callbacks=stopping)
        gc.collect()
        return len(gc.get_objects()), resident()

    objects, memory = train(100)

    objects_after, memory_after = train(1000)

    # One leaked object per training would be 1 000.
    assert objects_after - objects < 50
    # The collector does not count arrays: 4 kB leaked per training would be 4 MB.
    assert memory_after - memory < 4 * 2**20
