"""Headless Chromium, and servers of the pages that it opens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


def errors(driver: Any) -> list[str]:
    """Return the messages of errors in the browser's log since it was last read."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def visit(driver: Any, address: str) -> None:
    """Open an address; fails if the page before had an error.

    Whoever leaves a page while it loads something in the background aborts that request, and gradio logs it as an
    error. What leaving logs is therefore dropped.
    """
    assert errors(driver) == []
    driver.get("about:blank")
    errors(driver)
    driver.get(address)


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


def free_port() -> str:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@contextmanager
def serve(command: list[str], port: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a Python command that serves a page at `port` while the block runs, and yield the page's address.

    Variables of `env` replace those of this process.
    """
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", **(env or {})}
    address = f"http://127.0.0.1:{port}/"
    with subprocess.Popen([sys.executable, *command], cwd=cwd, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(address, process)
            yield address
        finally:
            process.kill()
