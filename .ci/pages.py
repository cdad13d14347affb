"""Prepare the packages of a copy of the checkout for an index: links, URLs, classifiers.

``python3 .ci/pages.py FOLDER TAG``. Links of a README are relative to the repository,
which an index does not have. With an address in ``[tool.release] url`` of the root's
``pyproject.toml`` they become absolute, and packages get their ``[project.urls]``;
without one, links become plain text, and pictures are left out.
"""

import re
import sys
import tomllib
from pathlib import Path
from posixpath import join, normpath

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def absolute_links(text, folder, url, tag):
    """Return a text of Markdown whose relative links lead to the repository.

    Parameters
    ----------
    folder
        The folder of the file, from the root of the repository.
    url
        The address of the repository; if empty, links become plain text.
    """

    def replace(match):
        picture, words, target = match.groups()
        if not url:
            return "" if picture else words
        kind = "raw" if picture else "blob"
        return f"{picture}[{words}]({url}/{kind}/{tag}/{normpath(join(folder, target))})"

    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)  # code stays
    parts[::2] = [LINK.sub(replace, part) for part in parts[::2]]
    return "".join(parts)


def project_urls(url, tag):
    """Return the table of URLs of a package."""
    return (
        "\n[project.urls]\n"
        f'Homepage = "{url}"\n'
        f'Changelog = "{url}/blob/{tag}/core/docs/CHANGELOG.md"\n'
        f'Issues = "{url}/issues"\n'
    )


def prepare(root, tag):
    """Write links, URLs and classifiers into all packages below a folder."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    url = project["tool"]["release"]["url"].rstrip("/")
    classifiers = "classifiers = [\n" + "".join(
        f'    "{name}",\n' for name in project["project"]["classifiers"]
    )
    for path in [
        root / "pyproject.toml",
        root / "core/pyproject.toml",
        *root.glob("plugins/*/*/pyproject.toml"),
    ]:
        text = path.read_text(encoding="utf-8")
        text = text.replace('classifiers = ["Typing :: Typed"]', classifiers + "]")
        path.write_text(text + (project_urls(url, tag) if url else ""), encoding="utf-8")
        readme = path.with_name("README.md")
        folder = path.parent.relative_to(root).as_posix()
        readme.write_text(
            absolute_links(readme.read_text(encoding="utf-8"), folder, url, tag), encoding="utf-8"
        )


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), sys.argv[2])
