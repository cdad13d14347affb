"""Stages and arguments can be added and deprecated without breaking existing plugins."""

import warnings

import pytest

from onstage import Bus, Callback, Run, hookspec


class Grown:
    @hookspec
    def on_sample_drawn(self, sample, temperature=1.0, run=None):
        """Fire for each sample; temperature was added in a later version."""


class Old:
    def __init__(self):
        self.seen = []

    def on_sample_drawn(self, sample):
        self.seen.append(sample)


class New(Old):
    def on_sample_drawn(self, sample, temperature):
        self.seen.append((sample, temperature))


def test_a_stage_that_gained_an_argument_works_with_old_plugins_and_old_callers():
    old, new = Old(), New()
    run = Run()
    run.bus.add_hookspecs(Grown)
    run.bus.register(old)
    run.bus.register(new)

    with run:
        run.emit("on_sample_drawn", sample=1, temperature=0.5)
        run.emit("on_sample_drawn", sample=2)
    run.bus.fire("on_sample_drawn", 3, 2.0, run)

    assert old.seen == [1, 2, 3]
    assert new.seen == [(1, 0.5), (2, 1.0), (3, 2.0)]


class Deprecated:
    @hookspec(warn_on_impl=DeprecationWarning("on_sample_taken is deprecated; use on_sample_drawn"))
    def on_sample_taken(self, sample):
        """Fire never: deprecated."""

    @hookspec(warn_on_impl_args={"seed": DeprecationWarning("seed is deprecated; use run")})
    def on_sample_kept(self, sample, seed=None, run=None):
        """Fire for each kept sample; seed is deprecated."""


def line_of(function):
    return function.__code__.co_firstlineno


def test_a_deprecated_stage_warns_with_the_line_in_the_plugin():
    class Plugin:
        def on_sample_taken(self, sample):
            pass

    bus = Bus()
    bus.add_hookspecs(Deprecated)
    with pytest.warns(DeprecationWarning, match="use on_sample_drawn") as caught:
        bus.register(Plugin())

    assert caught[0].filename == __file__
    assert caught[0].lineno == line_of(Plugin.on_sample_taken)


def test_a_deprecated_argument_warns_only_plugins_that_declare_it():
    class Names(Callback):
        def on_sample_kept(self, sample, seed):
            pass

    class DoesNot(Callback):
        def on_sample_kept(self, sample):
            pass

    bus = Bus()
    bus.add_hookspecs(Deprecated)
    with pytest.warns(DeprecationWarning, match="use run") as caught:
        bus.register(Names())
    assert caught[0].lineno == line_of(Names.on_sample_kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bus.register(DoesNot())
