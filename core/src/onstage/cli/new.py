"""``onstage new``: write a working plugin package."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import click
from packaging.version import Version

import onstage
from onstage.cli import template
from onstage.cli.output import echo
from onstage.registry import _discovery


@click.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for the package; the current one by default.",
)
def new(name: str, folder: Path) -> None:
    """Write a package with a callback NAME, a README and tests that pass.

    NAME may be my_callback, my-callback or MyCallback. After `pip install -e`
    the callback is found by its name.
    """
    snake = snake_case(name)
    if not snake.isidentifier() or keyword.iskeyword(snake):
        raise click.UsageError(f"NAME must be letters, digits and underscores, got {name!r}")
    taken = [one for one in _discovery.installed() if one.name == snake]
    if taken:
        raise click.UsageError(f"{snake!r} is taken by {taken[0].distribution}; choose another name")
    package = folder / f"onstage-{snake.replace('_', '-')}"
    if package.exists():
        raise click.ClickException(f"{package} exists; remove it or choose another name")
    for path, text in package_files(snake).items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text, encoding="utf-8")
    echo(f"Wrote {package}. Next:\n")
    echo(f"  pip install -e {package}")
    echo(f"  onstage callbacks {snake}")
    echo(f"  pytest {package}")


def snake_case(name: str) -> str:
    """Return ``my_callback`` for ``MyCallback`` or ``my-callback``."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[-. ]+", "_", separated).lower()


def package_files(snake: str) -> dict[str, str]:
    """Return path and text of every file of a package."""
    core = Version(onstage.__version__)
    words = {
        "NAME": snake,
        "CLASS": "".join(word.capitalize() for word in snake.split("_")),
        "MODULE": f"onstage_{snake}",
        "DISTRIBUTION": f"onstage-{snake.replace('_', '-')}",
        "CORE": f"onstage-core>={core.major}.{core.minor},<{core.major}.{core.minor + 1}",
    }
    files = {
        "pyproject.toml": template.PYPROJECT,
        "README.md": template.README,
        f"src/onstage_{snake}/__init__.py": template.MODULE,
        f"src/onstage_{snake}/py.typed": "",
        f"tests/test_{snake}.py": template.TEST,
    }
    return {path: _fill(text, words) for path, text in files.items()}


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
