import warnings

import pytest

from onstage.errors import OnstageWarning, PluginError, SettingsError
from onstage.registry import _config, _discovery, _factory, _selection

PACK = """
class Stopper:
    on_error = "raise"

    def __init__(self, monitor="val_loss", patience=0):
        self.monitor, self.patience = monitor, patience

    def on_epoch_end(self, epoch, logs): ...


class Writer:
    def __init__(self, filename, *, append=False):
        self.filename, self.append = filename, append

    def on_epoch_end(self, epoch, logs): ...


def quiet(level=1):
    made = Stopper("quiet")
    made.level = level
    return made


class Open:
    def __init__(self, **anything):
        self.anything = anything

    def on_epoch_end(self): ...
"""

ENTRIES = {
    "stopper": "pack_mod:Stopper",
    "writer": "pack_mod:Writer",
    "quiet": "pack_mod:quiet",
    "open": "pack_mod:Open",
}


@pytest.fixture
def pack(plugin_site):
    plugin_site.add("pack", callbacks=ENTRIES, modules={"pack_mod": PACK})
    return plugin_site


@pytest.fixture
def project(pack, tmp_path):
    def write(text):
        path = tmp_path / "project" / "pyproject.toml"
        path.write_text(f"[tool.onstage]\n{text}\n")
        return str(path)

    return write


class Own:
    def on_epoch_end(self, epoch): ...


def kinds(callbacks):
    return [type(one).__name__ for one in callbacks]


@pytest.mark.parametrize("nothing", [None, [], (), [None], [[], [None]]])
def test_none_and_empty_lists_are_no_callbacks(pack, nothing):
    assert _selection.resolve(nothing) == []


def test_objects_keep_their_order_and_nested_lists_are_flattened(pack):
    a, b, c = Own(), Own(), Own()

    assert _selection.resolve([a, [b, (None, [c])]]) == [a, b, c]
    assert _selection.resolve(a) == [a]


def test_callbacks_are_created_from_names_with_and_without_options(pack):
    own = Own()

    made = _selection.resolve(
        ["stopper", own, {"stopper": {"patience": 3}, "writer": {"filename": "x.csv"}}, "Stopper"]
    )

    assert kinds(made) == ["Stopper", "Own", "Stopper", "Writer", "Stopper"]
    assert [made[0].patience, made[2].patience, made[3].filename] == [0, 3, "x.csv"]


def test_options_may_be_empty(pack):
    assert kinds(_selection.resolve([{"stopper": None}, {"stopper": {}}])) == ["Stopper", "Stopper"]


def test_a_factory_creates_the_callback(pack):
    (made,) = _selection.resolve([{"quiet": {"level": 5}}])

    assert (made.monitor, made.level) == ("quiet", 5)


def test_callback_creates_one_by_name(pack):
    assert _factory.callback("stopper", patience=7).patience == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Own, r"must be an object, got the class Own; write Own\(\)"),
        ([Own], r"must be an object, got the class Own; write Own\(\)"),
        (kinds, r"got the function kinds; write LambdaCallback\(on_epoch_end=kinds\)"),
        (print, r"got the function print"),
        ({"stopper": 3}, r"must be \{name: \{option: value\}\}, got \{'stopper': 3\}"),
        ({3: {}}, r"must be \{name: \{option: value\}\}, got \{3: \{\}\}"),
    ],
)
def test_anything_else_is_refused(pack, given, message):
    with pytest.raises(TypeError, match=message):
        _selection.resolve(given)


def test_the_error_on_an_unknown_option_names_the_closest(pack):
    with pytest.raises(TypeError) as caught:
        _factory.callback("stopper", patiense=3)

    assert str(caught.value) == (
        "stopper has no option 'patiense'; did you mean 'patience'? (options: monitor, patience)"
    )


def test_a_missing_required_option_is_named(pack):
    with pytest.raises(
        TypeError,
        match=r"writer needs the option 'filename'; "
        r"write Writer\(filename=\.\.\.\) or \{'writer': \{'filename': \.\.\.\}\}",
    ):
        _selection.resolve("writer")


