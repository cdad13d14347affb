"""Distributions that pip did not write: of frozen programs and build systems, and those of setuptools."""

import sys
from importlib import metadata

import pytest

from onstage.registry import _distributions

FILES = {
    "METADATA": "Metadata-Version: 2.1\nName: Frozen_Pack\nVersion: 2.5\n",
    "entry_points.txt": "[onstage.callbacks]\nice = frozen_mod:Ice\n",
}


class Frozen(metadata.Distribution):
    """A distribution in memory."""

    def read_text(self, filename):
        return FILES.get(filename)

    def locate_file(self, path):
        return f"/frozen/{path}"


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None

    @staticmethod
    def find_distributions(context):
        return [Frozen()]


def test_the_distributions_of_a_custom_finder_are_found(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])

    found = _distributions.scan().distributions["frozen-pack"]

    assert (found.name, found.version, found.location) == ("frozen-pack", "2.5", "/frozen/")
    assert found.entry_points == (("onstage.callbacks", "ice", "frozen_mod:Ice"),)
    assert "frozen-pack" not in _distributions.scan([]).distributions


@pytest.mark.parametrize(
    "folder",
    [
        "egg_pack-1.5.egg-info",
        "egg_pack-1.5-py3.11.egg-info",
        "egg_pack-1.5-py3.11-linux-x86_64.egg-info",
        "Egg.Pack.egg-info",
        "egg_pack-1.5.dist-info",
        "egg-pack-1.5.dist-info",
        "egg__pack-1.5+local.2.dist-info",
        "egg_pack-1.5.post1.dev2-py3.11.egg-info",
    ],
)
def test_name_and_version_in_a_folder_are_those_of_importlib_metadata(tmp_path, folder):
    info = tmp_path / folder
    info.mkdir()
    version = folder.removesuffix(".dist-info").removesuffix(".egg-info").split("-py3")[0].rpartition("-")[2]
    version = version if version[0].isdigit() else "1.5"
    kind = "METADATA" if folder.endswith(".dist-info") else "PKG-INFO"
    (info / kind).write_text(f"Metadata-Version: 2.1\nName: Egg_Pack\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[onstage.callbacks]\negg = egg_mod:Egg\n")
    (theirs,) = metadata.distributions(path=[str(tmp_path)])

    (found,) = _distributions.scan([str(tmp_path)]).distributions.values()

    assert found.name == _distributions.canonicalize_name(theirs.metadata["Name"]) == "egg-pack"
    assert found.version == theirs.version
    assert found.location == str(info)
    (entry,) = theirs.entry_points
    assert found.entry_points == ((entry.group, entry.name, entry.value),)


def test_a_folder_without_a_version_takes_no_time_to_read_it_if_it_has_no_plugins(tmp_path):
    info = tmp_path / "plain.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 3.0\n")
    (tmp_path / "bare.dist-info").mkdir()

    found = _distributions.scan([str(tmp_path)]).distributions

    assert {name: one.version for name, one in found.items()} == {"plain": "", "bare": ""}


def test_an_egg_info_that_is_a_file_is_a_distribution_without_plugins(tmp_path):
    (tmp_path / "old_pack-0.5.egg-info").write_text("Metadata-Version: 1.0\nName: old-pack\nVersion: 0.5\n")

    (found,) = _distributions.scan([str(tmp_path)]).distributions.values()

    assert (found.name, found.version, found.entry_points) == ("old-pack", "0.5", ())


def test_a_dist_info_wins_over_an_egg_info_and_the_newest_version_over_both_others(tmp_path):
    for folder in (
        "pack-9.0-py3.11.egg-info",
        "pack-1.0.dist-info",
        "pack-10.0.dist-info",
        "pack-x.dist-info",
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "entry_points.txt").write_text("[onstage.callbacks]\none = mod:One\n")

    scan = _distributions.scan([str(tmp_path)])

    assert scan.distributions["pack"].version == "10.0"
    assert [hidden.version for hidden, _ in scan.shadowed] == ["1.0", "x", "9.0"]
