import os
import time
from pathlib import Path

import pytest

from onstage.errors import SettingsError
from onstage.registry import _config

FULL = """
[tool.onstage]
callbacks = ["csv_logger", {early_stopping = {patience = 3}}]
disable = ["tensorboard"]
autouse = false
trace = true
profile = true

[tool.onstage.options]
csv_logger = {filename = "log.csv"}

[tool.onstage.on_error]
remote_monitor = "raise"
"""


@pytest.fixture
def project(plugin_site):
    """A folder without settings; the current one."""

    def write(text, folder=Path()):
        path = folder / "pyproject.toml"
        path.write_text(text)
        return str(path.resolve())

    return write


def test_defaults_apply_if_nothing_is_set(project):
    settings = _config.settings()

    assert (settings.callbacks, settings.disable, settings.options, settings.on_error) == ((), (), {}, {})
    assert (settings.autouse, settings.allow_import, settings.trace, settings.profile) == (
        True,
        False,
        False,
        False,
    )
    assert settings.sources == {}


def test_reads_every_key_of_the_table(project):
    path = project(FULL)

    settings = _config.settings()

    assert settings.callbacks == (("csv_logger", {}), ("early_stopping", {"patience": 3}))
    assert settings.disable == ("tensorboard",)
    assert (settings.autouse, settings.allow_import, settings.trace, settings.profile) == (
        False,
        False,
        True,
        True,
    )
    assert settings.options == {"csv_logger": {"filename": "log.csv"}}
    assert settings.on_error == {"remote_monitor": "raise"}
    assert str(settings.file) == path
    assert settings.sources["trace"] == path


def test_the_environment_wins_over_the_file(project, monkeypatch):
    project(FULL)
    monkeypatch.setenv("ONSTAGE_AUTOUSE", "1")
    monkeypatch.setenv("ONSTAGE_ALLOW_IMPORT", "no")
    monkeypatch.setenv("ONSTAGE_TRACE", "off")
    monkeypatch.setenv("ONSTAGE_PROFILE", "FALSE")

    settings = _config.settings()

    assert (settings.autouse, settings.allow_import, settings.trace, settings.profile) == (
        True,
        False,
        False,
        False,
    )
    assert settings.sources["autouse"] == "ONSTAGE_AUTOUSE"


def test_lists_of_environment_and_file_add_up(project, monkeypatch):
    path = project(FULL)
    monkeypatch.setenv("ONSTAGE_CALLBACKS", " progbar_logger, early_stopping ,")
    monkeypatch.setenv("ONSTAGE_DISABLE", "csv_logger,remote_monitor")

    settings = _config.settings()

    assert [name for name, _ in settings.callbacks] == ["csv_logger", "early_stopping", "progbar_logger"]
    assert dict(settings.callbacks)["early_stopping"] == {"patience": 3}
    assert settings.disable == ("tensorboard", "csv_logger", "remote_monitor")
    assert settings.sources["disable"] == f"{path}, ONSTAGE_DISABLE"


def test_an_empty_variable_sets_nothing(project, monkeypatch):
    project(FULL)
    monkeypatch.setenv("ONSTAGE_AUTOUSE", "")
    monkeypatch.setenv("ONSTAGE_DISABLE", " ")

    assert _config.settings().autouse is False
    assert _config.settings().disable == ("tensorboard",)


def test_settings_are_cached_until_something_changes(project, monkeypatch):
    project(FULL)
    first = _config.settings()

    assert _config.settings() is first
    monkeypatch.setenv("ONSTAGE_TRACE", "0")
    second = _config.settings()
    assert second is not first
    path = Path(project("[tool.onstage]\nprofile = false\n"))
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 5_000_000))
    assert _config.settings().profile is False


def test_a_deleted_current_folder_has_no_settings(project, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert _config.settings().file is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "calbacks = []",
            r"\[tool.onstage\] has no key 'calbacks'; did you mean 'callbacks'\? \(keys: callbacks, ",
        ),
        ("verbose = 1", r"has no key 'verbose' \(keys: "),
        ("autouse = 0", r"autouse must be true or false, got 0"),
        ("trace = 'yes'", r"trace must be true or false, got 'yes'"),
        ("callbacks = 'csv_logger'", r"callbacks must be a list of names or .* got 'csv_logger'"),
        ("callbacks = [3]", r"callbacks must have the form .* got 3"),
        (
            "callbacks = [{early_stopping = 3}]",
            r"callbacks must have the form .* got \{'early_stopping': 3\}",
        ),
        ("disable = 'x'", r"disable must be a list of names, got 'x'"),
        ("disable = [1]", r"disable must be a list of names, got \[1\]"),
        ("options = {a = 1}", r"options must have the form .* got \{'a': 1\}"),
        ("on_error = {a = 'ignore'}", r"on_error\.a must be 'raise', 'disable' or 'retry', got 'ignore'"),
        ("on_error = 'raise'", r"on_error must have the form .* got 'raise'"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_file_and_key(project, text, message):
    path = project(f"[tool.onstage]\n{text}\n")

    with pytest.raises(SettingsError, match=message) as caught:
        _config.settings()

    assert str(caught.value).startswith(f"{path}: [tool.onstage]")


def test_an_entry_that_is_not_a_table_is_refused(project):
    project("tool.onstage = 3\n")

    with pytest.raises(SettingsError, match="must be a table, got 3"):
        _config.settings()


def test_a_file_that_is_not_toml_is_refused_by_name(project):
    path = project("[tool.onstage\n")

    with pytest.raises(SettingsError, match="can't be read: Expected") as caught:
        _config.settings()

    assert str(caught.value).startswith(path)


def test_a_file_in_another_encoding_is_refused_by_name(project):
    Path("pyproject.toml").write_bytes(b"[tool.onstage]\n# caf\xe9\n")

    with pytest.raises(SettingsError, match=r"pyproject\.toml can't be read: .*utf-8"):
        _config.settings()


@pytest.mark.parametrize("variable", ["ONSTAGE_TRACE", "ONSTAGE_AUTOUSE"])
def test_a_flag_in_the_environment_must_be_one(project, monkeypatch, variable):
    monkeypatch.setenv(variable, "perhaps")

    with pytest.raises(SettingsError, match=f"{variable} must be 1 or 0, got 'perhaps'"):
        _config.settings()


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("ONSTAGE_CALBACKS", "ONSTAGE_CALLBACKS"), ("ONSTAGE_DISABLED", "ONSTAGE_DISABLE")],
)
def test_a_misspelled_variable_is_refused_with_the_closest_one(project, monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "csv_logger")

    with pytest.raises(
        SettingsError, match=rf"environment variable {variable} is unknown; did you mean '{meant}'\?"
    ):
        _config.settings()


def test_a_variable_of_a_plugin_is_ignored(project, monkeypatch):
    monkeypatch.setenv("ONSTAGE_TENSORBOARD_DIR", "/somewhere")

    assert _config.settings().sources == {}


def test_every_key_and_variable_is_documented_with_its_exact_name():
    for name in (*_config.VARIABLES, *_config.VARIABLES.values(), "options", "on_error"):
        assert name in _config.__doc__
