"""The live page in a headless Chromium: what the tests of the page share.

``ONSTAGE_SCREENSHOTS=FOLDER pytest tests/plugins/apps/live`` keeps the pictures.
"""

import os
import shutil
import warnings
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

from selenium.common.exceptions import StaleElementReferenceException, TimeoutException  # noqa: E402  # if it is there
from selenium.webdriver.chrome.service import Service  # noqa: E402  # if it is there
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402  # if it is there
from selenium.webdriver.common.by import By  # noqa: E402  # if it is there
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402  # if it is there

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --no-proxy-server
    --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars
    --window-size=1400,1000"""
PATIENCE = 30

# Names, values and series of the crosshair's list in the chart of a metric.
TIP = """
    const tip = chart(arguments[0]).querySelector(".tip");
    if (!tip || tip.hidden) return null;
    const rows = [...tip.querySelectorAll("tr")].map(row => row.children);
    const values = rows.map(([, name, value]) => [name.textContent, value.dataset.value]);
    return [tip.querySelector("b").textContent, values];
"""
# Positions, as fractions of the chart's width, whose column has a pixel of a colour.
COLUMNS = """
    const canvas = chart(arguments[0]).querySelector("canvas"), ratio = canvas.width / canvas.clientWidth;
    const over = chart(arguments[0]).querySelector(".u-over");
    const [r, g, b] = arguments[1].match(/\\w\\w/g).map(part => parseInt(part, 16));
    const left = Math.round(over.offsetLeft * ratio), width = Math.round(over.clientWidth * ratio);
    const {data} = canvas.getContext("2d").getImageData(left, 0, width, canvas.height), found = new Set();
    for (let at = 0; at < data.length; at += 4) {
        const near = Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 40;
        if (near && data[at + 3] > 200) found.add((at / 4) % width);
    }
    return [...found].sort((a, b) => a - b).map(column => column / width);
"""
FUNCTIONS = """
    const all = selector => [...document.querySelectorAll(selector)];
    const chart = name => all("figure").find(each => each.dataset.metric === name);
"""
PLOT = """
    chart(arguments[0])?.scrollIntoView({block: "nearest"});
    return chart(arguments[0])?.querySelector(".u-over");
"""
CHOOSE = """
    arguments[0].value = arguments[1];
    for (const kind of ["input", "change"]) arguments[0].dispatchEvent(new Event(kind));
"""


class Page:
    """The page in the browser, as a person sees it."""

    def __init__(self, driver, client):
        self.driver, self.client, self.url = driver, client, client.server.url

    def open(self, view=""):
        """Load the page anew, with the view of an address."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/{view}")
        self.wait_for(lambda: self.text("#connection") == "connected")
        return self

    def wait_for(self, ready):
        """Wait until a function returns something true, and return it."""
        try:
            return WebDriverWait(self.driver, PATIENCE, 0.05, [StaleElementReferenceException]).until(
                lambda _: ready()
            )
        except TimeoutException:
            raise AssertionError(self.text("body")) from None

    def run(self, script, *arguments):
        return self.driver.execute_script(FUNCTIONS + script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector):
        return self.run("return all(arguments[0]).map(each => each.innerText)", selector)

    def click(self, selector):
        self.find(selector).click()

    def choose(self, selector, value):
        """Set a control, as a person does."""
        self.run(CHOOSE, self.find(selector), value)

    def row(self, name):
        return self.wait_for(lambda: next((row for row in self.all("#runs li") if name in row.text), None))

    def tick(self, name):
        self.row(name).find_element(By.CSS_SELECTOR, "input").click()

    def ticked(self):
        return set(self.run("return all('#runs input:checked').map(each => each.ariaLabel.slice(5))"))

    def plot(self, metric):
        """Wait until a chart is drawn, and return its area."""
        return self.wait_for(lambda: self.run(PLOT, metric))

    def hover(self, metric, across, down=0.5):
        """Move the pointer to a point of a chart, in fractions of its size."""
        area = self.plot(metric)
        width, height = area.size["width"], area.size["height"]
        x, y = round((across - 0.5) * (width - 2)), round((down - 0.5) * (height - 2))
        ActionChains(self.driver, duration=0).move_to_element_with_offset(area, x, y).perform()

    def point_at(self, element):
        ActionChains(self.driver, duration=0).move_to_element(element).perform()

    def drag(self, metric, start, stop):
        """Drag across a chart."""
        area = self.plot(metric)
        width = area.size["width"]
        actions = ActionChains(self.driver, duration=20)
        actions.move_to_element_with_offset(area, round((start - 0.5) * width), 0).click_and_hold()
        actions.move_by_offset(round((stop - start) * width), 0).release().perform()

    def double_click(self, metric):
        ActionChains(self.driver, duration=0).double_click(self.plot(metric)).perform()

    def tip(self, metric):
        """Return position and ``{name: value}`` at the crosshair of a chart; None without one."""
        found = self.run(TIP, metric)
        number = lambda text: None if text is None else float(text)  # noqa: E731
        return found and (found[0], {name: number(value) for name, value in found[1]})

    def tip_at(self, metric, across):
        """Return what the crosshair shows there."""
        return self.wait_for(lambda: self.hover(metric, across) or self.tip(metric))

    def columns(self, metric, colour):
        """Return where a chart has a colour, in fractions of its width."""
        self.plot(metric)
        return self.run(COLUMNS, metric, colour)

    def view(self):
        """Return what of the address says what is shown."""
        return self.driver.current_url.partition("#")[2]

    def keep(self, name):
        """Save a picture, if the user wants to see it."""
        if folder := os.environ.get("ONSTAGE_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder, f"live-{name}.png")))


def open_browser(profile):
    """Return a browser with a fresh profile."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # selenium's own
        return webdriver.Chrome(options=options, service=Service(DRIVER))


def begin(name, **settings):
    return {"event": "train_begin", "name": name, **settings}


def epoch(number, **logs):
    return {"event": "epoch_end", "epoch": number, **logs}


def batch(number, **logs):
    return {"event": "train_batch_end", "epoch": 0, "batch": number, **logs}
