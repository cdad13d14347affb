"""The live page in a browser: its runs, what can be done with them, its connection."""

import threading
import time

import numpy as np
import pytest
from live_page import Page, begin, epoch
from onstage_live import Live

from onstage import Sequential, layers
from onstage.callbacks import EarlyStopping

HOSTILE = {
    "markup": "<img src=x onerror=\"document.title='taken over'\">",
    "right to left": "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd",
    "long": "x" * 10_000,
    "spaces": "a b\n\tc",
    "entity": "&lt;b&gt; %2C,+#&=?",
}


def fit(url, epochs=3, patience=None, **options):
    """Train a small model that the page of a server shows."""
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    model = Sequential([layers.Dense(8), layers.Dense(1)], seed=0)
    model.compile("sgd", loss="mse")
    callbacks = [Live(url, **options)]
    callbacks += [] if patience is None else [EarlyStopping("loss", patience=patience, min_delta=1e9)]
    return model.fit(x, x.sum(axis=1, keepdims=True), epochs=epochs, verbose=0, seed=0, callbacks=callbacks)


def fill(client, *names):
    for place, name in enumerate(names):
        params = {"lr": 0.1 / (place + 1), "units": 8}
        ending = {"event": "train_end"}
        logs = [epoch(n, loss=1 / (n + place + 1)) for n in range(3)]
        client.send(
            [begin(name, params=params, wall_time=1e9 + place), *logs, ending], f"{name[:5].strip()}.a"
        )


def test_trainings_show_how_they_ended(start, browser):
    client = start()
    client.send([begin("away"), epoch(0, loss=1.0)], "away.a")
    client.server._store.heard["away"] -= 41
    fit(client.server.url, name="complete")
    fit(client.server.url, name="early", epochs=50, patience=1)
    with pytest.raises(ValueError, match="epochs"):
        fit(client.server.url, name="broken", epochs=-1)
    client.send([begin("broken"), {"event": "exception", "error": "ValueError: too wide"}], "broken.a")
    client.send([begin("busy", epochs=10), epoch(1, loss=1.0)], "busy.a")

    page = Page(browser, client).open()
    for name in ("away", "complete", "early", "broken", "busy"):
        page.row(name)
    page.keep("states")

    assert "▶ running" in page.row("busy").text
    assert "epoch 2/10" in page.row("busy").text
    assert "✓ finished" in page.row("complete").text
    assert "■ stopped" in page.row("early").text
    assert "EarlyStopping" in page.row("early").text
    assert "✕ failed" in page.row("broken").text
    assert "ValueError: too wide" in page.row("broken").text
    assert "… silent" in page.row("away").text
    assert browser.title == "1 running · onstage live"


def test_a_restart_of_the_server_loses_nothing(start, browser):
    client = start()
    port = int(client.server.url.rpartition(":")[2])
    client.send([begin("one"), epoch(0, loss=3.0)], "one.a")
    page = Page(browser, client).open("#x=epoch")
    page.plot("loss")
    page.run("window.same = true")

    client.server.close()
    page.wait_for(lambda: "lost" in page.text("#connection"))
    assert page.ticked() == {"one"}
    start(port=port).send([epoch(1, loss=2.0)], "one.a", 2)

    page.wait_for(lambda: page.text("#connection") == "connected")
    page.wait_for(lambda: page.tip_at("loss", 1) == ("epoch 2", {"one": 2.0}))
    assert page.tip_at("loss", 0) == ("epoch 1", {"one": 3.0})
    assert page.run("return window.same")
    browser.get("about:blank")


def test_the_stop_button_stops_a_training(client, page):
    done = []
    training = threading.Thread(
        target=lambda: done.append(fit(client.server.url, epochs=10**6, name="endless"))
    )
    training.start()
    page.open()
    page.row("endless").find_element("css selector", ".name").click()

    page.wait_for(lambda: "running" in page.text("#now"))
    page.click("#stop")
    page.keep("confirm")
    page.click("#confirm .danger")
    training.join(60)

    assert not training.is_alive()
    assert len(done[0].epoch) < 10**6
    page.wait_for(lambda: "■ stopped" in page.text("#now"))
    assert "asked from the page" in page.text("#why")