def test_a_constructor_with_open_keywords_takes_any_option(pack):
    assert _factory.callback("open", whatever=1).anything == {"whatever": 1}


def test_an_error_of_the_constructor_has_a_note_with_the_name(plugin_site):
    source = (
        "class Picky:\n    def __init__(self): raise OSError('no disk')\n    def on_epoch_end(self): ...\n"
    )
    plugin_site.add("picky", callbacks={"picky": "picky_mod:Picky"}, modules={"picky_mod": source})

    with pytest.raises(OSError, match="no disk") as caught:
        _selection.resolve("picky")

    assert caught.value.__notes__ == ["while creating the callback 'picky'"]


def test_a_factory_that_returns_none_is_refused(plugin_site):
    plugin_site.add(
        "none", callbacks={"none": "none_mod:make"}, modules={"none_mod": "def make():\n    pass\n"}
    )

    with pytest.raises(
        PluginError, match="the factory of the callback 'none' must return an object, got None"
    ):
        _selection.resolve("none")


def test_an_unknown_name_is_refused_with_the_closest(pack):
    with pytest.raises(PluginError, match="no callback is called 'stoper'; did you mean 'stopper'"):
        _selection.resolve(["stoper"])


def test_module_and_class_are_refused_unless_the_environment_allows_them(pack, monkeypatch):
    with pytest.raises(PluginError, match="is disabled; set ONSTAGE_ALLOW_IMPORT=1, or pass the object"):
        _selection.resolve(["pack_mod:Stopper"])

    monkeypatch.setenv("ONSTAGE_ALLOW_IMPORT", "1")
    (made,) = _selection.resolve([{"pack_mod:Stopper": {"patience": 2}}])
    assert made.patience == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_mod:X", "can't be imported: ModuleNotFoundError"),
        ("pack_mod:Nothing", "can't be imported: AttributeError"),
        ("pack_mod:__name__", "must be a callback class, got str"),
        ("os:getpid", "must be a callback class, got builtin_function_or_method"),
        ("subprocess:Popen", "must be a callback class, got a class without any stage method"),
    ],
)
def test_module_and_class_that_can_not_be_imported_are_refused(pack, monkeypatch, name, message):
    monkeypatch.setenv("ONSTAGE_ALLOW_IMPORT", "1")

    with pytest.raises(PluginError, match=f"'{name}' {message}"):
        _selection.resolve(name)


def test_settings_add_callbacks_after_those_of_code(project, monkeypatch):
    project("callbacks = [{writer = {filename = 'a.csv'}}]")
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "open")
    own = Own()

    made = _selection.resolve([own])

    assert kinds(made) == ["Own", "Writer", "Open"]
    assert made[1].filename == "a.csv"


def test_settings_add_no_callback_whose_class_or_name_is_present(project, monkeypatch):
    project("callbacks = [{stopper = {patience = 9}}, 'quiet']")
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "stopper,Stopper")
    explicit = _factory.callback("stopper", patience=1)

    assert _selection.resolve([explicit, "quiet"])[0] is explicit
    assert len(_selection.resolve([explicit, "quiet"])) == 2


def test_a_subclass_given_in_code_counts_as_the_class(project):
    project("callbacks = ['stopper']")
    mine = type("Mine", (_discovery.find("stopper").load(),), {})()

    assert _selection.resolve(mine) == [mine]


def test_code_wins_over_settings_and_settings_over_the_plugins_default(project):
    project("callbacks = ['stopper']\noptions = {stopper = {patience = 4, monitor = 'loss'}}")

    by_setting = _selection.resolve()[0]
    by_code = _selection.resolve([{"stopper": {"patience": 8}}])[0]
    explicit = _selection.resolve([_discovery.find("stopper").load()()])[0]

    assert (by_setting.patience, by_setting.monitor) == (4, "loss")
    assert (by_code.patience, by_code.monitor) == (8, "loss")
    assert (explicit.patience, explicit.monitor) == (0, "val_loss")


