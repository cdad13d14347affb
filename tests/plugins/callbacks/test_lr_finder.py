import numpy as np
import pytest

import onstage
from onstage import Sequential, layers, optimizers
from onstage.callbacks import LRFinder
from onstage.testing import FakeModel, check_callback, replay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5], [0.0]]).astype("float32")


def model():
    made = Sequential([layers.Dense(8, activation="tanh"), layers.Dense(1)], seed=0)
    made.compile(optimizers.Adam(0.003), loss="mse")
    made.fit(X, Y, epochs=1, seed=0, verbose=0)
    return made


def test_the_rates_are_equally_spaced_on_a_log_scale():
    finder = LRFinder(1e-4, 1e-1, steps=7, smoothing=0)

    result = replay(finder, [{"loss": 1.0}] * 10, model=FakeModel(0.5))

    np.testing.assert_allclose(finder.rates, np.geomspace(1e-4, 1e-1, 7))
    assert result.epochs_run == 7
    assert result.stop_reason == "the range test ended after 7 batches"
    assert result.model.learning_rate == 0.5


def test_the_losses_are_an_exponential_mean_without_bias():
    losses = [4.0, 2.0, 1.0, 3.0, 2.0]
    finder = LRFinder(steps=5, smoothing=0.9)

    replay(finder, [{"loss": loss} for loss in losses])

    weights = 0.9 ** np.arange(5)[::-1]
    np.testing.assert_allclose(finder.losses[-1], (weights * losses).sum() / weights.sum())


@pytest.mark.parametrize("bad", [100.0, float("nan"), float("inf")])
def test_stops_when_the_loss_diverges(bad):
    finder = LRFinder(steps=20, smoothing=0)

    result = replay(finder, [{"loss": loss} for loss in (3, 2, 1, bad, 1, 1)])

    assert result.epochs_run == 4
    assert result.stop_reason.startswith("the loss diverged at a learning rate of ")


def test_model_and_optimizer_are_restored_to_the_bit():
    ours, untouched = model(), model()

    found = onstage.lr_find(ours, X, Y, steps=30, max_lr=100.0)

    assert len(found.rates) >= 5
    for one, other in zip(ours.get_weights(), untouched.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours.learning_rate == 0.003
    for trained in (ours, untouched):
        trained.fit(X, Y, epochs=2, seed=1, verbose=0)
    for one, other in zip(ours.get_weights(), untouched.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_restores_after_an_error():
    ours, untouched = model(), model()

    class Fails:
        def on_train_batch_end(self, batch):
            if batch == 1:
                raise RuntimeError("deliberate")

    with pytest.raises(RuntimeError, match="deliberate"):
        ours.fit(X, Y, epochs=5, verbose=0, callbacks=[LRFinder(1e-3), Fails()])

    for one, other in zip(ours.get_weights(), untouched.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_suggested_rate_trains_better_than_its_neighbours():
    rates = {"suggested": float(onstage.lr_find(model(), X, Y, steps=100).suggestion())}
    rates |= {"low": rates["suggested"] / 1000, "high": rates["suggested"] * 1000}
    losses = {}
    for name, rate in rates.items():
        trained = model()
        trained.learning_rate = rate
        losses[name] = trained.fit(X, Y, epochs=20, seed=0, verbose=0).history["loss"][-1]

    assert losses["suggested"] < 0.8 * min(losses["low"], losses["high"])


def test_the_suggestions_on_a_known_curve():
    finder = LRFinder()
    finder.rates = np.geomspace(1e-6, 1, 61)  # ten rates a decade
    position = np.arange(61)
    # Flat to index 20, falling to 40 with the steepest step from 30 on, then rising.
    finder.losses = np.where(position <= 20, 2.0, 2.0 - 0.05 * (position - 20.0))
    finder.losses[31:41] -= 0.2
    finder.losses[41:] = 1 + 0.1 * (position[41:] - 40)

    assert finder.suggestion("steep") == finder.rates[30]
    assert finder.suggestion("minimum") == finder.rates[40] / 10
    # 21 falling losses, of indices 20 to 40: begins before them, at 19; then 7 + 3 further.
    assert finder.suggestion("valley") == finder.rates[29]


def test_plots_the_curve(tmp_path):
    pytest.importorskip("matplotlib")
    finder = onstage.lr_find(model(), X, Y, steps=20)

    (axes,) = finder.plot(tmp_path / "range.png").axes

    np.testing.assert_array_equal(axes.lines[0].get_xdata(), finder.rates)
    assert axes.get_xscale() == "log"
    assert (tmp_path / "range.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_lr": 0}, "min_lr must be"),
        ({"min_lr": 1, "max_lr": 1}, "max_lr must be greater than min_lr=1, got 1"),
        ({"steps": 4}, "steps must be an integer >= 5"),
        ({"smoothing": 1}, "smoothing must be"),
        ({"diverged": 1}, "diverged must be"),
    ],
)
def test_invalid_arguments_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LRFinder(**options)


def test_a_suggestion_needs_batches_and_a_known_rule():
    with pytest.raises(ValueError, match="must have recorded 5 batches, got 0"):
        LRFinder().suggestion()
    with pytest.raises(ValueError, match="rule must be 'valley', 'steep' or 'minimum', got 'best'"):
        LRFinder().suggestion("best")


def test_behaves_as_every_callback_must():
    check_callback(LRFinder)
