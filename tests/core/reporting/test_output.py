"""A print about the training has the characters of its stream, and never ends the training."""

import io
import sys

import pytest

from onstage import OnstageWarning
from onstage.reporting import fit_encoding, print_line

FEW_CHARACTERS = [
    "ascii",
    "gbk",
    "cp932",
    "cp949",
    "big5",
    "koi8-r",
    "iso8859-2",
    "cp437",
    "shift_jis",
    "euc_kr",
]


def stream(encoding):
    return io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")


def written(file):
    return file.buffer.getvalue().decode(file.encoding)


@pytest.mark.parametrize("encoding", [*FEW_CHARACTERS, "latin-1", "cp1252", "utf-8", "utf-16"])
def test_a_line_is_printed_in_the_characters_of_the_stream(encoding):
    file = stream(encoding)

    print_line("30.0 µs/step, 😀", file)

    assert written(file) in (
        "30.0 µs/step, 😀\n",
        "30.0 us/step, \\U0001f600\n",
        "30.0 µs/step, \\U0001f600\n",
    )


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_character_that_the_stream_has_stays(encoding):
    assert fit_encoding("30.0 µs", stream(encoding)) == "30.0 µs"


def test_a_stream_without_an_encoding_gets_the_text_as_it_is():
    assert fit_encoding("µ", io.StringIO()) == "µ"


def test_a_closed_stream_is_a_warning():
    file = stream("utf-8")
    file.close()

    with pytest.warns(OnstageWarning, match="messages can't be printed: ValueError: I/O operation on closed"):
        print_line("hello", file)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_is_a_warning():
    file = open("/dev/full", "w")  # noqa: SIM115  # closing it fails too

    with pytest.warns(OnstageWarning, match="messages can't be printed: OSError: .*No space left"):
        print_line("hello", file)

    with pytest.raises(OSError, match="No space left"):
        file.close()


def test_without_a_standard_output_nothing_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)

    print_line("hello")


def test_a_line_break_before_a_line_is_for_terminals(capsys):
    print_line("\nEpoch 1: saved")

    assert capsys.readouterr().out == "Epoch 1: saved\n"
