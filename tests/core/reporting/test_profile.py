import io
import re
import time

import pytest

from onstage import Run
from onstage.reporting._formatting import format_duration, format_table
from onstage.reporting._profile import Cost, Profile, Trace


class Slow:
    def on_epoch_end(self, epoch, logs):
        time.sleep(0.02)

    def on_train_end(self): ...


class Quick:
    def on_epoch_end(self, epoch): ...


def train(**options):
    with Run(callbacks=[Quick(), Slow()], epochs=3, **options) as run:
        for _ in run.epochs():
            for _ in run.batches([1.0]):
                run.log(loss=1.0)
    return run


def rows(text):
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


def test_the_table_lists_calls_total_mean_and_share_highest_cost_first():
    profile = Profile()
    profile.costs = {
        ("Quick", "on_epoch_end"): Cost(4, 0.002),
        ("Slow", "on_epoch_end"): Cost(2, 0.5),
        ("Slow", "on_train_end"): Cost(1, 0.25),
    }

    assert rows(profile.table(seconds=2.0)) == [
        ["callback", "stage", "calls", "total", "mean", "share"],
        ["Slow", "on_epoch_end", "2", "500.00 ms", "250.00 ms", "25.0%"],
        ["Slow", "on_train_end", "1", "250.00 ms", "250.00 ms", "12.5%"],
        ["Quick", "on_epoch_end", "4", "2.00 ms", "500.0 µs", "0.1%"],
        ["all", "7", "752.00 ms", "107.43 ms", "37.6%"],
        ["run: 2.00 s"],
    ]


def test_a_table_without_calls_is_not_an_error():
    assert rows(Profile().table(seconds=0.0))[1] == ["all", "0", "0.0 µs", "-", "-"]


def test_a_wrapped_method_is_counted_even_if_it_raises():
    profile = Profile()

    def method(x, *, y):
        if y:
            raise LookupError(x)
        return x + 1

    wrapped = profile.wrap("on_epoch_end", "C", method)

    assert wrapped(3, y=False) == 4
    with pytest.raises(LookupError):
        wrapped(3, y=True)
    assert profile.costs["C", "on_epoch_end"].calls == 2


@pytest.mark.parametrize("switch", ["argument", "ONSTAGE_PROFILE"])
def test_a_run_prints_the_cost_of_each_callback(plugin_site, monkeypatch, capsys, switch):
    if switch == "ONSTAGE_PROFILE":
        monkeypatch.setenv(switch, "1")

    train(**({"profile": True} if switch == "argument" else {}))

    out, err = capsys.readouterr()
    table_rows = rows(err)
    assert out == ""
    assert table_rows[1][:3] == ["Slow", "on_epoch_end", "3"]
    assert table_rows[1][3].endswith("ms")
    assert ["Quick", "on_epoch_end", "3"] in [row[:3] for row in table_rows]


def test_the_argument_wins_over_the_environment(plugin_site, monkeypatch, capsys):
    monkeypatch.setenv("ONSTAGE_PROFILE", "1")

    train(profile=False)

    assert capsys.readouterr() == ("", "")


def test_a_trace_prints_stage_callback_and_time_and_no_values(plugin_site, monkeypatch, capsys):
    monkeypatch.setenv("ONSTAGE_TRACE", "1")

    train()

    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line[1:3] for line in lines if line[2] in ("Quick", "Slow")] == [
        *[["on_epoch_end", "Quick"], ["on_epoch_end", "Slow"]] * 3,
        ["on_train_end", "Slow"],
    ]
    assert {(line[0], line[4]) for line in lines} == {("onstage:", "ms")}
    assert all(float(line[3]) >= 0 and len(line) == 5 for line in lines)


def test_a_trace_names_the_exception_of_a_method():
    file = io.StringIO()

    def fails():
        raise LookupError("a secret")

    with pytest.raises(LookupError):
        Trace(file).wrap("on_epoch_end", "C", fails)()

    assert re.fullmatch(r"onstage: on_epoch_end +C +\d+\.\d+ ms  raised LookupError\n", file.getvalue())


def test_nothing_is_printed_by_default(plugin_site, capsys):
    train()

    assert capsys.readouterr() == ("", "")


def test_a_table_has_aligned_columns_and_no_trailing_spaces():
    text = format_table(("name", "n", "why"), [("a", "10", ""), ("long name", "5", "x")], right=(1,))

    assert text == "name        n  why\na          10\nlong name   5  x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 µs"),
        (3e-5, "30.0 µs"),
        (1e-3, "1.00 ms"),
        (0.25, "250.00 ms"),
        (1, "1.00 s"),
        (75.5, "75.50 s"),
    ],
)
def test_a_duration_is_shown_in_a_fitting_unit(seconds, text):
    assert format_duration(seconds) == text
