"""Every plugin's pyproject follows one template, and all packages share one version."""

import re

import pytest

import onstage
from onstage.registry import _discovery

MAJOR, MINOR = map(int, onstage.__version__.split(".")[:2])
CORE_RANGE = f"onstage-core>={MAJOR}.{MINOR},<{MAJOR}.{MINOR + 1}"


@pytest.fixture
def folders(plugins, folder_of):
    """Return every folder with a package, relative to the root."""
    return [".", "core", *map(folder_of, plugins)]


def template(plugin, project):
    """Return a plugin's pyproject.toml, with its own entries taken from `project`."""
    own = project["project"]
    described = {
        "name": f"onstage-{plugin.replace('_', '-')}",
        "version": onstage.__version__,
        "description": own["description"],
        "readme": "README.md",
        "license": "MIT",
        "license-files": ["LICENSE"],
        "requires-python": ">=3.11",
        "classifiers": ["Typing :: Typed"],
        "dependencies": own["dependencies"],
    }
    for optional in ("optional-dependencies", "scripts"):
        if optional in own:
            described[optional] = own[optional]
    if "entry-points" in own:
        described["entry-points"] = own["entry-points"]
    return {
        "build-system": {"requires": ["hatchling>=1.26"], "build-backend": "hatchling.build"},
        "project": described,
        "tool": {"hatch": {"build": {"targets": {"wheel": {"packages": [f"src/onstage_{plugin}"]}}}}},
    }


def test_a_plugins_pyproject_equals_the_template(plugin, folder_of, pyproject):
    project = pyproject(folder_of(plugin))

    assert project == template(plugin, project)


def test_a_plugin_depends_on_the_core_range_first_then_on_others_sorted_by_name(plugin, folder_of, pyproject):
    dependencies = pyproject(folder_of(plugin))["project"]["dependencies"]

    assert dependencies[0] == CORE_RANGE
    assert dependencies[1:] == sorted(dependencies[1:], key=str.lower)


def test_the_names_of_a_plugins_entry_point_and_class_are_its_folders(plugin, folder_of, pyproject):
    groups = pyproject(folder_of(plugin))["project"].get("entry-points", {})
    group = folder_of(plugin).parent.name
    if group == "hosts":
        assert groups["onstage.hosts"][plugin].startswith(f"onstage_{plugin}:Onstage")
        return
    if "onstage.callbacks" not in groups:
        assert group == "backends", "a plugin without a callback is a backend or an adapter"
        return
    entries = groups["onstage.callbacks"]
    module, _, name = entries[plugin].partition(":")

    assert list(entries) == [plugin]
    assert module == f"onstage_{plugin}"
    assert name.lower() == plugin.replace("_", "")


def test_a_plugin_is_described_typed_and_has_a_readme(plugin, folder_of, pyproject):
    folder = folder_of(plugin)
    project = pyproject(folder)["project"]

    assert (folder / f"src/onstage_{plugin}/py.typed").read_text() == ""
    assert (folder / "README.md").read_text().startswith(f"# {project['name']}\n")
    assert not project["description"].endswith(".")


def test_the_files_of_a_plugin_are_its_pyproject_readme_license_and_package(plugin, folder_of):
    folder = folder_of(plugin)
    kept = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {"dist", "build"}

    assert kept == {"pyproject.toml", "README.md", "LICENSE", "src"}
    packages = {path.name for path in (folder / "src").iterdir() if not path.name.endswith(".egg-info")}
    assert packages == {f"onstage_{plugin}"}


def test_every_package_carries_the_license(root, folders):
    for folder in folders:
        assert (root / folder / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes(), folder


def test_all_packages_have_one_version(root, folders, pyproject):
    versions = {folder: pyproject(folder)["project"]["version"] for folder in folders}
    for path in [*root.glob("core/src/**/*.py"), *root.glob("plugins/*/*/src/**/*.py")]:
        if found := re.search(r'^__version__ = "(.*)"$', path.read_text(encoding="utf-8"), re.MULTILINE):
            versions[path] = found.group(1)

    assert set(versions.values()) == {onstage.__version__}, versions


def test_every_pin_names_this_version(root, folders):
    for folder in folders:
        text = (root / folder / "pyproject.toml").read_text(encoding="utf-8")
        assert set(re.findall(r"==([\w.]+)", text)) <= {onstage.__version__}, folder


def test_every_range_of_the_core_admits_this_minor_version_alone(root, folders):
    documents = [root / folder / "pyproject.toml" for folder in [*folders, "examples/third_party_plugin"]]
    for path in [*documents, root / "core/README.md"]:
        ranges = re.findall(r"onstage-core>=[^\s\"]+", path.read_text(encoding="utf-8"))
        assert set(ranges) <= {CORE_RANGE}, path


def test_the_classifiers_name_only_pythons_that_are_tested(root, pyproject):
    tested = re.search(r"PYTHONS:-([\d. ]+)", (root / ".ci/versions").read_text(encoding="utf-8"))[1].split()
    tested += re.findall(r"\.ci/python (3\.\d+)", (root / ".ci/run").read_text(encoding="utf-8"))
    named = re.findall(r"Python :: (3\.\d+)", str(pyproject(".")["project"]["classifiers"]))

    assert named
    assert set(named) <= set(tested)


def test_the_changelog_has_an_entry_for_this_version(root):
    changelog = (root / "core/docs/CHANGELOG.md").read_text(encoding="utf-8")

    assert f"\n## [{onstage.__version__}] - " in changelog


def test_onstage_depends_on_the_core_and_the_built_in_callbacks_of_its_own_version(
    plugins, folder_of, pyproject
):
    project = pyproject(".")["project"]
    callbacks = [
        f"onstage-{name.replace('_', '-')}=={onstage.__version__}"
        for name in plugins
        if folder_of(name).parent.name == "callbacks"
    ]
    optional = {one for extra in project["optional-dependencies"].values() for one in extra}

    built_in = [one for one in callbacks if one not in optional]
    assert project["dependencies"] == [f"onstage-core=={onstage.__version__}", *built_in]


def test_an_extra_of_onstage_brings_each_callback_that_needs_a_large_library(plugins, folder_of, pyproject):
    extras = pyproject(".")["project"]["optional-dependencies"]

    assert extras["rich"] == [f"onstage-rich-progress=={onstage.__version__}"]
    assert extras["figures"] == [f"onstage-figures=={onstage.__version__}"]


def test_the_workspace_knows_every_package(folders, pyproject):
    root = pyproject(".")
    names = [pyproject(folder)["project"]["name"] for folder in folders]

    assert root["tool"]["uv"]["workspace"]["members"] == ["core", "plugins/*/*"]
    assert set(names) - {"onstage"} - {"onstage-torch"} <= set(root["tool"]["uv"]["sources"])


def test_discovery_finds_every_plugin_that_is_declared(plugins, folder_of):
    found = {
        plugin.name: plugin for plugin in _discovery.installed() if plugin.distribution.startswith("onstage-")
    }

    for name in [
        name for name in plugins if folder_of(name).parent.name not in ("backends", "hosts", "trackers")
    ]:
        assert (found[name].status, found[name].version) == ("installed", onstage.__version__)


def test_no_pyproject_names_an_absolute_path_or_a_registry(root, folders):
    for folder in folders:
        text = (root / folder / "pyproject.toml").read_text(encoding="utf-8")
        assert not re.search(r"file://|index-url|simple/?\"", text), folder