def test_inline_options_win_over_the_options_table(project):
    project(
        "callbacks = [{stopper = {patience = 2}}]\noptions = {Stopper = {patience = 4, monitor = 'loss'}}"
    )

    (made,) = _selection.resolve()

    assert (made.patience, made.monitor) == (2, "loss")


@pytest.mark.parametrize("setting", ["callbacks = [{open = {of = [1]}}]", "options = {open = {of = [1]}}"])
def test_a_callback_that_modifies_its_options_does_not_affect_later_runs(project, setting):
    project(setting)

    def made():
        return [*_selection.resolve(), *_selection.resolve("open")][0].anything["of"]

    made().append(2)

    assert made() == [1]


def test_a_wrong_option_in_a_setting_is_refused_with_the_file(project):
    path = project("callbacks = [{stopper = {patienc = 2}}]")

    with pytest.raises(TypeError, match="no option 'patienc'; did you mean 'patience'") as caught:
        _selection.resolve()

    assert caught.value.__notes__ == [f"while creating the callback 'stopper', requested by {path}"]


def test_an_unknown_name_in_a_setting_is_an_error(pack, monkeypatch):
    monkeypatch.setenv("ONSTAGE_CALLBACKS", "writter")

    with pytest.raises(PluginError, match="no callback is called 'writter'; did you mean 'writer'"):
        _selection.resolve()


@pytest.mark.parametrize(
    "text", ["disable = ['stoper']", "options = {stoper = {}}", "on_error = {stoper = 'raise'}"]
)
def test_a_misspelled_name_in_disable_options_or_on_error_is_refused(project, text):
    path = project(text)

    with pytest.raises(
        SettingsError, match=f"{text.split()[0]} names 'stoper', which is not installed; did you mean"
    ) as caught:
        _selection.resolve()

    assert str(caught.value).startswith(path)


def test_a_command_may_be_blocked_by_name(project, pack):
    pack.add("shell", commands={"shout": "shell_mod:shout"})
    project("disable = ['shout']")

    assert _selection.unknown_names(_config.settings()) == []


def test_settings_for_a_plugin_that_is_not_installed_are_ignored(project):
    project("disable = ['wandb']\noptions = {mlflow = {}}\non_error = {neptune = 'raise'}")

    assert _selection.resolve() == []
    assert _selection.unknown_names(_config.settings()) == [
        ("disable", "wandb"),
        ("options", "mlflow"),
        ("on_error", "neptune"),
    ]


@pytest.mark.parametrize("given", ["name", "options", "object"])
@pytest.mark.parametrize("block", ["stopper", "pack", "Stopper"])
def test_a_blocked_callback_in_code_is_left_out_with_a_warning(pack, monkeypatch, given, block):
    asked = {"name": "stopper", "options": {"stopper": {}}, "object": _factory.callback("stopper")}[given]
    own = Own()
    monkeypatch.setenv("ONSTAGE_DISABLE", block)

    with pytest.warns(
        OnstageWarning, match=r"the callback [Ss]topper is left out: blocked by ONSTAGE_DISABLE"
    ):
        assert _selection.resolve([asked, own]) == [own]


def test_a_blocked_callback_in_the_settings_is_left_out_silently(project, monkeypatch):
    project("callbacks = ['stopper', 'open']")
    monkeypatch.setenv("ONSTAGE_DISABLE", "stopper")

    assert kinds(_selection.resolve()) == ["Open"]


def test_a_blocked_plugin_is_never_imported(plugin_site, monkeypatch):
    plugin_site.add(
        "bad",
        callbacks={"bad": "bad_mod:X"},
        autouse={"bad_auto": "bad_mod"},
        modules={"bad_mod": "raise SystemExit"},
    )
    monkeypatch.setenv("ONSTAGE_DISABLE", "bad")

    with pytest.warns(OnstageWarning, match="the callback bad is left out"):
        assert _selection.resolve(["bad"]) == []
    assert _selection.autouse() == []


