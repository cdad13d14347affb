"""The charts of the live page, in a browser."""

import json
import math
import re

import pytest
from live_page import batch, begin, epoch

LOSSES = [1.0, 0.5, 0.25, 0.125, 0.0625]
BLUE, ORANGE = "#2563eb", "#ea580c"


def send(client, run, name, losses, **more):
    events = [begin(name, epochs=len(losses))]
    events += [
        epoch(n, loss=loss, val_loss=2 * loss, accuracy=1 - loss, **more) for n, loss in enumerate(losses)
    ]
    client.send(events, f"{run}.a")


@pytest.fixture
def two(client, page):
    """Return the page with two runs in it."""
    send(client, "first", "first", LOSSES)
    send(client, "second", "second", [3 * loss for loss in LOSSES])
    return page.open("#x=epoch")


def test_a_page_opened_after_50_000_events_begins_with_the_first_epoch(client, page):
    sequence = 0
    for number in range(50):
        events = [begin("long", epochs=50, params={"steps": 998})] if number == 0 else []
        events += [batch(n, loss=50.0 - number) | {"epoch": number} for n in range(998)]
        events += [epoch(number, loss=100.0 - number)]
        client.send(events, "long.a", sequence)
        sequence += len(events)

    page.open("#x=epoch")

    assert page.tip_at("loss", 0) == ("epoch 1", {"long": 100.0})
    assert page.tip_at("loss", 1) == ("epoch 50", {"long": 51.0})
    page.open("#x=epoch&kind=batch")
    where, values = page.tip_at("loss", 0)
    assert (float(where.removeprefix("epoch ")), values["long"]) == (pytest.approx(0, abs=0.1), 50.0)
    page.keep("long")


def test_the_crosshair_of_every_chart_shows_the_values_of_the_data(two):
    for number, loss in enumerate(LOSSES):
        expected = {"first": loss, "first, val": 2 * loss, "second": 3 * loss, "second, val": 6 * loss}

        assert two.tip_at("loss", number / 4) == (f"epoch {number + 1}", expected)
        assert two.wait_for(lambda: two.tip("accuracy"))[0] == f"epoch {number + 1}"

    two.keep("hover")
    assert two.tip("accuracy")[1] == {"first": 1 - LOSSES[-1], "second": 1 - 3 * LOSSES[-1]}


def test_a_hidden_run_has_no_curve(two):
    two.wait_for(lambda: two.columns("loss", BLUE) and two.columns("loss", ORANGE))

    two.tick("first")

    two.wait_for(lambda: not two.columns("loss", BLUE))
    two.wait_for(lambda: two.columns("loss", ORANGE))
    assert set(two.tip_at("loss", 0.5)[1]) == {"second", "second, val"}


def test_dragging_zooms_all_charts_and_a_double_click_resets(two):
    two.drag("loss", 0.4, 0.6)

    two.wait_for(lambda: "zoom" in two.view())
    where, values = two.wait_for(lambda: two.tip_at("accuracy", 0.5))
    assert (where, values["first"]) == ("epoch 3", 1 - LOSSES[2])
    two.double_click("loss")
    two.wait_for(lambda: "zoom" not in two.view())
    assert two.tip_at("accuracy", 0)[0] == "epoch 1"


def test_the_keyboard_moves_the_crosshair_and_zooms(two):
    two.plot("loss")
    two.run("chart('loss').querySelector('.plot').focus()")
    keys = two.driver.switch_to.active_element

    keys.send_keys("\ue014")  # right arrow
    middle = two.wait_for(lambda: two.tip("loss"))
    keys.send_keys("+")

    assert middle == ("epoch 3", {"first": 0.25, "first, val": 0.5, "second": 0.75, "second, val": 1.5})
    low, high = (float(each) for each in re.findall(r"zoom=([\d.]+)", two.wait_for(two.view)))
    assert high - low == pytest.approx(2)
    keys.send_keys("\ue00c")  # escape
    two.wait_for(lambda: "zoom" not in two.view())


