"""Text that others wrote: it is shown, cut, and never drives the terminal."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onstage.errors import (
    OnstageWarning,
    PluginError,
    SettingsError,
    StateError,
    show_error,
    show_lines,
    show_text,
)

TEXTS = st.text(st.characters(), max_size=300)
HOSTILE = st.text("\x1b\x07\x08\r\n\u202e\u2066\u200b\udc80\x9b[]0;m", min_size=1, max_size=50)


@given(TEXTS | HOSTILE, st.integers(10, 100))
def test_a_shown_text_is_one_printable_line_within_its_limit(text, limit):
    shown = show_text(text, limit)

    assert shown.isprintable()
    assert len(shown) <= limit
    assert show_text(shown, limit) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S")), max_size=200))
def test_a_printable_text_is_shown_unchanged(text):
    assert show_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("\udc80", r"\udc80"),
        ("\U000e0041", r"\U000e0041"),
        ("naïve café 名", "naïve café 名"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_characters_that_are_not_printable_are_shown_as_repr_shows_them(text, shown):
    assert show_text(text) == shown


@given(TEXTS | HOSTILE)
def test_lines_keep_their_breaks_and_nothing_else_that_moves_the_cursor(text):
    shown = show_lines(text)

    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == text.count("\n")


def test_a_long_text_is_cut_before_it_is_searched():
    assert show_text("\x1b" * 2_000_000, 20) == r"\x1b\x1b\x1b\x1b\..."
    assert len(show_lines("ab\n" * 1_000_000)) == 20_000


@pytest.mark.parametrize("kind", [PluginError, SettingsError, StateError, OnstageWarning])
@given(text=HOSTILE)
def test_every_message_of_onstage_is_safe_to_print(kind, text):
    message = str(kind(f"the name {text}"))

    assert all(line.isprintable() for line in message.split("\n"))
    assert message.startswith("the name ")


def test_an_error_without_message_stays_empty():
    assert str(PluginError()) == ""


def test_an_error_is_shown_by_type_and_message():
    assert show_error(ValueError("a\x1bb")) == r"ValueError: a\x1bb"
    assert len(show_error(ValueError("a" * 10_000))) == 500


def test_an_error_whose_message_raises_is_shown_by_its_type():
    class Hostile(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert re.fullmatch("Hostile", show_error(Hostile()))


def test_a_program_of_the_command_line_is_warned_too():
    program = "from onstage.errors import warn; warn('look')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stderr.startswith("<string>:1: OnstageWarning: look")
    assert done.returncode == 0
