"""The dashboard in a real browser; its figures against SQL over the same lake."""

import csv
import io
import re
from decimal import Decimal

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from retail_platform.web.dashboard import without_formulas
from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import Site, is_drawn

SALES = "SELECT CAST(sum(order_amount) AS decimal(20,2)) AS sales FROM fact_orders f WHERE is_sale"


def amount(text: str) -> Decimal:
    return Decimal(re.sub(r"[^\d.-]", "", text))


def key_figure(page: Page, title: str) -> str:
    tile = page.locator("dl.figures div", has=page.get_by_text(title, exact=True))
    return tile.locator(".value").inner_text()


def asked(page: Page) -> Locator:
    return page.get_by_role("form", name="Filters")


def rows(page: Page, chart: str) -> list[list[str]]:
    figure = page.locator(f"#{chart}")
    figure.locator("summary").click()
    found = figure.locator("tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("td").all()] for row in found]


def test_key_figures_are_those_of_sql(page: Page, built: Shop) -> None:
    page.goto("/dashboard?from=2004-01-01&to=2004-12-31")
    (told,) = built.rows(
        "SELECT CAST(sum(order_amount) AS decimal(20,2)) AS sales,"
        " count(DISTINCT order_number) AS orders, count(DISTINCT customer_number) AS customers,"
        " CAST(sum(order_amount - quantity_ordered * buy_price) AS decimal(20,2)) AS margin"
        " FROM fact_orders WHERE is_sale AND year(order_date) = 2004"
    )
    assert amount(key_figure(page, "Sales")) == told["sales"]
    assert amount(key_figure(page, "Orders")) == told["orders"]
    assert amount(key_figure(page, "Customers")) == told["customers"]
    assert amount(key_figure(page, "Margin")) == told["margin"]
    average = amount(key_figure(page, "Average order"))
    assert abs(average - told["sales"] / told["orders"]) <= Decimal("0.01")
    (before,) = built.rows(
        f"{SALES} AND order_date BETWEEN DATE '2002-12-31' AND DATE '2003-12-31'"
    )
    change = (told["sales"] - before["sales"]) / before["sales"] * 100
    tile = page.locator("dl.figures div").first
    expect(tile.locator(".change")).to_contain_text(f"{change:+.1f} %")
    expect(tile.locator(".change")).to_contain_text("to the 366 days before")


@pytest.mark.parametrize("name", ["key_figures", "sales_by_month", "payments_against_sales"])
def test_each_csv_is_the_report_to_the_cent(name: str, site: Site) -> None:
    days = {"from": "2004-03-01", "to": "2005-02-28"}
    got = site.get(f"/dashboard/{name}.csv", params=days)
    assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{name}_2004-03-01_2005-02-28.csv"' in got.headers["Content-Disposition"]
    told = site.shop.done(
        "report", name, "--from", days["from"], "--to", days["to"], "--format", "csv"
    )
    assert got.text == told
    assert len(got.text.splitlines()) > 1


def test_every_chart_is_drawn_and_has_its_table(page: Page, site: Site) -> None:
    page.goto("/dashboard")
    charts = page.locator("figure.chart")
    expect(charts).to_have_count(7)
    for number in range(7):
        chart = charts.nth(number)
        box = chart.locator("canvas").bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert is_drawn(chart.locator("canvas"))
        name = chart.get_attribute("id")
        link = chart.get_by_role("link", name="CSV").get_attribute("href") or ""
        whole = list(csv.reader(io.StringIO(site.get(link).text)))
        shown = rows(page, str(name))
        assert 0 < len(shown) <= len(whole) - 1
        assert len(shown[0]) == len(whole[0])


def test_filters_change_the_figures_and_the_url(page: Page, built: Shop) -> None:
    page.goto("/dashboard?from=2003-01-01&to=2005-12-31")
    everything = amount(key_figure(page, "Sales"))
    assert everything == built.rows(SALES)[0]["sales"]

    asked(page).get_by_label("Country").select_option("France")
    page.wait_for_url("**country=France**")
    (france,) = built.rows(
        SALES.replace("WHERE", "JOIN dim_locations l ON l.location_key = f.location_key WHERE")
        + " AND l.country = 'France'"
    )
    assert amount(key_figure(page, "Sales")) == france["sales"]

    asked(page).get_by_label("Product line").select_option("Planes")
    page.wait_for_url("**product_line=Planes**")
    assert amount(key_figure(page, "Sales")) < france["sales"]
    expect(page.locator("#payments_against_sales")).to_contain_text("Of all product lines")

    asked(page).get_by_label("Top").select_option("5")
    page.wait_for_url("**n=5**")
    assert len(rows(page, "top_products")) == 5

    page.get_by_role("link", name="Clear France and Planes").click()
    page.wait_for_url(lambda url: "France" not in url)
    assert amount(key_figure(page, "Sales")) == everything

    asked(page).get_by_label("From", exact=True).fill("2004-02-01")
    asked(page).get_by_label("To", exact=True).fill("2004-02-29")
    page.wait_for_url("**to=2004-02-29**")
    (february,) = built.rows(f"{SALES} AND order_month = DATE '2004-02-01'")
    expect(page.locator("dl.figures .value").first).to_have_text(f"{february['sales']:,}")

    page.reload()
    assert amount(key_figure(page, "Sales")) == february["sales"]
    page.go_back()
    page.wait_for_url(lambda url: "to=2004-02-29" not in url)
    assert amount(key_figure(page, "Sales")) != february["sales"]


def test_back_shows_the_whole_page_where_htmx_is_there_before_our_script(page: Page) -> None:
    """It would fetch a middle without its frame, and put that in the place of all."""
    page.route("**/site.js*", lambda route: route.abort())
    page.goto("/dashboard?from=2003-01-01&to=2005-12-31")
    asked(page).get_by_label("Country").select_option("France")
    page.wait_for_url("**country=France**")
    page.go_back()
    page.wait_for_url(lambda url: "country=France" not in url)
    expect(asked(page).get_by_label("Country")).to_have_value("")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_a_place_on_a_chart_leads_to_its_own_figures(page: Page) -> None:
    page.goto("/dashboard?from=2003-01-01&to=2005-12-31")
    first = rows(page, "sales_by_country")[0]
    canvas = page.locator("#sales_by_country canvas")
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] / 2, "y": 20})
    page.wait_for_url(f"**country={first[0]}**")
    assert asked(page).get_by_label("Country").input_value() == first[0]

    page.locator("#sales_by_product_line summary").click()
    page.locator("#sales_by_product_line tbody a").first.click()
    page.wait_for_url("**product_line=**")

    page.locator("#sales_by_month summary").click()
    page.locator("#sales_by_month tbody a").first.click()
    page.wait_for_url(re.compile(r"from=\d{4}-\d\d-01"))
    assert amount(key_figure(page, "Sales")) == amount(rows(page, "sales_by_month")[0][-1])


