"""The hooks without any run, and stages that a plugin package brings."""

import pytest

from onstage import Bus, Callback, Run, hookimpl, hookspec


class Collects:
    def __init__(self, log):
        self.log = log

    def on_epoch_end(self, epoch, logs):
        self.log.append((epoch, dict(logs)))


def test_a_bus_by_hand_calls_what_was_registered():
    log = []
    bus = Bus()
    bus.register(Collects(log))

    bus.hook.on_epoch_end(epoch=0, logs={"loss": 0.5})

    assert log == [(0, {"loss": 0.5})]


def test_a_bus_by_hand_knows_order_results_and_removal_as_pluggy_does():
    calls = []

    class Named:
        def __init__(self, name):
            self.name = name

        def on_train_begin(self):
            calls.append(self.name)

    class Late(Named):
        @hookimpl(trylast=True)
        def on_train_begin(self):
            calls.append(self.name)

    bus = Bus([Late("late"), Named("first"), Named("second")])
    bus.hook.on_train_begin()
    bus.unregister(name="Named")
    bus.hook.on_train_begin()

    assert calls == ["first", "second", "late", "second", "late"]


class AugmentStages:
    """What a package of augmentations adds to the contract."""

    @hookspec
    def on_augment(self, sample, strength, run=None):
        """Fire before a sample is augmented."""


class Augments(Callback):
    """Brings a stage, and fires it before each batch."""

    hookspecs = AugmentStages

    def on_train_batch_begin(self, batch):
        self.run.emit("on_augment", sample=self.run.batch_data, strength=batch / 10)


class Listens:
    def __init__(self):
        self.heard = []

    def on_augment(self, sample, strength):
        self.heard.append((sample, strength))


@pytest.mark.parametrize("order", ["provider first", "listener first"])
def test_a_stage_that_a_callback_brings_is_heard_wherever_it_stands(order):
    listens = Listens()
    callbacks = [Augments(), listens] if order == "provider first" else [listens, Augments()]

    with Run(callbacks=callbacks, epochs=1) as run:
        for _ in run.epochs():
            for _ in run.batches("ab"):
                pass

    assert listens.heard == [("a", 0.0), ("b", 0.1)]


def test_the_run_reaches_a_stage_of_ones_own_that_offers_it():
    class WantsRun:
        def on_augment(self, run):
            self.epochs = run.params["epochs"]

    wants = WantsRun()
    run = Run(callbacks=[Augments(), wants], epochs=3)
    with run:
        run.emit("on_augment", sample=1, strength=0.5)

    assert wants.epochs == 3


def test_a_listener_without_the_package_is_told_that_there_is_no_such_stage():
    with pytest.raises(TypeError, match=r"Listens\.on_augment is not a stage"):
        Run(callbacks=[Listens()])


def test_a_misspelt_argument_of_a_stage_of_ones_own_is_named():
    class Wrong:
        def on_augment(self, sampel):
            """Spelt wrong."""

    with pytest.raises(TypeError, match="'sampel', which on_augment does not offer; did you mean 'sample'"):
        Run(callbacks=[Augments(), Wrong()])


def test_an_error_in_a_stage_of_ones_own_names_who_raised():
    class Fails:
        def on_augment(self):
            raise ValueError("no sample")

    with pytest.raises(ValueError, match="no sample") as error, Run(callbacks=[Augments(), Fails()]) as run:
        run.emit("on_augment", sample=1, strength=0.5)

    assert any("callback Fails in on_augment" in note for note in error.value.__notes__)


def test_one_package_listed_twice_brings_its_stages_once():
    listens = Listens()

    with Run(callbacks=[Augments(), Augments(), listens]) as run:
        run.emit("on_augment", sample="a", strength=1)

    assert listens.heard == [("a", 1)]
