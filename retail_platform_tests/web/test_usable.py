"""Whether everyone can use the pages: by keyboard, screen reader, on a phone, in both themes."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from retail_platform_tests.web.site import Site, page_of

PAGES = [
    "/dashboard",
    "/dashboard?from=1999-01-01&to=1999-12-31",
    "/trust",
    "/trust/fact_orders",
    "/shop",
    "/shop/products/S18_0019",
    "/shop/cart",
    "/nowhere",
]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CART_OF_ONE = "eyJpZCI6IjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmIiwib3JkZXJfaWQiOiIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCIsImNhcnQiOnsiUzE4XzAwMTkiOjJ9fQ=="


@pytest.fixture(scope="module", params=["light", "dark"])
def themed(
    request: pytest.FixtureRequest, browser: Browser, site: Site
) -> Iterator[tuple[str, Page]]:
    options = {"color_scheme": request.param, "viewport": WIDE, "reduced_motion": "reduce"}
    with page_of(browser, site.url, **options) as page:
        page.context.add_cookies(
            [{"name": "visit", "value": CART_OF_ONE, "domain": "127.0.0.1", "path": "/shop"}]
        )
        yield request.param, page


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(path: str, themed: tuple[str, Page]) -> None:
    _, page = themed
    page.goto(path)
    for details in page.locator("main details").all():
        details.locator("summary").first.click()
    found = Axe().run(page)
    serious = [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes']][:3]}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_a_phone(path: str, themed: tuple[str, Page]) -> None:
    _, page = themed
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def test_the_two_themes_differ(themed: tuple[str, Page]) -> None:
    theme, page = themed
    page.goto("/dashboard")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 247, 248)", "dark": "rgb(17, 23, 28)"}[theme]


def test_the_keyboard_reaches_everything_and_stays_where_it_was(page: Page) -> None:
    page.goto("/dashboard")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the page")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    country = page.get_by_role("form", name="Filters").get_by_label("Country")
    country.focus()
    page.keyboard.type("Fra")
    page.wait_for_url("**country=France**")
    expect(country).to_be_focused()
    expect(page.locator("#said")).to_contain_text("Sales ")
    expect(page.locator("#sales_by_country")).to_be_visible()
    page.locator("#sales_by_product_line summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#sales_by_product_line table")).to_be_visible()


def test_a_day_can_be_typed(page: Page) -> None:
    """A browser tells of each digit; what is no day yet, or in the wrong order, harms nothing."""
    page.goto("/dashboard")
    first = page.get_by_role("form", name="Filters").get_by_label("From", exact=True)
    first.focus()
    page.keyboard.type("01012004", delay=30)
    page.wait_for_url("**from=2004-01-01**")
    expect(first).to_have_value("2004-01-01")
    first.fill("2010-01-01")
    expect(page.get_by_role("alert")).to_contain_text("is after to")
    expect(first).to_be_focused()
    first.fill("2004-02-01")
    page.wait_for_url("**from=2004-02-01**")
    expect(page.locator("#sales_by_month")).to_be_visible()


def test_a_site_that_does_not_answer_is_said(page: Page) -> None:
    page.goto("/dashboard")
    page.route("**/dashboard?*", lambda route: route.abort())
    page.get_by_role("form", name="Filters").get_by_label("Country").select_option("France")
    expect(page.get_by_role("alert")).to_contain_text("The site does not answer")
