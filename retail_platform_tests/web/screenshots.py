"""The pictures of the README, of the sample shop: `python -m retail_platform_tests.web.screenshots`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from retail_platform_tests.web.site import chromium, page_of, running, sample_shop

FOLDER = Path(__file__).parent / "screenshots"

WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 860}


def main() -> None:
    """Builds the sample shop, opens its site, and looks at it."""
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as logs, sample_shop() as shop:
        shop.done("events", "--count", "400", "--seed", "1", "--rate", "0")
        shop.done("build", "events")
        with running(shop, Path(logs)) as site, chromium() as browser:
            with page_of(browser, site.url, viewport=WIDE, color_scheme="light") as page:
                page.goto("/dashboard")
                _take(page, "dashboard")
                page.goto("/trust")
                _take(page, "trust")
            with page_of(browser, site.url, viewport=WIDE, color_scheme="dark") as page:
                page.goto("/shop")
                page.locator("#for-you a").first.click()
                page.locator("#similar a").first.click()
                page.wait_for_load_state("networkidle")
                _take(page, "shop")
            with page_of(browser, site.url, viewport=PHONE, color_scheme="dark") as page:
                page.goto("/dashboard")
                _take(page, "phone")
    print(f"in {FOLDER}", file=sys.stderr)  # noqa: T201


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