def test_names_from_a_training_are_shown_as_text(client, page):
    for place, name in enumerate(HOSTILE.values()):
        client.send(
            [
                begin(name, model=name, params={name: name}, callbacks=[name], host=name),
                *(epoch(n, **{name: float(n), "loss": 1.0}) for n in range(3)),
                {"event": "exception", "error": name},
            ],
            f"run{place}.a",
        )

    page.open("#run=run0")
    page.wait_for(lambda: len(page.texts("#runs li")) == len(HOSTILE) and len(page.texts("figure")) > 3)
    page.wait_for(lambda: page.texts("#details h2"))
    page.keep("hostile")

    assert page.texts("#details h2") == [HOSTILE["markup"]]
    assert page.run("return document.querySelectorAll('main img, li img, dialog img').length") == 0
    assert page.driver.title == "onstage live"
    assert HOSTILE["markup"] in page.texts("figure h2")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    page.open("#x=epoch&find=img")
    assert page.tip_at(HOSTILE["markup"], 1)[1] == {HOSTILE["markup"]: 2.0}


@pytest.mark.parametrize("view", ["", "#run=one", "#compare=one&compare=two"])
def test_a_phone_shows_all_of_it_without_sideways_scroll(client, page, view):
    fill(client, "one", "two", "three of a very long name that does not fit " * 5)
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.open(view)
        page.plot("loss")
        if not view:
            page.click("summary")
            page.row("one")
        page.keep(f"phone{view.replace('#', '-').partition('=')[0]}")

        assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_runs_are_found_sorted_and_hidden(client, page):
    fill(client, "cedar", "birch", "alder")
    page.open()
    names = lambda: page.texts("#runs .name")  # noqa: E731
    page.wait_for(lambda: names() == ["alder", "birch", "cedar"])

    page.choose("#sort", "best loss")
    assert names() == ["alder", "birch", "cedar"]  # 1/5, 1/4, 1/3
    page.click("#flip")
    assert names() == ["cedar", "birch", "alder"]
    page.choose("#find", "lr=0.05")
    assert names() == ["birch"]
    page.choose("#find", "")
    page.click("#none")
    assert page.ticked() == set()
    assert "No run is shown" in page.text("#empty")
    page.tick("birch")
    assert page.ticked() == {"birch"}
    page.click("#all")
    assert page.ticked() == {"alder", "birch", "cedar"}


def test_a_run_is_renamed_described_coloured_pinned_and_deleted(client, page):
    fill(client, "one", "two")
    page.open("#run=one")
    page.wait_for(lambda: page.texts("#rename"))

    page.choose("#rename", "best so far")
    page.choose("#note", "with the new data")
    page.choose("#details [type=color]", "#123456")
    page.wait_for(lambda: page.text("#title") == "best so far")
    page.wait_for(lambda: client.runs()[0]["colour"] and client.runs()[0]["note"])
    page.click("#details [aria-label=Close]")
    page.point_at(page.row("best so far"))
    page.row("best so far").find_element("css selector", "[aria-label=Pin]").click()
    page.wait_for(lambda: page.texts("#runs .name") == ["best so far", "two"])

    kept = client.runs()[0]
    assert [kept[name] for name in ("name", "note", "colour", "pinned")] == [
        "best so far",
        "with the new data",
        "#123456",
        True,
    ]
    page.row("two").find_element("css selector", ".name").click()
    delete = next(each for each in page.all("#details button") if "Delete" in each.text)
    delete.click()
    page.click("#confirm button")
    assert len(client.runs()) == 2
    delete.click()
    page.click("#confirm .danger")
    page.wait_for(lambda: page.texts("#runs .name") == ["best so far"])
    assert [run["id"] for run in client.runs()] == ["one"]


