import os
import site
import subprocess
import sys
import textwrap
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name as packaging_canonicalize_name

from onstage.errors import PluginError
from onstage.registry import _discovery, _distributions

GOOD = "class Good:\n    def on_epoch_end(self, epoch): ...\n"


def names(plugins):
    return [plugin.name for plugin in plugins]


def only(name, group=_discovery.CALLBACKS):
    (found,) = [plugin for plugin in _discovery.installed(group) if plugin.name == name]
    return found


def test_lists_plugins_by_name_with_their_distribution(plugin_site):
    plugin_site.add("Zeta_Pack", "2.1", callbacks={"zed": "zeta:Zed", "alpha": "zeta:Alpha"})
    info = plugin_site.add("beta", "0.3", callbacks={"mid": "beta:Mid"})

    plugins = _discovery.installed()

    assert names(plugins) == ["alpha", "mid", "zed"]
    assert plugins[1] == _discovery.Plugin(
        name="mid",
        value="beta:Mid",
        group="onstage.callbacks",
        distribution="beta",
        version="0.3",
        location=str(info),
        status="installed",
        reason="",
    )
    assert (plugins[2].distribution, plugins[2].version) == ("zeta-pack", "2.1")
    assert plugins[0].attribute == "Alpha"


def test_keeps_the_groups_apart(plugin_site):
    plugin_site.add("one", callbacks={"a": "one:A"}, autouse={"b": "one:B"}, commands={"c": "one:c"})

    assert names(_discovery.installed()) == ["a"]
    assert names(_discovery.installed("onstage.autouse")) == ["b"]
    assert names(_discovery.installed("onstage.cli")) == ["c"]


def test_listing_200_distributions_imports_none_of_them(plugin_site):
    for n in range(200):
        module = f"crowd_{n}"
        plugin_site.add(
            f"crowd-{n}",
            callbacks={f"crowd_{n:03}": f"{module}:Good"},
            modules={module: "import builtins\nbuiltins.crowd_imported = True\n" + GOOD},
        )
    before = set(sys.modules)

    plugins = _discovery.installed()

    assert names(plugins) == [f"crowd_{n:03}" for n in range(200)]
    assert not [name for name in set(sys.modules) - before if name.startswith("crowd")]


def test_the_scan_does_not_import_importlib_metadata():
    program = "import sys, onstage.registry._distributions; print('importlib.metadata' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.strip() == "False"


def test_imports_only_the_requested_plugin(plugin_site):
    for name in ("wanted", "other"):
        plugin_site.add(name, callbacks={name: f"{name}_mod:Good"}, modules={f"{name}_mod": GOOD})

    loaded = _discovery.find("wanted").load()

    assert loaded.__name__ == "Good"
    assert "wanted_mod" in sys.modules
    assert "other_mod" not in sys.modules


def test_reads_the_disk_once_until_refreshed(plugin_site, monkeypatch):
    plugin_site.add("first", callbacks={"first": "first:A"})
    looks = []
    scan = _distributions.scan
    monkeypatch.setattr(_distributions, "scan", lambda path=None: looks.append(path) or scan(path))

    for _ in range(5):
        _discovery.installed()
        _discovery.find("first")
        _discovery.provenance(plugin_site)

    assert len(looks) == 1
    _discovery.refresh()
    _discovery.installed()
    assert len(looks) == 2


def test_finds_plugins_installed_after_the_first_scan(plugin_site):
    _discovery.installed()
    (plugin_site.folder / "late-1.0.dist-info").mkdir()
    (plugin_site.folder / "late-1.0.dist-info/entry_points.txt").write_text(
        "[onstage.callbacks]\nlate = late:Good\n"
    )
    (plugin_site.folder / "late.py").write_text(GOOD)

    assert _discovery.find("late").load().__name__ == "Good"


def test_the_error_on_an_unknown_name_lists_the_closest_and_installed_ones(plugin_site):
    plugin_site.add(
        "pack", callbacks={"early_stopping": "pack:EarlyStopping", "csv_logger": "pack:CSVLogger"}
    )

    with pytest.raises(PluginError) as caught:
        _discovery.find("erly_stopping").load()

    assert str(caught.value) == (
        "no callback is called 'erly_stopping'; did you mean 'early_stopping'? "
        "(installed: csv_logger, early_stopping)"
    )


def test_an_unknown_name_is_refused_if_nothing_is_installed(plugin_site):
    with pytest.raises(PluginError, match=r"no callback is called 'x' \(installed: none\)"):
        _discovery.find("x")


