"""Hooks called without a run, and stages that a plugin package declares."""

import pytest

from onstage import Bus, Callback, Run, hookimpl, hookspec


class Collects:
    def __init__(self, log):
        self.log = log

    def on_epoch_end(self, epoch, logs):
        self.log.append((epoch, dict(logs)))


def test_a_bus_calls_registered_plugins():
    log = []
    bus = Bus()
    bus.register(Collects(log))

    bus.hook.on_epoch_end(epoch=0, logs={"loss": 0.5})

    assert log == [(0, {"loss": 0.5})]


def test_a_bus_orders_and_removes_plugins_as_pluggy_does():
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
    """Stages that a package of augmentations declares."""

    @hookspec
    def on_augment(self, sample, strength, run=None):
        """Fire before a sample is augmented."""


class Augments(Callback):
    """Declares a stage, and fires it before each batch."""

    hookspecs = AugmentStages

    def on_train_batch_begin(self, batch):
        self.run.emit("on_augment", sample=self.run.batch_data, strength=batch / 10)


class Listens:
    def __init__(self):
        self.heard = []

    def on_augment(self, sample, strength):
        self.heard.append((sample, strength))


@pytest.mark.parametrize("order", ["provider first", "listener first"])
def test_a_declared_stage_reaches_its_listeners_in_any_order(order):
    listens = Listens()
    callbacks = [Augments(), listens] if order == "provider first" else [listens, Augments()]

    with Run(callbacks=callbacks, epochs=1) as run:
        for _ in run.epochs():
            for _ in run.batches("ab"):
                pass

    assert listens.heard == [("a", 0.0), ("b", 0.1)]


def test_a_declared_stage_may_offer_the_run():
    class WantsRun:
        def on_augment(self, run):
            self.epochs = run.params["epochs"]

    wants = WantsRun()
    run = Run(callbacks=[Augments(), wants], epochs=3)
    with run:
        run.emit("on_augment", sample=1, strength=0.5)

    assert wants.epochs == 3


def test_a_listener_without_the_declaring_package_is_refused():
    with pytest.raises(TypeError, match=r"Listens\.on_augment is not a stage"):
        Run(callbacks=[Listens()])


def test_a_misspelt_argument_of_a_declared_stage_is_named():
    class Wrong:
        def on_augment(self, sampel):
            """Misspells the argument."""

    with pytest.raises(TypeError, match=r"got \(sampel\); did you mean 'sample'"):
        Run(callbacks=[Augments(), Wrong()])


def test_an_error_in_a_declared_stage_names_the_callback():
    class Fails:
        def on_augment(self):
            raise ValueError("no sample")

    with pytest.raises(ValueError, match="no sample") as error, Run(callbacks=[Augments(), Fails()]) as run:
        run.emit("on_augment", sample=1, strength=0.5)

    assert any("callback Fails in on_augment" in note for note in error.value.__notes__)


def test_a_package_listed_twice_declares_its_stages_once():
    listens = Listens()

    with Run(callbacks=[Augments(), Augments(), listens]) as run:
        run.emit("on_augment", sample="a", strength=1)

    assert listens.heard == [("a", 1)]
