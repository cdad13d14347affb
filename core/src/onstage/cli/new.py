"""``onstage new``: write a working plugin package."""

from __future__ import annotations

import keyword
import re
from datetime import date
from importlib import metadata
from pathlib import Path

import click
from packaging.version import Version

import onstage
from onstage.cli import template
from onstage.cli.output import echo
from onstage.errors import show_text
from onstage.registry import _discovery
from onstage.registry._first_party import CALLBACK_CLASSES

LONGEST_NAME = 60
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_CLASSES = {"Callback", "Logs", "State", "None", "True", "False"}
"""Class names that the written module uses itself, or that are no names."""

_OTHERS = """
accelerate catboost cli core fastai ignite jax keras lightgbm lightning live numpy skorch sklearn
tensorflow testing torch transformers xgboost
"""
RESERVED = frozenset((*CALLBACK_CLASSES, *_OTHERS.split()))
"""Names of onstage's own packages, installed or not: a second one would shadow the first."""


@click.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder for the package; the current one by default.",
)
@click.option("--author", default="the authors", help="Holder of the copyright, for the LICENSE (MIT).")
@click.option("--url", help="Address of the package's repository.")
@click.option("--ci", type=click.Choice(["github"]), help="Add a workflow that runs the tests.")
def new(name: str, folder: Path, author: str, url: str | None, ci: str | None) -> None:
    """Write a package with a callback NAME, a README and tests that pass.

    NAME may be my_callback, my-callback or MyCallback. After `pip install -e`
    the callback is found by its name.
    """
    snake = snake_case(name)
    if problem := name_problem(snake):
        raise click.UsageError(f"NAME {problem}, got {show_text(name)!r}")
    if owner := _owner(snake):
        raise click.UsageError(f"{snake!r} is taken by {owner}; choose another name")
    package = folder / distribution_name(snake)
    if package.exists():
        raise click.ClickException(f"{package} exists; remove it or choose another name")
    if not folder.exists() and not folder.resolve().is_relative_to(Path.cwd()):
        click.confirm(f"{show_text(folder)} is outside this folder; make it?", abort=True)
    for path, text in package_files(snake, author, url, ci).items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text, encoding="utf-8")
    echo(f"Wrote {package}. Next:\n")
    echo(f"  pip install -e {package} --group {package / 'pyproject.toml'}:dev")
    echo(f"  onstage callbacks {snake}")
    echo(f"  pytest {package}")


def snake_case(name: str) -> str:
    """Return ``my_callback`` for ``MyCallback`` or ``my-callback``."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[-. ]+", "_", separated).lower()


def name_problem(snake: str) -> str:
    """Return what is wrong with a name in snake case, or an empty string.

    It becomes the name of a distribution, a module, a class and an entry point,
    each with rules of its own.
    """
    if len(snake) > LONGEST_NAME:
        return f"must have {LONGEST_NAME} characters at most"
    if not _NAME.fullmatch(snake):
        return "must be words of ASCII letters and digits, the first beginning with a letter"
    if keyword.iskeyword(snake) or class_name(snake) in _CLASSES:
        return "must not be a word of Python or of the package's own module"
    return "must not be a name of onstage itself" if snake in RESERVED else ""


def _owner(snake: str) -> str:
    """Return the distribution that has the name, the class or the package already."""
    for plugin in _discovery.installed():
        if snake == plugin.name or class_name(snake) == plugin.attribute:
            return plugin.distribution
    try:
        return metadata.distribution(distribution_name(snake)).name
    except metadata.PackageNotFoundError:
        return ""


def distribution_name(snake: str) -> str:
    """Return ``onstage-my-callback`` for ``my_callback``."""
    return f"onstage-{snake.replace('_', '-')}"


def class_name(snake: str) -> str:
    """Return ``MyCallback`` for ``my_callback``."""
    return "".join(word.capitalize() for word in snake.split("_"))


def package_files(
    snake: str, author: str = "the authors", url: str | None = None, ci: str | None = None
) -> dict[str, str]:
    """Return path and text of every file of a package."""
    core = Version(onstage.__version__)
    words = {
        "URLS": _fill(template.URLS, {"URL": _quoted(url)}) if url else "",
        "YEAR": str(date.today().year),
        "AUTHOR": " ".join(author.split()),
        "NAME": snake,
        "CLASS": class_name(snake),
        "MODULE": f"onstage_{snake}",
        "DISTRIBUTION": distribution_name(snake),
        "CORE": f"onstage-core>={core.major}.{core.minor},<{core.major}.{core.minor + 1}",
    }
    files = {
        "pyproject.toml": template.PYPROJECT,
        "README.md": template.README,
        "LICENSE": template.LICENSE,
        f"src/onstage_{snake}/__init__.py": template.MODULE,
        f"src/onstage_{snake}/py.typed": "",
        f"tests/test_{snake}.py": template.TEST,
    }
    if ci:
        files[".github/workflows/test.yml"] = template.WORKFLOW
    return {path: _fill(text, words) for path, text in files.items()}


def _quoted(url: str) -> str:
    """Check an address, which is written between quotes."""
    if not re.fullmatch(r"https?://[!#-~]+", url) or "\\" in url:
        raise click.UsageError(f"--url must be an address that begins with https://, got {show_text(url)!r}")
    return url


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
