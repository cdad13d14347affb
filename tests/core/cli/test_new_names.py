"""`onstage new` writes a package that can be installed, whatever name it accepts."""

import ast
import keyword
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from onstage.cli import main
from onstage.cli.new import LONGEST_NAME, RESERVED, class_name, name_problem, package_files, snake_case
from onstage.registry._first_party import CALLBACK_CLASSES

ROOT = Path(__file__).parents[3]
WORDS = st.text("abzAZ09_-. ", max_size=30) | st.sampled_from(sorted(RESERVED) + keyword.kwlist)
LIKELY = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}([-_ .]{1,2}[A-Za-z0-9]{1,8}){0,4}", fullmatch=True)
TEXTS = LIKELY | WORDS | st.text(max_size=80)
DISTRIBUTION = re.compile(r"[a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9]", re.IGNORECASE)
"""The valid names of the packaging specifications, "Names and normalization"."""


def new(*args):
    return CliRunner().invoke(main, ["new", *args])


@given(TEXTS)
@example("x_")
@example("_x")
@example("a__b")
@example("none")
@example("State")
@example("callback")
@example("ünïcode")
@example("ﬁ")
@example("İstanbul")
@example("a" * 300)
@settings(max_examples=300, deadline=None)
def test_an_accepted_name_is_valid_wherever_it_is_used(name):
    snake = snake_case(name)
    if name_problem(snake):
        return

    files = package_files(snake)

    project = tomllib.loads(files["pyproject.toml"])["project"]
    ((entry, target),) = project["entry-points"]["onstage.callbacks"].items()
    module, _, kind = target.partition(":")
    assert DISTRIBUTION.fullmatch(project["name"])
    assert project["name"] == canonicalize_name(project["name"]), "its folder and its metadata agree"
    assert (entry, module) == (snake, f"onstage_{snake}")
    for word in (module, kind):
        assert word.isascii()
        assert word.isidentifier()
        assert not keyword.iskeyword(word)
    assert canonicalize_name(module) == project["name"], "hatchling finds the package"
    source = ast.parse(files[f"src/{module}/__init__.py"])
    imported = {
        alias.name for node in source.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert kind not in imported, "the class would replace what its own module imports"
    for path, text in files.items():
        assert len(path.rpartition("/")[2]) < 100
        assert "@" not in text
        if path.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize(
    "name", ["_x", "x_", "a__b", "3d", "", "-", "ünïcode", "ﬁt", "名", "a\nb", "a" * (LONGEST_NAME + 1), "x²"]
)
def test_a_name_that_would_not_install_is_refused(plugin_site, tmp_path, name):
    result = new(name, "--folder", str(tmp_path / "here"))

    assert result.exit_code == 2
    assert "NAME must " in result.output
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("name", ["none", "True", "callback", "Logs", "state", "def"])
def test_a_word_of_python_or_of_the_module_is_refused(plugin_site, name):
    result = new(name)

    assert result.exit_code == 2
    assert "must not be a word of Python" in result.output


@pytest.mark.parametrize("name", ["core", "CSVLogger", "torch", "early-stopping"])
def test_a_name_of_onstage_itself_is_refused_even_if_it_is_not_installed(plugin_site, name):
    result = new(name)

    assert result.exit_code == 2
    assert f"must not be a name of onstage itself, got {name!r}" in result.output


def test_every_package_of_this_repository_is_reserved():
    packages = {path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")}

    assert packages | {"core"} <= RESERVED, (
        "add it to CALLBACK_CLASSES in onstage/registry/_first_party.py, or to _OTHERS in onstage/cli/new.py"
    )


def test_every_callback_of_this_repository_is_known_by_its_class():
    known = {}
    for path in ROOT.glob("plugins/*/*/pyproject.toml"):
        points = (
            tomllib.loads(path.read_text())["project"].get("entry-points", {}).get("onstage.callbacks", {})
        )
        known.update({name: value.partition(":")[2] for name, value in points.items()})

    assert known == CALLBACK_CLASSES


def test_a_class_or_a_package_that_is_installed_is_refused(plugin_site):
    plugin_site.add("other-pack", callbacks={"another": "other_pack:MyAlarm"})

    assert "'my_alarm' is taken by other-pack" in new("my_alarm").output
    assert "'another' is taken by other-pack" in new("another").output


def test_a_package_without_callbacks_is_not_shadowed(plugin_site):
    plugin_site.add("onstage-defaults", autouse={"defaults": "onstage_defaults:Defaults"})

    assert "'defaults' is taken by onstage-defaults" in new("defaults").output


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds and installs here")
@pytest.mark.parametrize("name", ["test_time_augmentation", "A1", "z" * LONGEST_NAME])
def test_a_written_package_is_installed_and_its_tests_pass(tmp_path, name):
    assert new(name, "--folder", str(tmp_path)).exit_code == 0
    (package,) = tmp_path.iterdir()
    snake = snake_case(name)
    target = tmp_path / "installed"

    def run(*command):
        done = subprocess.run(command, cwd=package, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    run("uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", target, ".")
    run(sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    found = f"import sys; sys.path.insert(0, {str(target)!r}); import onstage; "
    run(
        sys.executable,
        "-c",
        f"{found}assert type(onstage.callback({snake!r})).__name__ == {class_name(snake)!r}",
    )
