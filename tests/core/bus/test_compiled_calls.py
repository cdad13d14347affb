"""Compiled calls behave as those of pluggy."""

import traceback

import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage import Bus, Callback, hookimpl
from onstage.hookspecs import PROJECT, Stages

SIGNATURES = [
    "self",
    "self, batch",
    "self, logs",
    "self, batch, logs",
    "self, logs, batch",
    "self, batch, logs, run",
    "self, batch, logs=None",
    "self, logs=None",
    "self, run=None, logs=None",
    "self, batch, extra=7, logs=None",
]


class Failure(Exception):
    pass


def make_plugin(number, signature, *, raises=False, first=False, last=False, wrapper=False, changes=None):
    """Return a plugin that records its arguments; `changes` is called during the call."""
    names = [part.split("=")[0].strip() for part in signature.split(",")][1:]
    got = ", ".join(f"{name!r}: {name}" for name in names)
    after = "yield\n        self.calls.append(('after', self.number))" if wrapper else "pass"
    source = f"""
class Plugin:
    @hookimpl(tryfirst={first}, trylast={last}, wrapper={wrapper})
    def on_train_batch_end({signature}):
        self.calls.append((self.number, {{{got}}}))
        if self.changes:
            self.changes()
        if {raises}:
            raise Failure(self.number)
        {after}
"""
    namespace = {"hookimpl": hookimpl, "Failure": Failure}
    exec(source, namespace)
    plugin = namespace["Plugin"]()
    plugin.number, plugin.calls, plugin.changes = number, [], changes
    return plugin


specifications = st.lists(
    st.fixed_dictionaries(
        {
            "signature": st.sampled_from(SIGNATURES),
            "raises": st.sampled_from([False, False, False, False, True]),
            "order": st.sampled_from(["", "", "", "first", "last"]),
            "wrapper": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=6,
)


def outcome(specs, manager, call):
    calls = []
    for number, spec in enumerate(specs):
        plugin = make_plugin(
            number,
            spec["signature"],
            raises=spec["raises"],
            first=spec["order"] == "first",
            last=spec["order"] == "last",
            wrapper=spec["wrapper"],
        )
        plugin.calls = calls
        manager.register(plugin)
    logs = {"loss": 1.0}
    try:
        call(3, logs, "run")
    except Failure as failure:
        return calls, failure.args
    return calls, None


@given(specifications)
def test_compiled_calls_agree_with_pluggy(specs):
    reference = pluggy.PluginManager(PROJECT)
    reference.add_hookspecs(Stages)
    expected = outcome(
        specs, reference, lambda b, logs, r: reference.hook.on_train_batch_end(batch=b, logs=logs, run=r)
    )
    bus = Bus()

    seen = outcome(specs, bus, lambda b, logs, r: bus.fire("on_train_batch_end", b, logs, r))

    assert seen == expected


@given(specifications, st.integers(0, 5), st.sampled_from(["register", "unregister"]))
def test_a_change_of_the_registry_during_a_call_takes_effect_at_the_next_call(specs, at, change):
    def run_twice(manager, call):
        calls = []
        plugins = []
        late = make_plugin("late", "self, batch")
        late.calls = calls

        def act():
            plugins[at % len(plugins)].changes = None
            if change == "register":
                manager.register(late)
            else:
                manager.unregister(plugins[-1])

        for number, spec in enumerate(specs):
            plugin = make_plugin(number, spec["signature"], first=spec["order"] == "first")
            plugin.calls = calls
            plugins.append(plugin)
            manager.register(plugin)
        if plugins:
            plugins[at % len(plugins)].changes = act
        call(0)
        call(1)
        return calls

    reference = pluggy.PluginManager(PROJECT)
    reference.add_hookspecs(Stages)
    bus = Bus()

    expected = run_twice(
        reference, lambda batch: reference.hook.on_train_batch_end(batch=batch, logs={}, run=None)
    )
    seen = run_twice(bus, lambda batch: bus.fire("on_train_batch_end", batch, {}, None))

    assert seen == expected


def test_a_stage_without_implementations_compiles_to_none():
    bus = Bus([Callback()])

    assert bus.stages.on_epoch_end is None
    assert bus.stages.on_train_batch_end is None


def test_logs_are_read_only_if_an_implementation_declares_them():
    class Counts:
        def on_train_batch_end(self, batch):
            pass

    class Reads:
        def on_batch_end(self, logs):
            pass

    bus = Bus([Counts()])
    assert bus.stages.on_train_batch_end.reads_logs is False

    bus.register(Reads())
    assert bus.stages.on_train_batch_end.reads_logs is True


def test_call_monitoring_sees_compiled_stages_too():
    seen = []
    bus = Bus([make_plugin(0, "self, batch")])
    bus.fire("on_train_batch_end", 0, {}, None)

    undo = bus.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append((name, kwargs["batch"])), lambda *_: None
    )
    bus.fire("on_train_batch_end", 1, {}, None)
    undo()
    bus.fire("on_train_batch_end", 2, {}, None)

    assert seen == [("on_train_batch_end", 1)]


def test_a_traceback_shows_the_line_that_called_the_callback():
    class Fails:
        def on_epoch_end(self, epoch, logs):
            raise ValueError("no")

    bus = Bus([Fails()])

    with pytest.raises(ValueError, match="no") as caught:
        bus.fire("on_epoch_end", 0, {}, None)

    shown = "".join(traceback.format_exception(caught.value))
    assert "<onstage on_epoch_end" in shown
    assert "Fails_0(epoch, logs)" in shown
