"""What packages wrote, shown by the command line: it drives no terminal and fills no screen."""

import json
import warnings

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onstage.cli import main
from onstage.errors import OnstageWarning, PluginError
from onstage.registry import _discovery, _selection
from onstage.registry._distributions import parse_entry_points

EVIL = "\x1b]0;owned\x07\u202e\x9b31m"
SHOWN = r"\x1b]0;owned\x07\u202e\x9b31m"

MODULE = f'''
class Shown:
    """A summary {EVIL}

    Parameters
    ----------
    plain
        A meaning {EVIL}.
    """

    def __init__(self, plain={EVIL!r}, odd=type("Odd", (), {{"__repr__": lambda self: {EVIL!r}}})()):
        pass

    def on_epoch_end(self):
        pass


class Unshown(Shown):
    def __init__(self, odd=type("Odd", (), {{"__repr__": lambda self: 1 / 0}})()):
        pass
'''


def run(*args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnstageWarning)
        return CliRunner().invoke(main, args).output


def is_safe(text):
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def hostile(plugin_site):
    """Packages whose metadata, docstrings and errors hold escape sequences."""
    plugin_site.add(
        "evil",
        f"1.0{EVIL}",
        callbacks={
            f"name{EVIL}": "evil_mod:Shown",
            "shown": "evil_mod:Shown",
            "unshown": "evil_mod:Unshown",
            "target": f"evil{EVIL}:X",
            "raises": "raises_mod:X",
        },
        autouse={f"auto{EVIL}": "raises_mod:Y"},
        commands={f"command{EVIL}": "raises_mod:Z"},
        modules={"evil_mod": MODULE, "raises_mod": f"raise RuntimeError({EVIL!r} * 100)"},
    )
    info = plugin_site.add("needs", callbacks={"needs": "evil_mod:Shown"})
    with (info / "METADATA").open("a") as file:
        file.write("Requires-Dist: onstage-core (\x1b[31m\n")
    return plugin_site


@pytest.mark.parametrize(
    "command",
    [
        ["callbacks"],
        ["callbacks", "--json"],
        ["callbacks", "shown"],
        ["callbacks", "shown", "--json"],
        ["callbacks", "unshown"],
        ["callbacks", "raises"],
        ["callbacks", "target"],
        ["callbacks", "none\x1b[31m"],
        ["order", "on_epoch_end", "shown"],
        ["doctor"],
        ["--help"],
    ],
    ids=" ".join,
)
def test_no_command_prints_a_control_character_of_a_package(hostile, command):
    output = run(*command)

    assert output
    assert is_safe(output)


def test_the_characters_are_shown_as_repr_shows_them(hostile):
    assert f"name{SHOWN}" in run("callbacks")
    assert f"A summary {SHOWN}" in run("callbacks", "shown")
    assert f"A meaning {SHOWN}." in run("callbacks", "shown")
    assert f"RuntimeError: {SHOWN}" in run("callbacks", "raises")
    assert "ZeroDivisionError" in run("callbacks", "unshown")
    assert json.loads(run("callbacks", "shown", "--json"))["summary"] == f"A summary {SHOWN}"


def test_warnings_and_errors_about_a_package_hold_no_control_character(hostile):
    with pytest.warns(OnstageWarning) as caught:
        assert _selection.autouse() == []
    with pytest.raises(PluginError) as error:
        _discovery.find("raises").load()

    assert is_safe(str(caught[0].message))
    assert is_safe(str(error.value))
    assert len(str(error.value)) < 1500


def test_a_name_of_two_megabytes_is_cut(plugin_site):
    plugin_site.add(
        "long",
        callbacks={"n" * 2_000_000: "long:X", "b" * 2_000_000: "long:X", "ok": "long:" + "v" * 2_000_000},
    )

    for command in (["callbacks"], ["callbacks", "--json"], ["doctor"], ["callbacks", "nowhere"]):
        assert len(run(*command)) < 10_000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_entry_points_without_an_error(content):
    found = parse_entry_points(b"[onstage.callbacks]\n" + content)

    assert all(text.isprintable() for entry in found for text in entry[1:])


@given(name=st.text(max_size=80), value=st.text(max_size=80), error=st.text(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_whatever_a_package_is_called_the_list_is_printable(plugin_site, name, value, error):
    info = plugin_site.folder / "any-1.0.dist-info"
    info.mkdir(exist_ok=True)
    text = f"[onstage.callbacks]\n{name} = {value}\nbroken = any_mod:X\n"
    (info / "entry_points.txt").write_bytes(text.encode(errors="surrogatepass"))
    (plugin_site.folder / "any_mod.py").write_text(f"raise ImportError({error!a})\n")
    _discovery.refresh()

    for command in (["callbacks"], ["callbacks", "broken"], ["doctor"]):
        assert is_safe(run(*command))
