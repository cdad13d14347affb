"""The spool: events that RemoteMonitor could not send, kept in a file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onstage_remote_monitor.client.disk_queue import Spool
from onstage_remote_monitor.client.leftovers import Leftovers
from onstage_remote_monitor.client.spool_file import Entry, format_entry, parse_entry

URL = "http://here"
LIMIT = 1 << 20


def entries(count, run="0a"):
    return [Entry(run, n, json.dumps({"n": n})) for n in range(count)]


def texts(problems):
    return [text for _, text in problems]


@pytest.fixture
def adopting(tmp_path):
    """Return a function that makes a spool, and adopts what is in the folder."""
    opened = []

    def adopt(limit=LIMIT):
        spool = Spool(tmp_path, URL, limit)
        opened.append(spool)
        leftovers = Leftovers(tmp_path, URL, limit)
        return spool, lambda: leftovers.adopt(spool)

    yield adopt
    for spool in opened:
        spool.close()


def leave(folder, *lines, url=URL):
    """Write a spool as an earlier training leaves it."""
    spool = Spool(folder, url, LIMIT)
    spool.append(entries(1))
    path = spool.close()
    path.write_bytes(path.read_bytes() + b"".join(lines))
    return path


def test_a_spool_returns_events_in_order(tmp_path):
    spool = Spool(tmp_path, "http://here", 1 << 20)

    assert spool.append(entries(5)) == 5
    assert spool.peek(2) == entries(5)[:2]
    spool.drop(2)
    spool.append(entries(3, run="0b"))

    assert len(spool) == 6
    assert spool.peek(10) == entries(5)[2:], "events of one run in a request"
    spool.drop(3)
    assert spool.peek(10) == entries(3, run="0b")
    spool.drop(3)
    assert spool.close() is None
    assert not list(tmp_path.iterdir())


def test_the_spool_of_a_killed_process_is_adopted_at_its_position(tmp_path, adopting):
    killed = Spool(tmp_path, URL, LIMIT)
    killed.append(entries(6))
    killed.drop(2)
    killed._file.close()  # as when its process ends: the lock goes, the file stays
    (left,) = tmp_path.iterdir()

    spool, adopt = adopting()

    assert adopt() == 4
    assert spool.peek(10) == entries(6)[2:]
    assert (spool.problems, adopt()) == ([], 0)
    assert not left.exists()


def test_a_spool_in_use_by_another_process_is_left_alone(tmp_path, adopting):
    in_use = Spool(tmp_path, URL, LIMIT)
    in_use.append(entries(3))
    spool, adopt = adopting()

    assert adopt() == 0

    assert (in_use.peek(3), spool.problems) == (entries(3), [])
    in_use.close()


def test_events_for_another_address_are_left_alone(tmp_path, adopting):
    path = leave(tmp_path, url="http://there")
    spool, adopt = adopting()

    assert (adopt(), spool.problems) == (0, [])
    assert path.exists()


@pytest.mark.parametrize(
    "line",
    [
        b'["0a", 6, "{',
        b'{"a": 1}\n',
        b"[1]\n",
        b'["../x", 1, "{}"]\n',
        b'["0a", -1, "{}"]\n',
        b'["0a", true, "{}"]\n',
        b'["0a", 1' + b"0" * 15 + b', "{}"]\n',
        b'["0a", 1, "\\ud800"]\n',
        b'["0a", 1, "{\\n}"]\n',
        b'["0a", 1, "' + b"x" * 300_000 + b'"]\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
    ],
    ids=lambda line: str(line[:20]),
)
def test_a_line_that_can_not_be_read_is_put_aside_and_blocks_no_other(tmp_path, adopting, line):
    path = leave(tmp_path, format_entry(Entry("0b", 1, "{}")), line)
    spool, adopt = adopting()

    assert adopt() == 2

    aside = path.with_suffix(".unreadable")
    assert aside.read_bytes() == line
    assert spool.problems == [(1, f"1 of the events in {path} can't be read; they are in {aside}")]
    assert not path.exists()
    again, adopt_again = adopting()
    assert (adopt_again(), again.problems) == (0, []), "the next training is not told again"


def test_a_line_that_another_program_breaks_is_put_aside_and_the_rest_is_sent(tmp_path):
    spool = Spool(tmp_path, URL, LIMIT)
    spool.append(entries(3))
    content = spool.path.read_bytes()
    spool.path.write_bytes(content.replace(b'["0a", 1', b'["0a", ?'))

    assert spool.peek(10) == entries(1)
    spool.drop(1)
    assert spool.peek(10) == entries(3)[2:]
    assert [lost for lost, _ in spool.problems] == [1]
    spool.drop(1)
    assert (len(spool), spool.close()) == (0, None)
    (aside,) = tmp_path.iterdir()
    assert aside.read_bytes() == b'["0a", ?, "{\\"n\\": 1}"]\n'


@pytest.mark.parametrize("position", [b"x" * 20, b"0" * 20, b"9" * 20, b"0" * 19 + b"5"])
def test_a_spool_with_a_damaged_first_line_is_renamed(tmp_path, adopting, position):
    path = leave(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:16] + position + content[36:])
    spool, adopt = adopting()

    assert adopt() == 0

    (text,) = texts(spool.problems)
    assert text.startswith(f"{path} is damaged and not sent; it is now ")
    assert [each.suffix for each in tmp_path.iterdir()] == [".unreadable"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 100_000, b"onstage-spool-2 0\n"])
def test_a_file_that_is_no_spool_is_left_alone_and_told_of(tmp_path, adopting, content):
    path = tmp_path / "a.spool"
    path.write_bytes(content)
    spool, adopt = adopting()

    assert adopt() == 0

    assert texts(spool.problems) == [
        f"events of an earlier training are not sent: {path} is not a spool of this version"
    ]
    assert path.read_bytes() == content


def test_a_folder_in_place_of_a_spool_is_told_of(tmp_path, adopting):
    (tmp_path / "a.spool").mkdir()
    spool, adopt = adopting()

    assert adopt() == 0

    assert "a.spool can't be taken over: IsADirectoryError" in texts(spool.problems)[0]


def test_a_file_larger_than_the_limit_is_adopted_in_parts(tmp_path, adopting):
    earlier = Spool(tmp_path, URL, LIMIT)
    earlier.append(entries(100))
    path = earlier.close()
    spool, adopt = adopting(limit=600)
    sent = []

    while adopt():
        assert spool._end <= 300
        while len(spool):
            sent += spool.peek(1)
            spool.drop(1)

    assert sent == entries(100)
    assert (spool.problems, path.exists()) == ([], False)


def test_what_is_left_of_a_part_is_adopted_by_the_next_process(tmp_path, adopting):
    earlier = Spool(tmp_path, URL, LIMIT)
    earlier.append(entries(100))
    earlier.close()
    first, adopt = adopting(limit=600)
    taken = adopt()
    assert 0 < taken < 100

    second, adopt_rest = adopting()

    assert adopt_rest() == 100 - taken
    assert second.peek(1) == [entries(100)[taken]]
    assert first.peek(1) == entries(1)


def test_an_event_that_never_fits_is_told_of_and_stays(tmp_path, adopting):
    path = leave(tmp_path)
    spool, adopt = adopting(limit=10)

    assert (adopt(), adopt()) == (0, 0)

    (text,) = texts(spool.problems)
    assert f"{path} holds an event that does not fit into spool_size=10" in text
    assert path.exists()


@given(
    st.binary()
    | st.lists(st.none() | st.text() | st.integers(), max_size=4).map(lambda x: json.dumps(x).encode())
)
def test_any_line_is_an_event_that_can_be_sent_or_none(line):
    entry = parse_entry(line + b"\n")

    if entry is not None:
        assert f"{entry.run}{entry.sequence}{entry.text}".encode("ascii")
        assert parse_entry(format_entry(entry)) == entry


def test_a_file_that_can_not_be_used_is_set_aside_and_the_next_event_makes_a_new_one(tmp_path):
    spool = Spool(tmp_path, URL, LIMIT)
    assert spool.set_aside() is None
    spool.append(entries(2))
    first = spool.path

    assert spool.set_aside() == first.with_suffix(".unreadable")

    assert (len(spool), spool.peek(5)) == (0, [])
    spool.append(entries(1, run="0b"))
    assert spool.peek(5) == entries(1, run="0b")
    assert spool.close() != first


def test_a_spool_is_readable_only_by_its_user(tmp_path):
    spool = Spool(tmp_path / "made", "http://here", 1 << 20)
    spool.append(entries(1))

    path = spool.close()

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_temporary_spool_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool(None, "http://here", 1 << 20)
    spool.append(entries(1))
    spool.drop(1)

    assert spool.close() is None

    assert not list(tmp_path.iterdir())
