"""One built shop, its site, and a browser, for all tests of the pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import (
    CHROMIUM,
    NO_CHROMIUM,
    Site,
    chromium,
    page_of,
    running,
    sample_shop,
)

# How long a page takes is the machine's affair, on which other tests run.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
def built() -> Iterator[Shop]:
    """The sample shop with its lake and vectors; whoever sells in it has one of his own."""
    with sample_shop() as shop:
        yield shop


@pytest.fixture(scope="package")
def site(built: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Its site."""
    with running(built, tmp_path_factory.mktemp("web")) as site:
        yield site


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of a fresh visitor."""
    with page_of(browser, site.url) as page:
        yield page
