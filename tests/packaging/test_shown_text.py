"""All output passes through one place, and no message quotes an error of others raw."""

import ast

import pytest

OWN_OUTPUT = {
    "core/src/onstage/cli/output.py": "escapes what it prints",
    "core/src/onstage/keras/_progbar.py": "its job: the user's metrics",
    "core/src/onstage/reporting/_output.py": "its callers are in this list, or callbacks",
    "core/src/onstage/reporting/_profile.py": "times and names of classes",
    "core/src/onstage/run/_setup.py": "the table of the profile",
    "plugins/callbacks/remote_monitor/src/onstage_remote_monitor/callback.py": "counts and the user's path",
}
"""What of the core and of the quoting folders may print, and why no text from outside is in it."""

QUOTING = ("core/src/onstage/registry", "core/src/onstage/cli", "plugins/callbacks/remote_monitor/src")
"""Folders whose messages quote packages, files of others and servers."""

OUR_ERRORS = {"PluginError", "SettingsError", "OnstageError", "Refusal"}
"""Their messages are safe to print already."""


@pytest.fixture(scope="module")
def sources(root):
    paths = [*root.glob("core/src/**/*.py"), *root.glob("plugins/*/*/src/**/*.py")]
    return {str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def prints(tree):
    """Return the lines that write to a terminal."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    writers = {
        "print",
        "print_line",
        "stream.write",
        "click.echo",
        "click.secho",
        "sys.stdout.write",
        "sys.stderr.write",
    }
    return [call.lineno for call in calls if ast.unparse(call.func) in writers]


def test_only_named_places_print(sources):
    checked = ("core/", *QUOTING)
    found = {path for path, tree in sources.items() if path.startswith(checked) and prints(tree)}

    strange = found - set(OWN_OUTPUT)
    assert not strange, "print with onstage.cli.output.echo, or name the place above and say why it is safe"
    assert found == set(OWN_OUTPUT)


def raw_quotes(tree):
    """Yield the lines where an f-string holds a caught error of others as it is."""
    for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
        kinds = ast.walk(handler.type) if handler.type else ()
        if handler.name is None or {kind.id for kind in kinds if isinstance(kind, ast.Name)} <= OUR_ERRORS:
            continue
        for node in ast.walk(handler):
            if isinstance(node, ast.FormattedValue) and ast.unparse(node.value) == handler.name:
                yield node.lineno


def test_no_message_quotes_an_error_of_others_raw(sources):
    found = {
        f"{path}:{line}"
        for path, tree in sources.items()
        if path.startswith(QUOTING)
        for line in raw_quotes(tree)
    }

    assert not found, "quote it with onstage.errors.show_error"


def test_a_raw_quote_would_be_found():
    tree = ast.parse("try:\n    f()\nexcept (OSError, ValueError) as e:\n    raise X(f'{e}') from e")

    assert list(raw_quotes(tree)) == [4]
    assert prints(ast.parse("print(1)\nclick.echo(2)")) == [1, 2]
