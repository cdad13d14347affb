"""What `.ci/release` writes into packages, and what it refuses."""

import io
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
URL = "https://example.org/stage/onstage"


def load(name):
    spec = spec_from_file_location(name, ROOT / f".ci/{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages, check_dist = load("pages"), load("check_dist")


@pytest.fixture
def tree(tmp_path, root, folders):
    """Return a copy of all pyprojects and READMEs."""
    for folder in folders:
        target = tmp_path / Path(root, folder).relative_to(root)
        target.mkdir(parents=True, exist_ok=True)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(Path(root, folder) / name, target / name)
    return tmp_path


@pytest.fixture
def folders(plugins, folder_of):
    return [".", "core", *map(folder_of, plugins)]


def test_a_relative_link_leads_to_the_repository_at_the_tag():
    text = "[a](b.md#c) [up](../LICENSE) ![p](p.svg) [`x`](y) [web](https://a.b) [here](#there)"

    assert pages.absolute_links(text, "core", URL, "v1.2.3") == (
        f"[a]({URL}/blob/v1.2.3/core/b.md#c) [up]({URL}/blob/v1.2.3/LICENSE) "
        f"![p]({URL}/raw/v1.2.3/core/p.svg) [`x`]({URL}/blob/v1.2.3/core/y) [web](https://a.b) [here](#there)"
    )


def test_without_an_address_a_link_is_its_words_and_a_picture_is_left_out():
    assert pages.absolute_links("see [`a`](b.md).\n\n![p](p.svg)\n", ".", "", "v1.2.3") == "see `a`.\n\n\n"


def test_code_keeps_what_looks_like_a_link():
    code = "```python\nf[0](x)\n```"

    assert pages.absolute_links(code, ".", URL, "v1") == code


@pytest.mark.parametrize("url", ["", URL, URL + "/"])
def test_every_package_gets_urls_only_if_the_address_is_set(tree, folders, root, url):
    project = tree / "pyproject.toml"
    project.write_text(project.read_text().replace('url = ""', f'url = "{url}"'))

    pages.prepare(tree, "v1.2.3")

    for folder in folders:
        target = tree / Path(root, folder).relative_to(root)
        described = tomllib.loads((target / "pyproject.toml").read_text())["project"]
        assert described.get("urls", {}).get("Homepage", "") == url.rstrip("/")
        assert "Programming Language :: Python :: 3.11" in described["classifiers"]
        assert not pages.LINK.search((target / "README.md").read_text())


def wheel(folder, version="1.0.0", license_file=True, text="[a](https://b.c)"):
    path = folder / f"onstage_a-{version}-py3-none-any.whl"
    metadata = f"Name: a\nVersion: {version}\nLicense-Expression: MIT\n"
    metadata += f"Classifier: Programming Language :: Python :: 3.11\n\n{text}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("onstage_a.dist-info/METADATA", metadata)
        if license_file:
            archive.writestr("onstage_a.dist-info/licenses/LICENSE", "MIT")
    return path


def test_a_sound_wheel_has_no_faults(tmp_path):
    assert list(check_dist.faults(wheel(tmp_path), "1.0.0")) == []


@pytest.mark.parametrize(
    ("options", "version", "fault"),
    [
        ({}, "1.0.1", "its version is 1.0.0"),
        ({"license_file": False}, "1.0.0", "it has no LICENSE"),
        ({"text": "[a](b.md)"}, "1.0.0", "a relative link, ](b.md)"),
        ({"text": "file:///b"}, "1.0.0", "a path of this machine"),
    ],
)
def test_a_fault_of_a_wheel_is_named(tmp_path, options, version, fault):
    assert list(check_dist.faults(wheel(tmp_path, **options), version)) == [fault]


def test_a_source_distribution_is_read_too(tmp_path):
    path = tmp_path / "onstage_a-1.0.0.tar.gz"
    data = b"Name: a\nVersion: 1.0.0\nLicense-Expression: MIT\n\n"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("onstage_a-1.0.0/PKG-INFO")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))

    assert list(check_dist.faults(path, "1.0.0")) == ["it has no LICENSE", "its classifiers name no Python"]


def test_a_folder_without_packages_is_an_error(tmp_path):
    done = subprocess.run([sys.executable, ROOT / ".ci/check_dist.py", tmp_path, "1.0.0"], check=False)

    assert done.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a program of bash")
@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3", "1.2.3rc1"])
def test_a_release_refuses_what_is_no_version(version):
    done = subprocess.run([ROOT / ".ci/release", version], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "usage: .ci/release VERSION, such as 1.2.3" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a program of bash")
def test_a_release_needs_its_entry_in_the_changelog():
    done = subprocess.run([ROOT / ".ci/release", "98.7.6"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "must have the line '## [98.7.6] - Unreleased'" in done.stderr
