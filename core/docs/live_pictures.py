"""Make the two pictures of the live page, from trainings that run now.

From the checkout, with chromium and its driver installed::

    uv run --with selenium python core/docs/live_pictures.py
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from onstage_live import Live, Server
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from sklearn.datasets import load_digits

from onstage import Sequential, layers, optimizers
from onstage.callbacks import EarlyStopping, LambdaCallback, ReduceLROnPlateau

STATIC = Path(__file__).resolve().parent / "_static"
FLAGS = """--headless --no-sandbox --disable-gpu --no-first-run --no-proxy-server
    --disable-background-networking --hide-scrollbars --window-size=1440,900"""
RUNS = [
    ("wide", 96, 3e-3),
    ("baseline", 32, 1e-3),
    ("small", 8, 1e-3),
    ("slow", 32, 2e-4),
    ("fast", 32, 2e-2),
]


def train(
    url: str, name: str, units: int, learning_rate: float, pause: threading.Event | None = None
) -> None:
    """Train a classifier of digits that the page shows; with `pause` it waits after its 14th epoch."""
    x, y = load_digits(return_X_y=True)
    x = x.astype("float32") / 16
    model = Sequential(
        [layers.Dense(units, activation="relu"), layers.Dense(10, activation="softmax")], seed=0
    )
    adam = optimizers.Adam(learning_rate)
    model.compile(adam, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    hold = LambdaCallback(on_epoch_begin=lambda epoch: pause.wait() if pause and epoch == 14 else None)
    callbacks = [
        EarlyStopping(patience=6),
        ReduceLROnPlateau(patience=3),
        "gradient_monitor",
        Live(url, name=name),
        hold,
    ]
    model.fit(x, y, epochs=40, validation_split=0.2, verbose=0, seed=0, callbacks=callbacks)


@contextlib.contextmanager
def opened(url: str, dark: bool) -> Iterator[webdriver.Chrome]:
    """Open a browser with the page."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get(url)
        WebDriverWait(driver, 60).until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, ".u-over")) > 2)
        yield driver
        driver.quit()


def main() -> None:
    """Train, photograph the charts with a crosshair, and two runs side by side."""
    pause = threading.Event()
    with tempfile.TemporaryDirectory() as store, Server(port=0, store=store) as server:
        for name, units, learning_rate in RUNS[1:]:
            train(server.url, name, units, learning_rate)
        training = threading.Thread(target=train, args=(server.url, *RUNS[0], pause))
        training.start()
        with opened(f"{server.url}/#x=epoch", dark=False) as driver:
            WebDriverWait(driver, 60).until(lambda _: "epoch 14/40" in driver.page_source)
            plot = driver.find_element(By.CSS_SELECTOR, ".u-over")
            ActionChains(driver).move_to_element_with_offset(plot, -60, 46).perform()
            driver.save_screenshot(str(STATIC / "live.png"))
        with opened(f"{server.url}/#x=epoch&kind=batch", dark=True) as driver:
            for name in ("slow", "fast"):
                row = driver.find_element(By.XPATH, f"//li[.//button[text()='{name}']]")
                ActionChains(driver).move_to_element(row).click(
                    row.find_element(By.CSS_SELECTOR, "[aria-label=Compare]")
                ).perform()
            WebDriverWait(driver, 60).until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#compare td"))
            driver.save_screenshot(str(STATIC / "live-compare.png"))
        pause.set()
        training.join()


if __name__ == "__main__":
    main()