def test_periods_are_a_click_away(page: Page) -> None:
    page.goto("/dashboard")
    year = amount(key_figure(page, "Sales"))
    page.get_by_role("link", name="All", exact=True).click()
    assert amount(key_figure(page, "Sales")) > year
    page.get_by_role("link", name="3 months").click()
    assert amount(key_figure(page, "Sales")) < year
    expect(page.get_by_role("link", name="3 months")).to_have_attribute("aria-current", "true")


def test_nothing_sold_says_so(page: Page) -> None:
    page.goto("/dashboard?from=1999-01-01&to=1999-12-31&country=France")
    expect(page.locator("main").get_by_role("status")).to_contain_text(
        "No sale from 1999-01-01 to 1999-12-31 in France."
    )
    page.get_by_role("link", name="Show the last year").click()
    assert amount(key_figure(page, "Sales")) > 0


def test_it_works_without_javascript(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/dashboard")
    asked(page).get_by_label("Country").select_option("Spain")
    page.get_by_role("button", name="Show").click()
    assert "country=Spain" in page.url
    page.locator("#sales_by_country summary").click()
    expect(page.locator("#sales_by_country tbody tr")).to_have_count(1)
    context.close()


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("from=2004-02-30", "from is a day like 2004-12-31"),
        ("from=yesterday", "from is a day like 2004-12-31"),
        ("to=9999-12-31", "to is a day from 1900-01-01 to 2199-12-31"),
        ("from=2005-01-01&to=2004-01-01", "is after to"),
        ("n=0", "n is a number from 1 to 100"),
        ("n=1e3", "n is a number from 1 to 100"),
        ("country=" + "a" * 101, "country is a name of at most 100 letters"),
        ("product_line=%00", "product_line is a name of at most 100 letters"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(query: str, why: str, site: Site) -> None:
    for path in ("/dashboard", "/dashboard/top_products.csv"):
        got = site.get(f"{path}?{query}")
        assert got.status_code == 400
        assert why in got.text


def test_sql_in_a_filter_is_a_name_that_nobody_has(site: Site) -> None:
    got = site.get("/dashboard", params={"country": "France' OR 1=1 --", "from": "2003-01-01"})
    assert got.status_code == 200
    assert "No sale from" in got.text
    assert "&#39; OR 1=1" in got.text


def test_there_is_no_other_csv(site: Site) -> None:
    assert site.get("/dashboard/secrets.csv").status_code == 404
    assert site.get("/dashboard/recommendation_hits.csv").status_code == 404


def test_a_repeated_view_asks_nothing(site: Site) -> None:
    path = "/dashboard?from=2003-03-01&to=2004-10-31&n=7"
    first = site.get(path)
    again = site.get(path)
    assert again.text == first.text


def test_a_new_publication_shows_at_once(page: Page, built: Shop) -> None:
    path = "/dashboard?from=2003-01-01&to=2005-12-31"
    page.goto(path)
    before = amount(key_figure(page, "Sales"))
    older = built.records("history", "fact_orders")
    built.done("build", "star", "--from", "2005-05", "--to", "2005-05")
    newest = built.records("history", "fact_orders")[0]["snapshot_id"]
    assert newest != older[0]["snapshot_id"]
    page.goto("/trust/fact_orders")
    page.wait_for_timeout(5_100)
    page.reload()
    expect(page.locator("main")).to_contain_text(newest)
    page.goto(path)
    assert amount(key_figure(page, "Sales")) == before


def test_what_a_customer_calls_himself_is_no_formula() -> None:
    rows = pa.table({"name": ["=1+1", "@x", "-1", "+1", "a=b", None], "n": [-1, 2, 3, 4, 5, 6]})
    assert without_formulas(rows).to_pydict() == {
        "name": ["'=1+1", "'@x", "'-1", "'+1", "a=b", None],
        "n": [-1, 2, 3, 4, 5, 6],
    }