def test_creating_a_blocked_callback_by_name_is_an_error(pack, monkeypatch):
    monkeypatch.setenv("ONSTAGE_DISABLE", "pack")

    with pytest.raises(
        PluginError, match=r"callback 'stopper' of pack 1\.0 can't be used: blocked by the name 'pack'"
    ):
        _factory.callback("stopper")


AUTO = """
class PerRun:
    def on_epoch_end(self): ...

class Shared:
    def on_epoch_end(self): ...

shared = Shared()
"""


def test_autouse_instantiates_classes_and_shares_objects_and_modules(plugin_site):
    plugin_site.add(
        "auto",
        autouse={"c_class": "auto_mod:PerRun", "b_object": "auto_mod:shared", "a_module": "auto_hooks"},
        modules={"auto_mod": AUTO, "auto_hooks": "def on_epoch_end(epoch): ...\n"},
    )

    first, second = _selection.autouse(), _selection.autouse()

    assert first[0].__name__ == "auto_hooks"
    assert kinds(first[1:]) == ["Shared", "PerRun"]
    assert second[1] is first[1]
    assert second[2] is not first[2]


@pytest.mark.parametrize("variable", ["ONSTAGE_AUTOUSE", None])
def test_autouse_can_be_disabled_before_any_import(plugin_site, tmp_path, monkeypatch, variable):
    plugin_site.add("auto", autouse={"auto": "auto_mod"}, modules={"auto_mod": "raise SystemExit"})
    if variable:
        monkeypatch.setenv(variable, "0")
    else:
        (tmp_path / "project" / "pyproject.toml").write_text("[tool.onstage]\nautouse = false\n")

    assert _selection.autouse() == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "importing auto_mod:Auto raised RuntimeError: no licence"),
        ("import sys; sys.exit(1)", "raised SystemExit: 1"),
        ("Auto = 3", "must have hook implementations, got int without any"),
        (
            "class Auto:\n    def __init__(self, x): ...\n    def on_epoch_end(self): ...",
            "missing 1 required",
        ),
    ],
)
def test_a_broken_autouse_plugin_is_named_in_a_warning_and_the_others_act(plugin_site, source, reason):
    plugin_site.add("auto", autouse={"auto": "auto_mod:Auto"}, modules={"auto_mod": source})
    plugin_site.add("fine", autouse={"fine": "fine_mod"}, modules={"fine_mod": "def on_epoch_end(): ...\n"})

    with pytest.warns(
        OnstageWarning, match="autouse plugin 'auto' of auto 1.0.*the run continues without it"
    ) as caught:
        (active,) = _selection.autouse()

    assert reason in str(caught[0].message)
    assert active.__name__ == "fine_mod"


def test_two_autouse_plugins_of_one_name_are_named_in_warnings(plugin_site):
    for name in ("a", "b"):
        plugin_site.add(
            name, autouse={"same": f"{name}_mod"}, modules={f"{name}_mod": "def on_epoch_end(): ...\n"}
        )

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert _selection.autouse() == []

    assert len(caught) == 2
    assert "claimed by a 1.0 (a_mod) and b 1.0 (b_mod)" in str(caught[0].message)


def test_the_error_policy_is_that_of_the_object_then_the_settings_then_the_class(project):
    stopper = _discovery.find("stopper").load()
    on_object = stopper()
    on_object.on_error = "disable"

    assert _selection.error_policy(Own()) == "raise"
    assert _selection.error_policy(stopper()) == "raise"
    project("on_error = {stopper = 'disable', Own = 'disable'}")
    assert _selection.error_policy(stopper()) == "disable"
    assert _selection.error_policy(Own()) == "disable"
    project("on_error = {stopper = 'raise'}")
    assert _selection.error_policy(on_object) == "disable"


def test_a_class_given_with_its_module_is_blocked_by_its_name(pack, monkeypatch):
    monkeypatch.setenv("ONSTAGE_ALLOW_IMPORT", "1")
    monkeypatch.setenv("ONSTAGE_DISABLE", "Stopper")

    with pytest.warns(OnstageWarning, match=r"the callback pack_mod:Stopper is left out: blocked by"):
        assert _selection.resolve(["pack_mod:Stopper"]) == []
