import numpy as np
import pytest

from onstage import Sequential, layers, optimizers
from onstage.callbacks import GradientMonitor
from onstage.testing import check_callback

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")


def linear(rate=0.1):
    """A linear model, whose gradients have a closed form."""
    model = Sequential([layers.Dense(1, name="out")], seed=0)
    model.compile(optimizers.SGD(rate), loss="mse")
    model.build((None, 3))
    return model


def gradients(model):
    kernel, bias = model.get_weights()
    error = X @ kernel + bias - Y
    return 2 * X.T @ error / len(X), 2 * error.mean(axis=0)


def test_the_norm_is_that_of_all_gradients_together():
    model = linear()
    kernel, bias = gradients(model)

    history = model.fit(X, Y, batch_size=24, verbose=0, callbacks=[GradientMonitor(per_layer=True)])

    expected = np.sqrt((kernel**2).sum() + (bias**2).sum())
    np.testing.assert_allclose(history.history["gradient_norm"], [expected], rtol=1e-5)
    np.testing.assert_allclose(history.history["gradient_norm/out"], [expected], rtol=1e-5)


def test_the_epoch_has_the_mean_over_batches_and_each_batch_its_own():
    seen = []

    class Reads:
        def on_train_batch_end(self, logs):
            seen.append(logs["gradient_norm"])

    history = linear().fit(X, Y, batch_size=8, verbose=0, callbacks=[GradientMonitor(), Reads()])

    assert len(set(seen)) == 3
    np.testing.assert_allclose(history.history["gradient_norm"], [np.mean(seen)])


@pytest.mark.parametrize("limit", [0.1, 1e9])
def test_clipping_scales_all_gradients_by_one_factor(limit):
    model = linear()
    before, parts = model.get_weights(), gradients(model)
    norm = np.sqrt(sum((part**2).sum() for part in parts))

    model.fit(X, Y, batch_size=24, verbose=0, callbacks=[GradientMonitor(clip_norm=limit)])

    for old, new, part in zip(before, model.get_weights(), parts, strict=True):
        np.testing.assert_allclose(old - new, 0.1 * part * min(1, limit / norm), rtol=1e-4, atol=1e-7)


def test_clipping_equals_torchs_clip_grad_norm():
    torch = pytest.importorskip("torch")
    from onstage_torch import TorchModel

    def module():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))

    ours, theirs = module(), module()
    model = TorchModel(ours, torch.optim.SGD(ours.parameters(), lr=0.5), "mse_loss", device="cpu")
    history = model.fit(
        X, Y, batch_size=8, shuffle=False, epochs=2, verbose=0, callbacks=[GradientMonitor(clip_norm=0.1)]
    )
    optimizer, norms = torch.optim.SGD(theirs.parameters(), lr=0.5), []
    for _ in range(2):
        for start in range(0, 24, 8):
            optimizer.zero_grad()
            part = slice(start, start + 8)
            torch.nn.functional.mse_loss(theirs(torch.tensor(X[part])), torch.tensor(Y[part])).backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)))
            optimizer.step()

    np.testing.assert_allclose(
        history.history["gradient_norm"], np.reshape(norms, (2, 3)).mean(axis=1), rtol=1e-5
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_histograms_hold_every_gradient_of_the_last_batch():
    written = []

    class Writer:
        def add_histogram(self, tag, values, step):
            written.append((tag, len(values), step))

    writer = Writer()
    monitor = GradientMonitor(histogram_freq=2, writer=lambda: writer)

    linear().fit(X, Y, epochs=3, verbose=0, callbacks=[monitor])

    assert written == [("gradients/out", 4, 0), ("gradients/out", 4, 2)]


def test_gradients_whose_squares_overflow_have_a_norm():
    gradient = np.full(4, 1e30, np.float32)
    monitor = GradientMonitor(clip_norm=2.0)

    monitor.on_optimizer_step_begin(0, [gradient, None])

    np.testing.assert_allclose(gradient, 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_norm": 0}, "clip_norm must be"),
        ({"clip_norm": "1"}, "clip_norm must be"),
        ({"per_layer": 1}, "per_layer must be"),
        ({"histogram_freq": 1}, "histogram_freq and writer must be given together"),
        ({"writer": object()}, "histogram_freq and writer must be given together"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        GradientMonitor(**options)


def test_behaves_as_every_callback_must():
    check_callback(GradientMonitor)