def test_finds_a_plugin_by_the_name_of_its_class(plugin_site):
    plugin_site.add("pack", callbacks={"good_one": "pack_mod:Good"}, modules={"pack_mod": GOOD})

    assert _discovery.find("Good").name == "good_one"


def test_an_ambiguous_class_name_is_refused_with_both_entry_points(plugin_site):
    plugin_site.add("a", callbacks={"one": "a:Same"})
    plugin_site.add("b", callbacks={"two": "b:Same"})

    with pytest.raises(PluginError, match="several plugins have a class 'Same': 'one' of a and 'two' of b"):
        _discovery.find("Same")


BROKEN = {
    "raises": ("raise RuntimeError('no licence')\n", "raised RuntimeError: no licence"),
    "syntax": ("class Good(:\n", "raised SyntaxError: invalid syntax"),
    "exits": ("import sys\nsys.exit(3)\n", "raised SystemExit: 3"),
    "imports": (
        "import a_library_that_is_not_there\n",
        "raised ModuleNotFoundError: No module named 'a_library",
    ),
    "attribute": ("x = 1\n", "raised AttributeError: module 'attribute_mod' has no attribute 'Good'"),
    "number": ("Good = 3\n", "must be a callback class or a function that returns one, got int"),
    "module": (
        "import json as Good\n",
        "must be a callback class or a function that returns one, got module",
    ),
    "stageless": ("class Good:\n    def fit(self): ...\n", "got a class without any stage method"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_reported_by_name_and_the_others_load(plugin_site, kind):
    source, reason = BROKEN[kind]
    info = plugin_site.add(
        f"{kind}-dist", "1.2", callbacks={kind: f"{kind}_mod:Good"}, modules={f"{kind}_mod": source}
    )
    plugin_site.add("fine", callbacks={"fine": "fine_mod:Good"}, modules={"fine_mod": GOOD})

    with pytest.raises(PluginError) as caught:
        _discovery.find(kind).load()

    message = str(caught.value)
    assert message.startswith(f"callback '{kind}' of {kind}-dist 1.2 is broken: ")
    assert reason in message
    if "raised" in reason:
        assert str(info) in message
        assert caught.value.__cause__ is not None
    assert _discovery.find("fine").load().__name__ == "Good"


def test_a_missing_module_is_reported(plugin_site):
    plugin_site.add("gone", callbacks={"gone": "gone_mod:Good"})

    with pytest.raises(PluginError, match="No module named 'gone_mod'"):
        _discovery.find("gone").load()


def test_ctrl_c_while_a_plugin_is_imported_is_not_swallowed(plugin_site):
    plugin_site.add("slow", callbacks={"slow": "slow_mod:X"}, modules={"slow_mod": "raise KeyboardInterrupt"})

    with pytest.raises(KeyboardInterrupt):
        _discovery.find("slow").load()


@pytest.mark.parametrize("value", ["not a module", "mod:", "mod:a b", "", "3mod:X"])
def test_a_malformed_entry_point_is_listed_as_broken(plugin_site, value):
    plugin_site.add("odd", callbacks={"odd": value})

    assert only("odd").status == "broken"
    with pytest.raises(PluginError, match="entry point must be 'module:attribute'"):
        _discovery.find("odd").load()


def test_an_entry_point_may_have_extras_comments_and_a_nested_attribute(plugin_site):
    info = plugin_site.add("nested", modules={"nested_mod": "class Outer:\n" + textwrap.indent(GOOD, "    ")})
    (info / "entry_points.txt").write_text(
        "# a comment\n[console_scripts]\nx = y:z\n\n[onstage.callbacks]\n"
        "; another\ndeep=nested_mod:Outer.Good [extra]\n"
    )
    _discovery.refresh()

    assert only("deep").value == "nested_mod:Outer.Good"
    assert _discovery.find("deep").load().__qualname__ == "Outer.Good"


@pytest.mark.parametrize("name", ["noisy", "noisy_pack", "Noisy.Pack", "NoisyCallback"])
def test_blocks_by_entry_point_distribution_or_class_before_import(plugin_site, name):
    source = "raise RuntimeError('imported')\n"
    plugin_site.add(
        "noisy-pack", callbacks={"noisy": "noisy_mod:NoisyCallback"}, modules={"noisy_mod": source}
    )

    (plugin,) = _discovery.installed(blocked=[name])

    assert plugin.status == "blocked"
    assert plugin.reason == f"blocked by the name {name!r}"
    with pytest.raises(PluginError, match=r"callback 'noisy' of noisy-pack 1\.0 can't be used: blocked by"):
        plugin.load()
    assert "noisy_mod" not in sys.modules


def test_two_distributions_with_one_name_are_both_listed_and_neither_is_used(plugin_site):
    plugin_site.add("a-pack", "1.0", callbacks={"same": "a_mod:A"})
    plugin_site.add("b-pack", "2.0", callbacks={"same": "b_mod:B"})

    plugins = _discovery.installed()

    assert [(one.distribution, one.status) for one in plugins] == [
        ("a-pack", "duplicate"),
        ("b-pack", "duplicate"),
    ]
    with pytest.raises(PluginError, match=r"claimed by a-pack 1.0 \(a_mod:A\) and b-pack 2.0 \(b_mod:B\)"):
        _discovery.find("same").load()


def test_blocking_one_of_two_distributions_with_one_name_frees_the_other(plugin_site):
    plugin_site.add("a-pack", callbacks={"same": "a_mod:Good"}, modules={"a_mod": GOOD})
    plugin_site.add("b-pack", callbacks={"same": "b_mod:Good"}, modules={"b_mod": GOOD})

    assert _discovery.find("same", blocked=["b-pack"]).load().__module__ == "a_mod"


def test_the_first_of_two_equal_distributions_on_the_path_wins_and_the_other_is_reported(
    plugin_site, tmp_path
):
    later = type(plugin_site)(tmp_path / "later")
    plugin_site.add("twice", "1.0", callbacks={"twice": "twice_mod:Good"})
    old = later.add("Twice", "3.0", callbacks={"twice": "twice_mod:Good", "extra": "twice_mod:Extra"})

    with _discovery.override_path([str(plugin_site.folder), str(later.folder)]):
        plugins = _discovery.installed()
        found = _discovery.find("twice")

    assert [(one.name, one.version, one.status) for one in plugins] == [
        ("extra", "3.0", "shadowed"),
        ("twice", "3.0", "shadowed"),
        ("twice", "1.0", "installed"),
    ]
    assert found.version == "1.0"
    assert str(old) in plugins[0].reason
    assert "hidden by version 1.0" in plugins[0].reason


@pytest.mark.parametrize(
    ("left", "current"),
    [("0.9", "0.10"), ("1.2", "2.0"), ("9", "10"), ("1.0rc1", "1.0"), ("1.0", "1!0.1"), ("odd", "0.1")],
)
def test_an_old_version_left_behind_in_the_same_folder_is_reported(plugin_site, left, current):
    plugin_site.add("up", left, callbacks={"up": "up_mod:Good", "old": "up_mod:Old"})
    plugin_site.add("up", current, callbacks={"up": "up_mod:Good"}, modules={"up_mod": GOOD})

    assert [(one.name, one.version, one.status) for one in _discovery.installed() if one.name == "old"] == [
        ("old", left, "shadowed")
    ]
    assert _discovery.find("up").version == current
    assert _discovery.find("up").load().__name__ == "Good"


@given(st.text("aB3-_.", min_size=1))
def test_names_are_canonical_as_in_packaging(name):
    assert _distributions.canonicalize_name(name) == packaging_canonicalize_name(name)


def test_a_name_only_in_an_old_version_is_unknown(plugin_site):
    plugin_site.add("up", "1.0", callbacks={"old_name": "up_mod:Old"})
    plugin_site.add("up", "2.0", callbacks={"new_name": "up_mod:New"})

    with pytest.raises(PluginError, match=r"no callback is called 'old_name'; did you mean 'new_name'"):
        _discovery.find("old_name")


def test_a_folder_that_pip_failed_to_delete_is_ignored(plugin_site):
    info = plugin_site.add("half", callbacks={"half": "half:X"})
    info.rename(info.with_name("~alf-1.0.dist-info"))
    _discovery.refresh()

    assert _discovery.installed() == []


def test_a_folder_that_is_on_the_path_twice_is_read_once(plugin_site):
    plugin_site.add("one", callbacks={"one": "one:X"})

    with _discovery.override_path([str(plugin_site.folder), str(plugin_site.folder) + os.sep]):
        assert names(_discovery.installed()) == ["one"]


def test_an_egg_info_beside_the_source_of_an_editable_install_is_not_reported(plugin_site, tmp_path):
    source = tmp_path / "src"
    plugin_site.add(
        "edit", "1.5", callbacks={"edit": "edit_mod:Good"}, modules={"edit_mod": GOOD}, source=source
    )
    egg = source / "edit.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: edit\nVersion: 1.5\n")
    (egg / "entry_points.txt").write_text("[onstage.callbacks]\nedit = edit_mod:Good\n")

    with _discovery.override_path([str(plugin_site.folder), str(source)]):
        assert [(one.name, one.status) for one in _discovery.installed()] == [("edit", "installed")]


def test_a_distribution_in_a_zip_file_on_the_path_is_found(plugin_site, tmp_path):
    import zipfile

    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 1.0\n")
        file.writestr("zipped-1.0.dist-info/entry_points.txt", "[onstage.callbacks]\nzipped = zipped:X\n")

    with _discovery.override_path([str(archive)]):
        (plugin,) = _discovery.installed()

    assert (plugin.name, plugin.distribution, plugin.version) == ("zipped", "zipped", "1.0")


def test_unreadable_bytes_in_one_distribution_do_not_affect_the_others(plugin_site):
    info = plugin_site.add("bytes", callbacks={"bytes": "b:X"})
    (info / "entry_points.txt").write_bytes(b"[onstage.callbacks]\nbytes = \xff\xfe:X\n")
    plugin_site.add("fine", callbacks={"fine": "fine:X"})

    assert [(one.name, one.status) for one in _discovery.installed()] == [
        ("bytes", "broken"),
        ("fine", "installed"),
    ]


def test_an_editable_install_loads_from_its_source(plugin_site, tmp_path, monkeypatch):
    source = tmp_path / "checkout" / "src"
    plugin_site.add(
        "edited",
        callbacks={"edited": "edited_pkg:Good"},
        modules={"edited_pkg.__init__": GOOD},
        source=source,
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    site.addsitedir(str(plugin_site.folder))  # what Python does with site-packages: reads its .pth files

    loaded = _discovery.find("edited").load()

    assert sys.modules[loaded.__module__].__file__ == str(source / "edited_pkg" / "__init__.py")
    assert _discovery.provenance(loaded) == ("edited", "edited", "1.0")


def test_everything_works_in_a_fresh_process_with_a_site_on_its_path(plugin_site):
    plugin_site.add("real", "4.2", callbacks={"real": "real_mod:Good"}, modules={"real_mod": GOOD})
    program = (
        "from onstage.registry import _discovery as discovery; "
        "c = discovery.find('real').load()(); print(*discovery.provenance(c))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(plugin_site.folder)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert printed.stdout.split() == ["real", "real", "4.2"]


def test_provenance_is_entry_point_distribution_and_version(plugin_site):
    plugin_site.add(
        "pack",
        "1.3",
        callbacks={"good": "packed:Good"},
        modules={
            "packed.__init__": "from packed.inner import Good",
            "packed.inner": GOOD + "class Helper: ...",
        },
    )
    good = _discovery.find("good").load()

    assert _discovery.provenance(good()) == ("good", "pack", "1.3")
    assert _discovery.provenance(good) == ("good", "pack", "1.3")
    assert _discovery.provenance(sys.modules["packed.inner"].Helper()) == (None, "pack", "1.3")
    assert _discovery.provenance(sys.modules["packed"]) == (None, "pack", "1.3")


def test_provenance_is_unknown_without_a_distribution(plugin_site):
    class Own:
        def on_epoch_end(self): ...

    assert _discovery.provenance(Own()) == (None, None, None)
    assert _discovery.provenance(3) == (None, None, None)


def test_the_distribution_of_a_class_of_onstage_is_onstage_core():
    entry_point, distribution, version = _discovery.provenance(_discovery.Plugin)

    assert (entry_point, distribution) == (None, "onstage-core")
    assert version


def test_provenance_does_not_keep_a_class_alive(plugin_site):
    import gc
    import weakref

    class Passing:
        pass

    _discovery.provenance(Passing)
    reference = weakref.ref(Passing)
    del Passing
    gc.collect()

    assert reference() is None


def test_threads_may_search_refresh_and_load_at_once(plugin_site, monkeypatch):
    from onstage.registry import _config, _selection

    for n in range(5):
        plugin_site.add(f"many-{n}", callbacks={f"many_{n}": f"many_{n}:Good"}, modules={f"many_{n}": GOOD})
    errors = []

    def work(number):
        try:
            for turn in range(40):
                if turn % 5 == number % 5:
                    _discovery.refresh()
                (made,) = _selection.resolve([f"many_{turn % 5}"])
                assert _discovery.provenance(made)[1] == f"many-{turn % 5}"
                assert _config.settings().autouse is True
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
