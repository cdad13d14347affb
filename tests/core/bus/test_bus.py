"""The bus is a pluggy PluginManager, and calls callbacks as documented."""

import types

import pluggy
import pytest

from onstage import Bus, Callback, Run, hookimpl, hookspec
from onstage.hookspecs import PROJECT, Stages


def test_hooks_are_called_as_pluggy_users_expect(recording):
    bus = Bus()
    bus.register(recording, "recorder")

    bus.hook.on_epoch_end(epoch=2, logs={"loss": 0.5})

    assert recording.calls == [("on_epoch_end", 2, {"loss": 0.5})]
    assert bus.get_plugin("recorder") is recording


def test_plugins_are_registered_as_pluggy_itself_does():
    class Both:
        def on_epoch_end(self, epoch, logs):
            pass

        @hookimpl(specname="on_epoch_end", tryfirst=True)
        def first(self, epoch):
            pass

        def helper(self):
            pass

    plain, bus, plugin = pluggy.PluginManager(PROJECT), Bus(), Both()
    plain.add_hookspecs(Stages)
    plain.parse_hookimpl_opts = bus.parse_hookimpl_opts  # methods without a mark are implementations too

    assert plain.register(plugin, "both") == bus.register(plugin, "both") == "both"

    ours, theirs = (manager.hook.on_epoch_end.get_hookimpls() for manager in (bus, plain))
    assert [repr(each) for each in ours] == [repr(each) for each in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert (one.function, one.argnames, one.opts) == (other.function, other.argnames, other.opts)
    assert bus.list_name_plugin() == plain.list_name_plugin()
    for manager in (bus, plain):
        with pytest.raises(ValueError, match="already registered"):
            manager.register(plugin, "again")
        with pytest.raises(ValueError, match="already registered"):
            manager.register(Both(), "both")


def test_a_historic_stage_reaches_a_plugin_that_comes_later():
    class MyStages:
        @hookspec(historic=True)
        def on_data_known(self, rows):
            """Fire once; later plugins are told too."""

    class Listens:
        rows = None

        def on_data_known(self, rows):
            self.rows = rows

    bus, late = Bus(), Listens()
    bus.add_hookspecs(MyStages)
    bus.hook.on_data_known.call_historic(kwargs={"rows": 3})

    bus.register(late)

    assert late.rows == 3


def test_list_order_is_call_order(new_recording):
    calls = []

    class Named(new_recording):
        def on_train_begin(self):
            calls.append(self.name)

    with Run(callbacks=[Named("a"), [Named("b"), Named("c")]]) as run:
        list(run.epochs())

    assert calls == ["a", "b", "c"]


def test_tryfirst_trylast_and_wrappers_work_as_in_pluggy():
    calls = []

    class Plain:
        def on_train_begin(self):
            calls.append("plain")

    class First:
        @hookimpl(tryfirst=True)
        def on_train_begin(self):
            calls.append("first")

    class Last:
        @hookimpl(trylast=True)
        def on_train_begin(self):
            calls.append("last")

    class Around:
        @hookimpl(wrapper=True)
        def on_train_begin(self, logs):
            calls.append("in")
            result = yield
            calls.append("out")
            return result

    with Run(callbacks=[Last(), Plain(), First(), Around()]) as run:
        list(run.epochs())

    assert calls == ["in", "first", "plain", "last", "out"]


def test_an_override_without_a_mark_keeps_the_place_of_the_method_that_it_overrides():
    calls = []

    class First:
        @hookimpl(tryfirst=True)
        def on_train_begin(self):
            calls.append(type(self).__name__)

    class Override(First):
        def on_train_begin(self):
            super().on_train_begin()

    class Marked(First):
        @hookimpl
        def on_train_begin(self):
            super().on_train_begin()

    bus = Bus([Marked(), First(), Override()])
    bus.fire("on_train_begin", {}, None)
    bus.hook.on_train_begin(logs={}, run=None)

    assert calls == ["First", "Override", "Marked"] * 2


def test_a_module_is_a_plugin():
    module = types.ModuleType("my_hooks")
    module.seen = []
    exec("def on_epoch_begin(epoch):\n    seen.append(epoch)", vars(module))

    with Run(callbacks=[module], epochs=2) as run:
        list(run.epochs())

    assert module.seen == [0, 1]


def test_a_method_set_on_the_instance_is_called():
    callback = Callback()
    seen = []
    callback.on_train_end = lambda logs: seen.append(logs)

    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert seen == [{}]


def test_a_base_method_can_be_called_by_super_but_is_not_registered():
    class Calls(Callback):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.epoch = epoch

    callback = Calls()
    bus = Bus([callback])

    with Run(callbacks=[callback]) as run:
        list(run.epochs())

    assert callback.epoch == 0
    assert [impl.plugin for impl in bus.implementations("on_epoch_end")] == [callback]
    assert bus.implementations("on_epoch_begin") == []


def test_a_callback_that_was_written_for_keras_is_not_called_twice():
    def default(method):
        method._is_default = True
        return method

    class KerasBase:  # forwards and marks its defaults as Keras's base class does
        @default
        def on_train_batch_end(self, batch, logs=None):
            self.on_batch_end(batch, logs=logs)

        @default
        def on_batch_end(self, batch, logs=None):
            pass

    class LossHistory(KerasBase):
        def __init__(self):
            self.losses = []

        def on_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

    callback = LossHistory()
    with Run(callbacks=[callback]) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)

    assert callback.losses == [1.0]