def test_smoothing_is_the_corrected_moving_average(two):
    two.choose("#smooth", "0.5")

    two.hover("loss", 0.5)
    text = two.wait_for(lambda: two.text(".tip"))

    # (0.5 x 0.25 + 0.25 x 0.5 + 0.125 x 1) / (1 - 0.125), and the value itself.
    assert "0.42857 (0.25)" in text
    two.keep("smooth")


def test_the_log_axis_shows_powers_of_ten_as_equal_steps(client, page):
    client.send([begin("one"), *(epoch(n, loss=10.0**-n, learning_rate=10.0**-n) for n in range(5))], "one.a")
    page.open("#x=epoch")
    page.plot("loss")
    pressed = "return all('figcaption button[aria-pressed=true]').map(each => each.ariaLabel)"
    # A straight line on a log axis: the middle of the curve is in the middle of the chart.
    page.hover("loss", 0.5, 0.5)
    near = lambda: page.run("return chart('loss').querySelectorAll('.near').length")  # noqa: E731

    assert page.wait_for(lambda: page.run(pressed)) == ["Log axis, learning_rate"]
    assert near() == 0
    page.click("figure:first-child figcaption button")
    page.wait_for(lambda: page.view() == "x=epoch&log=loss")
    page.hover("loss", 0.45, 0.5)
    page.hover("loss", 0.5, 0.5)
    page.wait_for(lambda: near() == 1)


@pytest.mark.parametrize(("x", "expected"), [("step", "step 6"), ("epoch", "epoch 2"), ("relative", "30s")])
def test_the_x_axis_is_step_epoch_or_time(client, page, x, expected):
    events = [begin("one", wall_time=1e9, params={"steps": 3})]
    for number in range(3):
        events += [batch(n, loss=1.0) | {"epoch": number, "wall_time": 1e9 + 15 * number} for n in range(3)]
        events += [epoch(number, loss=float(number)) | {"wall_time": 1e9 + 15 * (number + 1)}]
    client.send(events, "one.a")

    page.open(f"#x={x}")

    assert page.tip_at("loss", 0.5) == (expected, {"one": 1.0})


def test_the_time_axis_shows_the_time_of_day(client, page):
    client.send(
        [begin("one", wall_time=1e9), *(epoch(n, loss=1.0) | {"wall_time": 1e9 + n} for n in range(3))],
        "one.a",
    )
    page.open("#x=time")
    expected = page.run("return new Date((1e9 + 1) * 1000).toLocaleString()")

    assert page.tip_at("loss", 0.5)[0] == expected


def test_batch_values_are_drawn_beside_those_of_epochs(client, page):
    values = [0.9, 0.1, 0.7, 0.3]
    events = [
        begin("one"),
        *(batch(n, loss=value) for n, value in enumerate(values)),
        epoch(0, loss=0.5, val_loss=0.6),
    ]
    client.send(events, "one.a")
    page.open()
    page.choose("#kind", "batch")

    page.wait_for(lambda: page.tip_at("loss", 0)[0] == "step 1")
    assert [page.tip_at("loss", n / 3)[1]["one"] for n in range(4)] == values
    assert page.tip_at("loss", 1)[1] == {"one": 0.3, "one, val": 0.6}


def test_values_that_are_not_finite_are_a_gap(client, page):
    values = [1, 1, 1, 1, math.nan, math.inf, -math.inf, 1, 1, 1, 1]
    events = []
    for number, value in enumerate(values):
        bad = {} if math.isfinite(value) else {"loss": None, "non_finite": {"loss": str(value)}}
        events.append(epoch(number, loss=value) | bad)
    client.send([begin("one"), *events], "one.a")

    page.open("#x=epoch")
    page.plot("loss")
    columns = page.wait_for(lambda: page.columns("loss", BLUE))

    assert min(columns) < 0.02
    assert max(columns) > 0.98
    assert not [column for column in columns if 0.32 < column < 0.68]
    assert [column for column in columns if 0.25 < column < 0.3]
    assert page.tip_at("loss", 0.5) == ("epoch 6", {"one": None})
    assert "not finite" in page.text(".tip")
    page.keep("gaps")


