"""Figures that take longer than a page waits: it says so, and shows them when they are there."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import pyarrow as pa
import pytest
import requests
import uvicorn
from playwright.sync_api import Browser, Page, expect

from retail_platform.platform import Platform
from retail_platform.serving.answers import Answers, Look, Published
from retail_platform.serving.query import QueryService
from retail_platform.serving.snapshots import LakeSnapshots
from retail_platform.settings import load_settings
from retail_platform.web.app import create_app
from retail_platform.web.site import open_site
from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import is_drawn, page_of, patiently

DAYS = "from=2004-01-01&to=2004-12-31"


@dataclass
class Slow:
    """Answers SQL when it may."""

    sql: QueryService
    may_answer: threading.Event = field(default_factory=threading.Event)

    def run(self, sql: str, as_of: datetime | None = None) -> pa.Table:
        assert self.may_answer.wait(60)
        return self.sql.run(sql, as_of)


class Patient(Published):
    """Waits for the catalog, which is not what is late here."""

    def look(self, seconds: float) -> Look:
        return super().look(60)

    def snapshots(self, tables: Iterable[str], look: Look, seconds: float) -> Mapping[str, int]:
        return super().snapshots(tables, look, 60)


@dataclass(frozen=True)
class LateSite:
    """A site that waits a fifth of a second for its figures, which take as long as a test likes."""

    url: str
    figures: Slow


@pytest.fixture
def late(built: Shop) -> Iterator[LateSite]:
    """The built shop's, in this process."""
    platform = Platform(load_settings(built.home))
    figures = Slow(platform.sql)
    snapshots = LakeSnapshots(platform.lake)
    published = Patient(snapshots.tables, partial(snapshots.snapshot, as_of=None))
    with open_site(platform) as site, socket.create_server(("127.0.0.1", 0)) as listening:
        slow = replace(site, answers=Answers(figures, published, seconds=0.2))
        server = uvicorn.Server(uvicorn.Config(create_app(slow), log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield LateSite(f"http://127.0.0.1:{listening.getsockname()[1]}", figures)
        finally:
            figures.may_answer.set()
            server.should_exit = True
            thread.join(30)


@pytest.fixture
def late_page(late: LateSite, browser: Browser) -> Iterator[Page]:
    """A page of it."""
    with page_of(browser, late.url) as page:
        yield page


def test_the_first_view_says_that_it_takes_long_and_comes_by_itself(
    late: LateSite, late_page: Page
) -> None:
    late_page.goto(f"/dashboard?{DAYS}")
    expect(late_page.get_by_role("heading", level=1)).to_have_text("A moment")
    time.sleep(2)  # it looked again, and was told the same
    expect(late_page.get_by_role("heading", level=1)).to_have_text("A moment")
    late.figures.may_answer.set()
    expect(late_page.get_by_role("heading", level=1)).to_have_text("Sales")
    expect(late_page.get_by_role("form", name="Filters")).to_be_visible()
    assert is_drawn(late_page.locator("figure.chart canvas").first)


def test_a_filter_that_takes_long_shows_what_it_asks_for(late: LateSite, late_page: Page) -> None:
    late.figures.may_answer.set()
    late_page.goto(f"/dashboard?{DAYS}")
    everywhere = late_page.locator("dl.figures .value").first.inner_text()
    late.figures.may_answer.clear()
    form = late_page.get_by_role("form", name="Filters")
    form.get_by_label("Country").select_option("France")
    expect(late_page.get_by_role("heading", name="A moment")).to_be_visible()
    assert "country=France" in late_page.url
    expect(form.get_by_label("Country")).to_have_value("France")
    expect(late_page.locator("#said")).to_have_text("This takes longer than usual")
    late.figures.may_answer.set()
    expect(late_page.locator("dl.figures .value").first).not_to_have_text(everywhere)
    expect(form.get_by_label("Country")).to_have_value("France")


def test_a_program_is_told_in_the_way_of_programs(late: LateSite) -> None:
    table = requests.get(f"{late.url}/dashboard/sales_by_month.csv?{DAYS}", timeout=30)
    assert (table.status_code, table.headers["Retry-After"]) == (503, "1")
    assert table.text == "the answer takes too long: ask again in a moment\n"
    assert requests.get(f"{late.url}/dashboard?{DAYS}", timeout=30).status_code == 202
    late.figures.may_answer.set()
    for path in ("dashboard", "dashboard/sales_by_month.csv"):
        assert patiently(f"{late.url}/{path}?{DAYS}").status_code == 200
