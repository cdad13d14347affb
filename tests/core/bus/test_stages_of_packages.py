"""Stages of installed packages, as pluggy has them: optional hooks, results, wrappers."""

import sys

import pytest

from onstage import Bus, Callback, Run, hookimpl, hookspec
from onstage.errors import PluginError
from onstage.testing import FakeModel, check_callback, replay

SPECIFICATION = """
from onstage import hookspec

class Stages:
    @hookspec
    def on_record(self, epoch, value): ...

    @hookspec(firstresult=True)
    def on_choice(self, options): ...
"""


class Stages:
    @hookspec
    def on_local(self, value):
        """Stage of a package that is not installed."""


@pytest.fixture
def site(plugin_site):
    plugin_site.add(
        "records-pack",
        hookspecs={"on_record": "records_mod:Stages", "on_choice": "records_mod:Stages"},
        modules={"records_mod": SPECIFICATION},
    )
    return plugin_site


class Acts:
    def __init__(self, answer):
        self.answer = answer

    def on_record(self, value):
        return None if self.answer is None else (self.answer, value)

    def on_choice(self, options):
        return self.answer


class Optional(Callback):
    calls = ()

    @hookimpl(optionalhook=True)
    def on_record(self, value): ...

    def on_epoch_end(self, epoch):
        self.calls += (epoch,)


class ActsInLocal(Callback):
    def on_local(self, value): ...


class Emits(Callback):
    def on_epoch_end(self, epoch):
        self.results = self.run.emit("on_record", epoch=epoch, value=0.5)
        self.choice = self.run.emit("on_choice", options="ab")


def test_a_stage_of_an_installed_package_needs_no_plugin_of_that_package(site):
    acts = Acts("a")
    bus = Bus([acts])

    assert bus.hook.on_record(epoch=0, value=1.0) == [("a", 1.0)]
    assert [impl.plugin for impl in bus.implementations("on_record")] == [acts]


def test_its_package_is_imported_only_if_a_callback_acts_in_it(site):
    replay(Callback(), [{"loss": 1.0}])
    assert "records_mod" not in sys.modules

    Bus([Acts("a")])
    assert "records_mod" in sys.modules


def test_emit_returns_the_results_in_call_order_without_none(site):
    emits = Emits()

    replay([Acts("a"), Acts(None), emits, Acts("b")], [{"loss": 1.0}])

    assert emits.results == [("a", 0.5), ("b", 0.5)]
    assert emits.choice == "a"


def test_emit_returns_what_pluggy_does_if_nobody_acts(site):
    emits = Emits()

    replay(emits, [{"loss": 1.0}])

    assert (emits.results, emits.choice) == ([], None)


def test_a_wrapper_changes_the_results_of_emit(site):
    class Doubles:
        @hookimpl(wrapper=True)
        def on_record(self):
            results = yield
            return results * 2

    emits = Emits()

    replay([Doubles(), Acts("a"), emits], [{"loss": 1.0}])

    assert emits.results == [("a", 0.5)] * 2


def test_emit_refuses_an_unknown_stage_with_the_closest(site):
    with (
        Run(FakeModel()) as run,
        pytest.raises(ValueError, match=r"got 'on_epoch_endd'; did you mean 'on_epoch_end'"),
    ):
        run.emit("on_epoch_endd")


def test_an_optional_method_without_its_stage_is_silent_and_the_plugin_works(plugin_site):
    callback = Optional()
    replay(callback, [{"loss": 1.0}])

    assert callback.calls == (0,)
    check_callback(Optional)


def test_an_optional_method_acts_as_soon_as_its_stage_is_added(plugin_site):
    class Later:
        @hookimpl(optionalhook=True)
        def on_local(self, value):
            return value

    bus = Bus([Later()])
    assert not bus.is_stage("on_local")

    bus.add_hookspecs(Stages)

    assert bus.hook.on_local(value=3) == [3]
    bus.fire("on_local", 3)


def test_a_method_without_its_stage_is_refused_and_the_remedy_named(plugin_site):
    with pytest.raises(TypeError, match=r"Acts\.on_(record|choice) is not a stage.*optionalhook=True"):
        Bus([Acts("a")])


@pytest.mark.parametrize("name", ["record", "_record"])
def test_a_marked_method_without_its_stage_is_refused_under_any_name(name):
    plugin = type("Marked", (), {"on_epoch_end": lambda self: None, name: hookimpl(lambda self: None)})()

    with pytest.raises(TypeError, match=rf"Marked\.{name} is not a stage"):
        Bus([plugin])


def test_wrong_arguments_of_a_stage_of_a_package_are_refused(site):
    class Wrong:
        def on_record(self, values): ...

    with pytest.raises(TypeError, match=r"got \(values\); did you mean 'value'"):
        Bus([Wrong()])


def test_a_package_that_lacks_its_stage_is_broken_by_name(plugin_site):
    plugin_site.add(
        "other-pack", hookspecs={"on_nothing": "other_mod:Stages"}, modules={"other_mod": SPECIFICATION}
    )

    class ActsInNothing:
        def on_nothing(self): ...

    with pytest.raises(
        PluginError, match=r"stage 'on_nothing' of other-pack 1\.0 is broken.*@onstage\.hookspec"
    ):
        Bus([ActsInNothing()])


def test_a_blocked_package_has_no_stages(site, monkeypatch):
    monkeypatch.setenv("ONSTAGE_DISABLE", "records-pack")

    with pytest.raises(TypeError, match="is not a stage"):
        Bus([Acts("a")])


def test_check_callback_takes_stages_of_packages_that_are_not_installed(plugin_site):
    with pytest.raises(AssertionError, match="is not a stage"):
        check_callback(ActsInLocal)
    check_callback(ActsInLocal, hookspecs=Stages)
