"""Which pyproject.toml is read: the project's own, if nobody else can have written it."""

import os
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from onstage.cli import main
from onstage.errors import OnstageWarning, SettingsError
from onstage.registry import _config

TRACE = "[tool.onstage]\ntrace = true\n"

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner and mode here")
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make a file of another user"
)


@pytest.fixture
def above(plugin_site, tmp_path, monkeypatch):
    """A file with settings, two folders above the current one."""
    outer = tmp_path / "outer"
    inner = outer / "project" / "src"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    file = outer / "pyproject.toml"
    file.write_text(TRACE)
    return file


def test_the_file_of_the_project_is_read_from_its_subfolders(above):
    assert _config.settings().file == above
    assert _config.settings().trace


def test_the_search_ends_at_the_first_pyproject(above):
    (above.parent / "project/pyproject.toml").write_text("[project]\nname = 'inner'\n")

    assert _config.settings().file is None


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_search_ends_at_the_root_of_a_repository(above, kind):
    git = above.parent / "project/.git"
    if kind == "folder":
        git.mkdir()
    else:
        git.write_text("gitdir: elsewhere\n")  # as in a worktree

    assert _config.settings().file is None


def test_the_file_beside_dot_git_is_read(above):
    (above.parent / ".git").mkdir()

    assert _config.settings().file == above


def test_the_search_does_not_go_above_home(above, monkeypatch):
    monkeypatch.setenv("HOME", str(above.parent / "project"))
    assert _config.settings().file is None

    monkeypatch.setenv("HOME", str(above.parent))
    assert _config.settings().file == above


@root
def test_a_file_of_another_user_is_ignored_with_a_warning_that_names_it(above):
    os.chown(above, 12345, 12345)

    with pytest.warns(OnstageWarning, match=f"{above} is ignored: it belongs to user 12345, not to you"):
        settings = _config.settings()

    assert (settings.trace, settings.file) == (False, None)


@root
def test_a_link_of_another_user_to_a_file_of_ones_own_is_ignored(above):
    own = above.rename(above.with_name("own.toml"))
    above.symlink_to(own)
    os.chown(above, 12345, 12345, follow_symlinks=False)

    with pytest.warns(OnstageWarning, match="it belongs to user 12345"):
        assert not _config.settings().trace


@posix
def test_a_link_of_ones_own_is_followed(above):
    own = above.rename(above.with_name("own.toml"))
    above.symlink_to(own)

    assert _config.settings().trace


@posix
def test_a_file_that_every_user_may_write_is_ignored(above):
    above.chmod(0o666)

    with pytest.warns(OnstageWarning, match="is ignored: every user may write it"):
        assert not _config.settings().trace

    above.chmod(0o664)
    assert _config.settings().trace, "the mode is part of the cache's key"


@posix
def test_a_pipe_in_the_files_place_is_ignored_and_not_waited_for(above):
    above.unlink()
    os.mkfifo(above, 0o600)

    with pytest.warns(OnstageWarning, match="is ignored: it is not a regular file"):
        assert _config.settings().file is None


@posix
def test_the_environment_applies_without_the_ignored_file(above, monkeypatch):
    above.chmod(0o666)
    monkeypatch.setenv("ONSTAGE_PROFILE", "1")

    with pytest.warns(OnstageWarning, match="is ignored"):
        settings = _config.settings()

    assert (settings.trace, settings.profile) == (False, True)


@posix
def test_doctor_reports_an_ignored_file(above):
    above.chmod(0o666)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnstageWarning)
        result = CliRunner().invoke(main, ["doctor"])

    assert result.exit_code == 1
    assert f"- {above} is ignored: every user may write it" in result.output


def test_a_file_can_not_allow_imports(above):
    above.write_text("[tool.onstage]\nallow_import = true\n")

    with pytest.raises(SettingsError, match=r"allow_import must be set in the environment.*ONSTAGE_ALLOW"):
        _config.settings()


def test_without_owners_and_modes_the_file_of_the_project_is_read(above, monkeypatch):
    monkeypatch.delattr(os, "geteuid", raising=False)
    monkeypatch.delattr(os, "O_NONBLOCK", raising=False)

    assert _config.settings().trace


def test_a_tool_entry_that_is_not_a_table_has_no_settings(above):
    Path(above).write_text("tool = 'onstage'\n")

    assert _config.settings().file is None
