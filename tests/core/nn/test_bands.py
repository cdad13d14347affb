"""Convolutions in bands of rows: of the size that large images get, here made small."""

import os

import numpy as np
import pytest

from onstage.nn.layers import Conv1D, Conv2D, patches
from onstage.nn.layers.windows import kernel_offsets
from onstage.nn.sequential import Sequential

CASES = {
    "plain": (Conv2D(3, 3), (9, 8, 2)),
    "same": (Conv2D(3, (3, 2), padding="same"), (9, 8, 2)),
    "strides": (Conv2D(3, 3, strides=2, padding="same"), (11, 8, 2)),
    "strides larger than the window": (Conv2D(3, 2, strides=3), (14, 8, 2)),
    "dilated": (Conv2D(3, 3, dilation_rate=2), (12, 9, 2)),
    "causal": (Conv1D(3, 4, padding="causal", dilation_rate=2), (15, 2)),
    "window of one": (Conv2D(3, 1, use_bias=False), (5, 4, 2)),
    "window as large as the images": (Conv2D(3, 5, padding="same"), (4, 3, 2)),
}


def train(layer, shape):
    """Train a step; return the output before it, and the weights after."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, *shape))
    same = type(layer).from_config(layer.get_config())
    under = (Conv1D if len(shape) == 2 else Conv2D)(shape[-1], 1)  # so that the gradient of x is needed
    model = Sequential([under, same], seed=0, dtype="float64")
    model.compile("sgd", "mse")
    outputs = model.predict_on_batch(x)
    model.train_on_batch(x, rng.normal(size=outputs.shape))
    return outputs, model.get_weights()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("kept", [0, 2**20])
def test_bands_compute_the_same(case, cores, kept, monkeypatch):
    monkeypatch.setattr(patches, "KEPT_BYTES", kept)
    expected, trained = train(*CASES[case])
    monkeypatch.setattr(patches, "BAND_BYTES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores), raising=False)

    outputs, weights = train(*CASES[case])

    np.testing.assert_allclose(outputs, expected, rtol=1e-12)
    for now, before in zip(weights, trained, strict=True):
        np.testing.assert_allclose(now, before, rtol=1e-12)


def test_the_number_of_cores_does_not_change_a_bit(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.random((40, 24, 24, 8), dtype=np.float32)
    y = rng.integers(4, size=(40, 24, 24))
    monkeypatch.setattr(patches, "BAND_BYTES", 2**19)
    results = []
    for cores in (1, 2, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, n=cores: range(n), raising=False)
        model = Sequential(
            [Conv2D(8, 3, padding="same"), Conv2D(4, 3, padding="same", activation="softmax")], seed=0
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=20, epochs=2, verbose=0, seed=1)
        results.append(model.get_weights())

    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_bands_that_run_at_the_same_time_have_no_input_in_common():
    window = kernel_offsets((30, 30), (5, 5), (2, 2), (1, 1), "same")
    bands = patches.split_bands(window, (4, 15, 15, 2), 10**9, 2)

    assert len(bands) > 4
    for turn in (bands[::2], bands[1::2]):
        rows = [{row for each in band.offsets for row in range(30)[each.source[1]]} for band in turn]
        assert sum(map(len, rows)) == len(set().union(*rows))


def test_an_error_in_the_second_thread_is_raised(monkeypatch):
    from onstage.nn.execution.two_threads import share

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(2), raising=False)

    def work(part, thread):
        if thread == 1:
            raise MemoryError(part)

    with pytest.raises(MemoryError, match="b"):
        share(work, ["a", "b", "c"])
