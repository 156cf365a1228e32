"""A Chromium without a window, for the tests, the figure and the benchmark of the report's page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["MISSING", "chromium"]

_BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
_DRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-prefers-reduced-motion", "--window-size=1200,900",
)  # fmt: skip
MISSING = "" if _BROWSER and _DRIVER else "no chromium with chromedriver: run `make browser`"
"""Why there is no browser; empty where there is one."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a selenium driver with a new profile; it logs the console and what is asked for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(_BROWSER)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
        try:
            driver.set_script_timeout(20)
            yield driver
        finally:
            driver.quit()