def test_a_callback_receives_model_params_and_run():
    class Keeps(Callback):
        def on_train_begin(self):
            self.seen = (self.model, self.params, self.run)

    class Model:
        pass

    model, callback = Model(), Keeps()
    with Run(model, callbacks=[callback], epochs=3, steps=5, batch_size=2, samples=10) as run:
        list(run.epochs())

    params = {"verbose": 0, "epochs": 3, "steps": 5, "batch_size": 2, "samples": 10}
    assert callback.seen == (model, params, run)


def test_a_stage_that_a_plugin_added_can_be_emitted():
    class MyStages:
        @hookspec
        def on_sample_drawn(self, sample, run=None):
            """Fire for each sample."""

    class Collects:
        def __init__(self):
            self.samples = []

        def on_sample_drawn(self, sample):
            self.samples.append(sample)

    collects = Collects()
    run = Run()
    run.bus.add_hookspecs(MyStages)
    run.bus.register(collects)
    with run:
        run.emit("on_sample_drawn", sample=3)

    assert collects.samples == [3]
    with pytest.raises(ValueError, match="got 'on_sample_lost'"):
        run.emit("on_sample_lost")


class TakesPart(Callback):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls


def test_on_batch_end_is_another_name_of_on_train_batch_end():
    class Old(TakesPart):
        def on_batch_end(self, batch, logs):
            self.calls.append(self.name)

    class New(TakesPart):
        def on_train_batch_end(self, batch, logs):
            self.calls.append(self.name)

    calls = []
    bus = Bus([Old("first", calls), New("second", calls), Old("third", calls)])

    bus.fire("on_train_batch_end", 0, {}, None)
    bus.hook.on_train_batch_end(batch=0, logs={})
    bus.hook.on_batch_end(batch=0, logs={})

    assert calls == ["first", "second", "third"] * 3


def test_a_callback_with_both_names_is_called_once_by_the_longer_one():
    class Both(TakesPart):
        def on_batch_begin(self, batch):
            self.calls.append("on_batch_begin")

        def on_train_batch_begin(self, batch):
            self.calls.append("on_train_batch_begin")

        @hookimpl(specname="on_batch_end")
        def ends(self, batch):
            self.calls.append("on_batch_end")

        def on_train_batch_end(self, batch):
            self.calls.append("on_train_batch_end")

    calls = []
    bus = Bus([Both("both", calls)])

    for stage in ("on_train_batch_begin", "on_train_batch_end"):
        bus.fire(stage, 0, {}, None)

    assert calls == ["on_train_batch_begin", "on_train_batch_end"]


def test_trylast_applies_to_a_stage_under_both_names():
    class Last(TakesPart):
        @hookimpl(trylast=True)
        def on_batch_end(self):
            self.calls.append("last")

    class Plain(TakesPart):
        def on_train_batch_end(self):
            self.calls.append("plain")

    calls = []
    bus = Bus([Last("last", calls), Plain("plain", calls)])

    bus.fire("on_train_batch_end", 0, {}, None)

    assert calls == ["plain", "last"]


def test_an_object_skips_stages_that_its_class_implements():
    class Costly(TakesPart):
        def on_batch_end(self):
            self.calls.append("batch")

        def on_epoch_end(self):
            self.calls.append("epoch")

    calls = []
    frugal = Costly("frugal", calls)
    frugal.skips = ("on_train_batch_end",)
    bus = Bus([frugal])

    assert bus.stages.on_train_batch_end is None
    bus.fire("on_epoch_end", 0, {}, None)
    assert calls == ["epoch"]
