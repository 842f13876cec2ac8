"""Headless Chromium, and a wait for the pages that it opens."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest


def browser(downloads: Path | None = None) -> Any:
    """A Chromium window of 1280 × 1000 whose log can be read; skips the test where there is none."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(argument)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def wait_for(address: str, process: subprocess.Popen[Any]) -> None:
    """Wait until the page that `process` serves responds; fails if the process ends or after two minutes."""
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, "the page's process ended"
            assert time.monotonic() < deadline, "the page does not answer"
            time.sleep(0.2)
