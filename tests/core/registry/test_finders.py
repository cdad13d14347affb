"""Distributions that no folder holds: those of frozen programs and build systems."""

import sys
from importlib import metadata

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
