import numpy as np
import pytest
from onstage_model_checkpoint import ModelCheckpoint
from onstage_swap_ema_weights import SwapEMAWeights

from onstage import Sequential, layers, load_model, optimizers
from onstage.testing import FakeModel, check_callback

X = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


@pytest.fixture
def model():
    return new_model()


def new_model(use_ema=True):
    model = Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=0)
    model.compile(optimizers.SGD(0.1, use_ema=use_ema, ema_momentum=0.9), "mse")
    return model


def fit(model, *callbacks, epochs=3, **options):
    return model.fit(
        X, Y, batch_size=4, epochs=epochs, seed=1, verbose=0, callbacks=list(callbacks), **options
    )


def flat(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def average_of(model):
    """The average, as the optimizer keeps it beside the weights."""
    return model.optimizer.ema_average.copy()


def averaged_without_callback(epochs=3):
    """What a training ends with where nobody swaps: the average of its weights."""
    model = new_model()
    fit(model, epochs=epochs)
    return flat(model)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_behaves_as_every_callback_must(swap_on_epoch):
    check_callback(lambda: SwapEMAWeights(swap_on_epoch), model=lambda: FakeModel(use_ema=True))


class Watches:
    """Notes whether the model has the average, at some stages."""

    def __init__(self, model):
        self.model = model
        self.seen = []

    def note(self, stage):
        self.seen.append((stage, bool(np.array_equal(flat(self.model), average_of(self.model)))))

    def on_train_batch_end(self, batch):
        if batch == 1:  # after the first step of all, the average is the weights
            self.note("batch")

    def on_test_batch_end(self):
        self.note("test")

    def on_predict_batch_end(self):
        self.note("predict")

    def on_epoch_end(self):
        self.note("epoch")


def test_validation_uses_the_average_and_training_does_not(model):
    watches = Watches(model)

    fit(model, SwapEMAWeights(), watches, epochs=2, validation_data=(X[:4], Y[:4]))

    assert watches.seen == [("batch", False), ("test", True), ("epoch", False)] * 2


def test_on_epoch_later_callbacks_see_the_average_until_the_next_epoch(model):
    before, behind = Watches(model), Watches(model)

    fit(model, before, SwapEMAWeights(swap_on_epoch=True), behind, epochs=2)

    assert before.seen == [("batch", False), ("epoch", False)] * 2
    assert behind.seen == [("batch", False), ("epoch", True)] * 2


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swapping_does_not_change_the_training(model, swap_on_epoch):
    fit(model, SwapEMAWeights(swap_on_epoch), validation_data=(X, Y))

    np.testing.assert_array_equal(flat(model), averaged_without_callback())


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("stage", ["on_train_batch_end", "on_epoch_end"])
def test_the_final_weights_are_the_average_however_early_it_stops(model, swap_on_epoch, stage):
    stopper = type("Stopper", (), {stage: lambda self, run: run.stop("enough")})()
    swap = SwapEMAWeights(swap_on_epoch)

    fit(model, swap, stopper, validation_data=(X, Y), epochs=5)

    np.testing.assert_array_equal(flat(model), average_of(model))


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize(
    "stage", ["on_train_batch_end", "on_test_batch_end", "on_epoch_end", "on_epoch_begin"]
)
def test_the_final_weights_are_the_average_after_an_error(model, swap_on_epoch, kind, stage):
    class Breaks:
        fired = 0

    def breaks(self):
        self.fired += 1
        if self.fired == 2:
            raise kind

    setattr(Breaks, stage, breaks)
    with pytest.raises(kind):
        fit(model, SwapEMAWeights(swap_on_epoch), Breaks(), validation_data=(X, Y))

    np.testing.assert_array_equal(flat(model), average_of(model))


@pytest.fixture
def in_training(model):
    """A model whose weights are not their average."""
    fit(model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    return model


def test_an_evaluation_uses_the_average_and_restores_the_weights(in_training):
    own, watches = flat(in_training), Watches(in_training)

    in_training.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights(), watches])

    assert watches.seen == [("test", True)]
    np.testing.assert_array_equal(flat(in_training), own)


def test_a_prediction_uses_the_average_and_restores_the_weights(in_training):
    own, watches = flat(in_training), Watches(in_training)

    in_training.predict(X, verbose=0, callbacks=[SwapEMAWeights(), watches])

    assert watches.seen == [("predict", True)]
    np.testing.assert_array_equal(flat(in_training), own)


@pytest.mark.parametrize("stage", ["on_test_begin", "on_test_batch_end", "on_test_end"])
@pytest.mark.parametrize("ahead", [True, False])
def test_an_evaluation_that_fails_restores_the_weights(in_training, stage, ahead):
    own = flat(in_training)

    def fails(self):
        raise RuntimeError("no more")

    bomb = type("Bomb", (), {stage: fails})()
    swap = SwapEMAWeights()
    with pytest.raises(RuntimeError, match="no more"):
        in_training.evaluate(X, Y, verbose=0, callbacks=[bomb, swap] if ahead else [swap, bomb])

    np.testing.assert_array_equal(flat(in_training), own)


def test_a_prediction_that_fails_restores_the_weights(in_training):
    own = flat(in_training)

    class Fails:
        def on_predict_batch_end(self):
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        in_training.predict(X, verbose=0, callbacks=[SwapEMAWeights(), Fails()])

    np.testing.assert_array_equal(flat(in_training), own)


def test_a_checkpoint_after_it_saves_the_average(model, tmp_path):
    saved = []

    class Notes:
        def on_epoch_end(self):
            saved.append(average_of(model))

    checkpoint = ModelCheckpoint(tmp_path / "{epoch}")

    fit(model, SwapEMAWeights(swap_on_epoch=True), checkpoint, Notes())

    for epoch, average in enumerate(saved):
        loaded = load_model(tmp_path / f"{epoch + 1}.safetensors")
        np.testing.assert_array_equal(flat(loaded), average)


def test_one_instance_in_an_evaluation_within_an_epoch_swaps_once(model):
    swap = SwapEMAWeights(swap_on_epoch=True)
    watches = Watches(model)

    class Evaluates:
        def on_epoch_end(self):
            model.evaluate(X, Y, verbose=0, callbacks=[swap])

    fit(model, swap, Evaluates(), watches, epochs=2)

    assert watches.seen == [("batch", False), ("epoch", True)] * 2
    np.testing.assert_array_equal(flat(model), averaged_without_callback(epochs=2))


def test_an_optimizer_without_an_average_is_refused_before_the_first_step():
    model = new_model(use_ema=False)
    before = flat(model)

    with pytest.raises(
        ValueError, match="SwapEMAWeights must have an optimizer with use_ema=True, got one without"
    ):
        fit(model, SwapEMAWeights())

    np.testing.assert_array_equal(flat(model), before)


def test_an_invalid_argument_is_refused_at_once():
    with pytest.raises(TypeError, match="swap_on_epoch must be True or False, got 1"):
        SwapEMAWeights(1)
