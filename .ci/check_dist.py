"""Check built packages: ``python3 .ci/check_dist.py FOLDER VERSION``.

Each must have this version, the licence, classifiers, a description without relative
links, no path of this machine, and a size that fits what it holds.
"""

import re
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

LARGEST = 500_000  # bytes; the core has about 200 000


def faults(path, version):
    """Yield what is wrong with a wheel or a source distribution."""
    names, metadata = (_read_wheel if path.suffix == ".whl" else _read_sdist)(path)
    described = Parser().parsestr(metadata)
    if described["Version"] != version:
        yield f"its version is {described['Version']}"
    if not any(re.search(r"(^|/)LICENSE$", name) for name in names):
        yield "it has no LICENSE"
    if described["License-Expression"] != "MIT":
        yield f"its licence is {described['License-Expression']}"
    classifiers = described.get_all("Classifier", [])
    if not any(name.startswith("Programming Language :: Python :: 3.") for name in classifiers):
        yield "its classifiers name no Python"
    text = described.get_payload()
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    yield from (f"a relative link, {found}" for found in re.findall(r"\]\((?![a-z]+:|#)[^)\s]+\)", text))
    if "file://" in metadata or str(Path.home()) + "/" in metadata:
        yield "a path of this machine"
    if path.stat().st_size > LARGEST:
        yield f"{path.stat().st_size} bytes"


def _read_wheel(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, archive.read(metadata).decode()


def _read_sdist(path):
    with tarfile.open(path) as archive:
        names = archive.getnames()
        file = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
        return names, file.read().decode()


def main(folder, version):
    """Print all faults and return the exit status."""
    paths = sorted([*Path(folder).glob("*.whl"), *Path(folder).glob("*.tar.gz")])
    found = [f"{path.name}: {fault}" for path in paths for fault in faults(path, version)]
    print("\n".join(found) or f"{len(paths)} files of {version} are sound")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
