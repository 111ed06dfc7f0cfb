"""A site as its visitor has it: `retail web` as a process of its own, and the system's Chromium."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    sync_playwright,
)

from retail_platform_tests.servers import postgres_home
from retail_platform_tests.shop import RETAIL, Shop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

NO_CHROMIUM = "Chromium is not installed: install the system's chromium"

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """A running `retail web`.

    Attributes:
        shop: Whose it is.
        url: Where.
        process: It.
        log: What it says.
    """

    shop: Shop
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str, **told: object) -> requests.Response:
        """Asks for a page as a browser does; does not go on where it is sent."""
        return patiently(self.url + path, allow_redirects=False, **told)

    def post(self, path: str, **told: object) -> requests.Response:
        """Sends a form; does not go on where it is sent."""
        return requests.post(self.url + path, timeout=30, allow_redirects=False, **told)  # type: ignore[arg-type]


def patiently(url: str, **told: object) -> requests.Response:
    """Asks for a page, again while it is worked out."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        got = requests.get(url, timeout=30, **told)  # type: ignore[arg-type]
        is_late = got.status_code == 202 or "Retry-After" in got.headers
        if not is_late or time.monotonic() > deadline:
            return got
        time.sleep(0.2)


@contextmanager
def sample_shop() -> Iterator[Shop]:
    """A sample shop with its lake and vectors."""
    with postgres_home() as home:
        shop = Shop(home)
        shop.done("sample")
        shop.done("build")
        yield shop


@contextmanager
def running(shop: Shop, folder: Path) -> Iterator[Site]:
    """Starts a shop's site on a free port; it is gone afterwards.

    Args:
        shop: Whose.
        folder: Where its log goes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"web-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(RETAIL), "web", "--port", str(port)],
            env=shop.environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        site = Site(shop, f"http://127.0.0.1:{port}", process, log)
        _wait(site)
        yield site
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(site: Site) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and site.process.poll() is None:
        try:
            if site.get("/healthz").ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"the site does not start:\n{site.log.read_text()}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    assert CHROMIUM is not None, NO_CHROMIUM
    with sync_playwright() as playwright:
        # Root has no sandbox of its own; the pages are ours.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        try:
            yield browser
        finally:
            browser.close()


def _is_ours(said: ConsoleMessage) -> bool:
    """Whether it complains of a page; that one was refused is what some tests are about."""
    of_network = ("Failed to load resource", "Response Status Error Code", "htmx:")
    return said.type in ("error", "warning") and not said.text.startswith(of_network)


def is_drawn(canvas: Locator) -> bool:
    """Whether there is anything on it."""
    return bool(
        canvas.evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
        )
    )


@contextmanager
def page_of(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """A page of a fresh visitor to a site; what its console complains of fails the test."""
    context: BrowserContext = browser.new_context(base_url=url, **options)  # type: ignore[arg-type]
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if _is_ours(said) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert not complaints, complaints
    finally:
        context.close()