LIMITS = {
    "an ulp apart": [0.1, math.nextafter(0.1, 1)],
    "far apart": [1e308, -1e308],
    "largest": [1.7e308, 1.7e308],
    "subnormal": [5e-324, 1e-320],
    "single": [3.0],
    "constant": [7.0, 7.0],
    "zero": [0.0, 0.0],
    "whole": [float(2**53), float(2**53 - 1)],
    "all sizes": [1e-300, 1e300],
    "negative": [-1.0, -2.0],
}


@pytest.mark.parametrize("log", [False, True], ids=["linear", "log"])
def test_values_at_the_limits_of_numbers_are_drawn(client, page, log):
    first = {name: values[0] for name, values in LIMITS.items()}
    second = {name: values[1] for name, values in LIMITS.items() if len(values) > 1}
    client.send([begin("one"), epoch(0, **first), epoch(1, **second)], "one.a")

    page.open("#x=epoch" + "".join(f"&log={name}" for name in LIMITS if log))

    for name, values in LIMITS.items():
        assert page.tip_at(name, 0)[1] == {"one": values[0]}
        if not log or values[0] > 0:
            page.wait_for(lambda name=name: page.columns(name, BLUE))
    page.keep(f"limits-{'log' if log else 'linear'}")


def test_new_values_appear_without_a_reload(two):
    two.plot("loss")
    two.run("window.same = true")

    two.client.send([epoch(5, loss=0.75)], "first.a", 6)

    two.wait_for(lambda: two.tip_at("loss", 1) == ("epoch 6", {"first": 0.75}))
    assert two.run("return window.same")


def test_fifty_runs_are_readable_by_pointing_at_one(client, page):
    for number in range(50):
        send(client, f"run{number}", f"run {number:02}", [1 + number - loss for loss in LOSSES])
    page.open("#x=epoch")
    page.wait_for(lambda: len(page.ticked()) == 50)
    page.wait_for(lambda: page.columns("loss", "#64748b"))

    page.hover("loss", 0.4, 0.4)
    page.hover("loss", 0.5, 0.5)
    near = lambda: page.texts("#runs li.near .name")  # noqa: E731
    page.wait_for(near)
    page.keep("fifty")

    assert len(near()) == 1
    assert "90 more" in page.text(".tip")
    page.wait_for(lambda: near()[0] in page.text("figure[data-metric=accuracy] .tip"))


def test_a_chart_is_exported_as_csv_and_as_a_picture(two, tmp_path):
    two.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    two.plot("loss")

    two.click("figure:first-child a[download]")
    two.click("figure:first-child button[title^='Save picture']")
    two.wait_for(lambda: {"runs.csv", "loss.png"} <= {path.name for path in tmp_path.iterdir()})

    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * len(LOSSES)
    assert lines[1].startswith("first,first,loss,")
    assert lines[1].endswith(",1.0")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_address_restores_the_view(two):
    two.choose("#smooth", "0.25")
    two.choose("#metrics", "loss")
    two.tick("first")
    two.click("figure:first-child figcaption button")  # log axis
    two.drag("loss", 0.3, 0.7)
    two.wait_for(lambda: "zoom" in two.view())
    state = """
        const values = ["x", "smooth", "metrics"].map(id => document.getElementById(id).value);
        const ticks = all("#runs input").map(each => each.checked);
        return JSON.stringify([...values, ticks, all("figcaption, #reset").map(each => each.innerText)]);
    """
    view, before = two.view(), two.wait_for(lambda: two.run(state))

    two.open(f"#{view}")
    two.plot("loss")

    two.wait_for(lambda: two.run(state) == before)
    assert json.loads(before)[:4] == ["epoch", "0.25", "loss", [True, False]]
    assert two.view() == view