def test_two_runs_are_compared(client, page):
    fill(client, "one", "two")
    page.open()
    for name in ("one", "two"):
        page.run("arguments[0].click()", page.row(name).find_element("css selector", "[aria-label=Compare]"))
    page.wait_for(lambda: page.texts("#compare td"))
    page.keep("compare")

    rows = "return all(arguments[0]).map(row => [...row.children].map(cell => cell.textContent))"
    differing = page.run(rows, "#compare > table:first-of-type tr")
    assert differing == [["", "one", "two"], ["lr", "0.1", "0.05"]]
    assert ["loss", "0.33333", "0.25", "\N{MINUS SIGN}0.0833"] in page.run(rows, "#compare tr")
    assert page.run(rows, "#compare details tr")[1:] == [["units", "8", "8"]]


def test_a_server_that_may_not_steer_offers_no_changes(start, browser):
    client = start(steer=False)
    client.send([begin("one"), epoch(0, loss=1.0)], "one.a")
    page = Page(browser, client).open("#run=one")
    page.wait_for(lambda: page.texts("#stop"))

    controls = "#details button, #details input, #details textarea"
    enabled = "return all(arguments[0]).filter(each => !each.disabled).map(each => each.ariaLabel)"
    assert page.run(enabled, controls) == ["Close"]
    assert "with its token" in page.text("#details")


def test_everything_is_reached_with_the_keyboard(client, page):
    fill(client, "one", "two")
    page.open()
    page.plot("loss")
    reached = []
    focused = """
        const node = document.activeElement, {outlineWidth, outlineStyle} = getComputedStyle(node);
        const name = node === document.body ? "end" : node.id || node.ariaLabel || node.innerText;
        return [name, parseFloat(outlineWidth) > 0 && outlineStyle !== "none"];
    """
    page.run("document.activeElement.blur()")
    for _ in range(40):
        page.driver.switch_to.active_element.send_keys("\ue004")  # tab
        name, is_visible = page.run(focused)
        if name == "end":
            break
        assert is_visible, name
        reached.append(name)

    expected = [
        "copy",
        "theme",
        "find",
        "sort",
        "flip",
        "all",
        "none",
        "Show two",
        "two",
        "Compare",
        "Pin",
        "x",
        "kind",
        "smooth",
    ]
    expected += ["metrics", "Log axis, loss", "Save picture, loss", "Download CSV, loss", "Full width, loss"]
    assert [name for name in expected if name not in reached] == []
    assert any(name.startswith("loss, last values: one 0.33333") for name in reached)
    page.run("all('.name')[0].focus()")
    page.driver.switch_to.active_element.send_keys("\ue007")  # enter
    page.wait_for(lambda: page.run("return document.querySelector('#details').open"))
    page.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    page.wait_for(lambda: not page.run("return document.querySelector('#details').open"))


def test_colours_follow_the_system_and_the_toggle(client, page):
    fill(client, "one")
    background = "return getComputedStyle(document.body).backgroundColor"
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    page.open()
    page.plot("loss")
    dark = page.run(background)
    page.keep("dark")

    page.click("#theme")
    light = page.run(background)
    page.open()
    again = page.run(background)
    page.run("localStorage.clear()")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert (dark, light, again) == ("rgb(15, 18, 24)", "rgb(245, 246, 248)", "rgb(245, 246, 248)")


def test_a_hidden_page_asks_for_nothing(client, page):
    client.send([begin("one"), epoch(0, loss=1.0)], "one.a")
    page.open("#x=epoch")
    page.plot("loss")
    asked = (
        "return performance.getEntriesByType('resource').filter(each => each.name.includes('/api/')).length"
    )
    page.wait_for(lambda: page.run(asked) == page.run(asked))

    page.driver.minimize_window()
    page.wait_for(lambda: page.run("return document.hidden"))
    before = page.run(asked)
    for number in range(1, 4):
        client.send([epoch(number, loss=1.0 + number)], "one.a", number + 1)
        time.sleep(0.3)
    after = page.run(asked)
    page.driver.set_window_rect(0, 0, 1400, 1000)

    assert after == before
    page.wait_for(lambda: page.tip_at("loss", 1) == ("epoch 4", {"one": 4.0}))


def test_an_empty_store_says_what_to_do(page):
    page.open()
    page.wait_for(lambda: "Waiting for a training" in page.text("#empty"))
    page.keep("empty")

    assert 'callbacks=["live"]' in page.text("#empty")
