import subprocess
import sys

import pytest

import onstage
from onstage import callbacks
from onstage.errors import PluginError

GOOD = "class {name}:\n    def on_epoch_end(self, epoch): ...\n"


@pytest.fixture
def pack(plugin_site):
    for module, name in (("one_mod", "OneThing"), ("two_mod", "TwoThing")):
        plugin_site.add(
            module,
            callbacks={module.replace("mod", "thing"): f"{module}:{name}"},
            modules={module: GOOD.format(name=name)},
        )
    return plugin_site


def test_importing_a_third_party_callback_imports_no_other_package(pack):
    from onstage.callbacks import OneThing

    assert OneThing.__module__ == "one_mod"
    assert "two_mod" not in sys.modules


def test_the_callbacks_of_the_core_can_be_imported(pack):
    from onstage.callbacks import Callback, History

    assert (Callback, History) == (onstage.Callback, onstage.History)


def test_dir_lists_installed_callbacks_without_importing_them(pack):
    assert dir(callbacks) == ["Callback", "History", "OneThing", "TwoThing"]
    assert "one_mod" not in sys.modules


def test_a_star_import_imports_all_callbacks(pack):
    namespace = {}

    exec("from onstage.callbacks import *", namespace)

    assert {"Callback", "History", "OneThing", "TwoThing"} <= set(namespace)


def test_an_unknown_name_in_an_import_raises_with_the_closest_one(pack):
    with pytest.raises(
        ImportError, match=r"no installed callback is called 'OneThin'; did you mean 'OneThing'\?"
    ):
        from onstage.callbacks import OneThin  # noqa: F401


def test_an_unknown_attribute_is_an_attribute_error(pack):
    with pytest.raises(
        AttributeError, match="no installed callback is called 'TwoThings'; did you mean 'TwoThing'"
    ):
        callbacks.TwoThings  # noqa: B018
    assert not hasattr(callbacks, "Nothing")
    assert getattr(callbacks, "Nothing", 3) == 3


def test_a_name_of_the_import_system_is_absent(pack):
    assert not hasattr(callbacks, "__wrapped__")


def test_a_broken_plugin_raises_the_reason_and_others_can_be_imported(pack):
    pack.add("bad", callbacks={"bad": "bad_mod:Bad"}, modules={"bad_mod": "1 +"})

    with pytest.raises(PluginError, match=r"callback 'bad' of bad 1\.0 is broken: .* SyntaxError"):
        from onstage.callbacks import Bad  # noqa: F401
    from onstage.callbacks import OneThing  # noqa: F401


def test_a_class_claimed_by_two_entry_points_is_refused_with_both(pack):
    pack.add("three", callbacks={"third_thing": "three_mod:OneThing"})

    with pytest.raises(
        PluginError, match="several plugins have a class 'OneThing': 'one_thing' of one-mod and"
    ):
        callbacks.OneThing  # noqa: B018


def test_a_callback_installed_later_is_found(pack):
    dir(callbacks)
    info = pack.folder / "late-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[onstage.callbacks]\nlate = late_mod:Late\n")
    (pack.folder / "late_mod.py").write_text(GOOD.format(name="Late"))

    assert callbacks.Late.__name__ == "Late"


def test_a_blocked_callback_can_still_be_imported_by_the_users_own_import(pack, monkeypatch):
    monkeypatch.setenv("ONSTAGE_DISABLE", "one_thing")

    from onstage.callbacks import OneThing

    assert OneThing.__name__ == "OneThing"


def test_onstage_callback_works_before_and_after_the_base_class_is_imported():
    program = (
        "import onstage\n"
        "for _ in range(2):\n"
        "    try: onstage.callback('no such callback')\n"
        "    except onstage.PluginError as error: print(error)\n"
        "    from onstage.callbacks._base import Callback\n"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.count("no callback is called 'no such callback'") == 2


def test_a_package_of_onstage_that_is_missing_is_named(plugin_site):
    with pytest.raises(ImportError, match=r"install it with: pip install onstage-csv-logger \(installed: "):
        from onstage.callbacks import CSVLogger  # noqa: F401
    with pytest.raises(PluginError, match=r"'tensorboard'; install it with: pip install onstage-tensorboard"):
        onstage.callback("tensorboard")
    with pytest.raises(PluginError, match=r"'lr_finder'; install it with: pip install onstage-lr-finder"):
        onstage.lr_find(None, None)
