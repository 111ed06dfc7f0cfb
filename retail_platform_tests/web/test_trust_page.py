"""What the trust page says, against what the command line says of the same lake."""

import re

from playwright.sync_api import Page, expect

from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import Site


def test_every_table_is_there_with_the_snapshot_that_readers_see(site: Site, built: Shop) -> None:
    page = site.get("/trust").text
    for row in built.records("status"):
        name = row["table"].partition(".")[2]
        line = re.search(rf'<a href="/trust/{name}">.*?</tr>', page, re.DOTALL)
        assert line, name
        if row["snapshot_id"]:
            cells = re.sub(r"<[^>]+>", " ", line[0])
            assert row["snapshot_id"] in cells
            assert f"{int(row['rows']):,}" in cells
            assert "fresh" in cells
            assert re.search(r"\d+ held", cells), cells
            assert "unknown" not in cells


def test_a_column_leads_to_that_of_the_source(page: Page) -> None:
    page.goto("/trust")
    page.get_by_role("link", name="fact_orders", exact=True).click()
    row = page.locator("tr#order_amount")
    expect(row).to_contain_text("decimal(20,2)")
    row.get_by_role("link", name="order_details.price_each").click()
    expect(page).to_have_url(re.compile("/trust/order_details#price_each$"))
    expect(page.locator("tr#price_each")).to_contain_text("orderdetails.priceEach")
    expect(page.locator("tr#price_each")).to_contain_text("of the source database")


def test_checks_have_their_outcome(page: Page) -> None:
    page.goto("/trust/product_embeddings")
    row = page.get_by_role("row", name=re.compile("^enough_history"))
    expect(row).to_contain_text("warns")
    page.goto("/trust/fact_orders")
    checks = page.get_by_role("region", name="Checks").locator("tbody tr")
    assert checks.count() > 5
    for number in range(checks.count()):
        expect(checks.nth(number)).to_contain_text("held")


def test_the_model_is_shown_with_how_good_it_is(page: Page, built: Shop) -> None:
    (live,) = [row for row in built.records("vectors", "list") if row["live"] == "true"]
    told = built.records("evaluate")
    page.goto("/trust#recommender")
    section = page.locator("#recommender")
    expect(section).to_contain_text(f"Model {live['model_version']}")
    (ours,) = [r for r in told if r["method"] == "platform" and r["protocol"] == "new"]
    row = section.get_by_role("row", name=re.compile("^New "))
    expect(row).to_contain_text(f"{float(ours['recall_at_10']):.4f}")


def test_an_unknown_table_is_not_found(site: Site) -> None:
    got = site.get("/trust/nothing")
    assert got.status_code == 404
    assert "there is no such table" in got.text
