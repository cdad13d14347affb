"""A name stands for one plugin: an entry point before a class, one that is allowed before a blocked one."""

import pytest

from onstage.errors import PluginError
from onstage.registry import _discovery


def test_an_entry_point_wins_over_a_class_of_that_name(plugin_site):
    plugin_site.add("a-pack", callbacks={"other": "a_mod:Twin"})
    plugin_site.add("b-pack", callbacks={"Twin": "b_mod:Else"})

    assert _discovery.find("Twin").distribution == "b-pack"
    assert _discovery.find("Else").distribution == "b-pack"


@pytest.mark.parametrize(("blocked", "left"), [("a-pack", "b-pack"), ("b-pack", "a-pack")])
def test_if_one_of_two_classes_is_blocked_the_name_stands_for_the_other(plugin_site, blocked, left):
    plugin_site.add("a-pack", callbacks={"first": "a_mod:Twin"})
    plugin_site.add("b-pack", callbacks={"second": "b_mod:Twin"})

    found = _discovery.find("Twin", blocked=[blocked])

    assert (found.distribution, found.status) == (left, "installed")


def test_if_all_are_blocked_the_error_names_both_entry_points(plugin_site):
    plugin_site.add("a-pack", callbacks={"first": "a_mod:Twin"})
    plugin_site.add("b-pack", callbacks={"second": "b_mod:Twin"})

    with pytest.raises(
        PluginError, match=r"several plugins have a class 'Twin': 'first' of a-pack and 'second'"
    ):
        _discovery.find("Twin", blocked=["a-pack", "b-pack"])


def test_a_blocked_plugin_is_found_and_says_so(plugin_site):
    plugin_site.add("a-pack", callbacks={"first": "a_mod:One"})

    for name in ("first", "One"):
        found = _discovery.find(name, blocked=["A_Pack"])
        assert (found.name, found.status) == ("first", "blocked")
        assert found.reason == "blocked by the name 'A_Pack'"


def test_an_entry_point_that_two_distributions_claim_is_found_as_a_duplicate(plugin_site):
    plugin_site.add("a-pack", callbacks={"same": "a_mod:One"})
    plugin_site.add("b-pack", callbacks={"same": "b_mod:Two"})

    assert _discovery.find("same").status == "duplicate"
    assert _discovery.find("same", blocked=["a-pack"]).distribution == "b-pack"


def test_a_plugin_of_a_hidden_version_alone_is_not_found(plugin_site):
    plugin_site.add("pack", "1.0", callbacks={"old": "mod:Old"})
    plugin_site.add("pack", "2.0", callbacks={"new": "mod:New"})

    with pytest.raises(PluginError, match=r"no callback is called 'old' \(installed: new\)"):
        _discovery.find("old")
    assert _discovery.find("New").version == "2.0"
