"""How the site is run: what machines ask, what stands before every page, and what is down."""

import gzip
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from retail_platform.embedded.postgres import data_directory
from retail_platform.web.guard import MOST_BYTES, is_of_this_site, may_see
from retail_platform_tests.servers import postgres_home
from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import Site, running, sample_shop

PRODUCT = "/shop/products/S18_0019"


def dependencies(site: Site) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in site.get("/readyz").json()["dependencies"]}


def test_it_lives_and_is_ready(site: Site) -> None:
    assert site.get("/healthz").json() == {"alive": True}
    got = site.get("/readyz")
    assert got.status_code == 200
    assert got.json()["ready"] is True
    found = dependencies(site)
    assert set(found) == {"lake", "recommender", "stream", "orders"}
    assert all(one["ready"] and not one["why"] for one in found.values())


def test_requests_and_events_are_counted(site: Site) -> None:
    def counted(line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (\S+)$", site.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    views = 'retail_requests_total{method="GET",route="/shop/products/{code}",status="200"}'
    sent = 'retail_events_total{outcome="sent"}'
    before, events = counted(views), counted(sent)
    for _ in range(3):
        assert site.get(PRODUCT).ok
    time.sleep(0.5)
    assert counted(views) == before + 3
    assert counted(sent) == events + 3
    assert counted('retail_events_total{outcome="lost"}') == 0


def test_every_answer_has_its_headers(site: Site) -> None:
    for path in ("/dashboard", "/shop", "/nowhere", "/healthz", "/dashboard?n=0"):
        headers = site.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "server" not in headers
        assert "Strict-Transport-Security" not in headers  # plain HTTP on the loopback


def test_what_never_changes_may_be_kept(site: Site) -> None:
    page = site.get("/dashboard").text
    for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        got = site.get(url)
        assert got.status_code == 200
        assert "immutable" in got.headers["Cache-Control"]
    assert site.get("/static/site.css").headers["Cache-Control"] == "no-store"
    assert site.get("/static/../app.py").status_code == 404
    assert site.get("/static/%2e%2e/app.py").status_code == 404
    scripts = re.findall(r'<script src="(/static/[^"]+)"', page)
    assert sum(len(gzip.compress(site.get(url).content)) for url in scripts) < 300_000


def test_a_request_is_known_by_its_id_in_answer_and_log(site: Site) -> None:
    got = site.get("/dashboard?n=0", headers={"X-Request-Id": "mine-1"})
    assert got.headers["X-Request-Id"] == "mine-1"
    other = site.get("/healthz", headers={"X-Request-Id": "no good <script>"})
    assert re.fullmatch("[0-9a-f]{32}", other.headers["X-Request-Id"])
    lines = [json.loads(line) for line in site.log.read_text().splitlines() if line[:1] == "{"]
    (line,) = [one for one in lines if one.get("request_id") == "mine-1"]
    assert (line["path"], line["status"]) == ("/dashboard", 400)
    assert line["ms"] > 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 303),
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str], status: int, site: Site) -> None:
    form = {"code": "S18_0019"}
    assert site.post("/shop/cart", data=form, headers=headers).status_code == status


def test_a_form_of_this_site_is_known_without_fetch_metadata() -> None:
    assert is_of_this_site({"origin": "https://shop.example", "host": "shop.example"})
    assert not is_of_this_site({"origin": "https://shop.example", "host": "shop.example.evil"})


@pytest.mark.parametrize(
    ("path", "headers", "may"),
    [
        ("/", {}, True),
        ("/shop", {}, True),
        ("/shop/cart", {}, True),
        ("/static/site.css", {}, True),
        ("/healthz", {}, True),
        ("/readyz", {}, True),
        ("/dashboard", {}, False),
        ("/dashboard", {"x-amzn-oidc-identity": "someone"}, True),
        ("/trust/fact_orders", {}, False),
        ("/shopping", {}, False),
        ("/readyz/../dashboard", {}, False),
        ("/metrics", {}, True),
        ("/metrics", {"x-forwarded-for": "192.0.2.1"}, False),
    ],
)
def test_who_has_not_signed_in_sees_the_shop_alone(
    path: str, headers: dict[str, str], may: bool
) -> None:
    assert may_see(path, headers, signs_in=True) is may


def test_a_header_proves_nothing_where_nobody_signs_in() -> None:
    claims = {"x-amzn-oidc-identity": "someone"}
    assert not may_see("/dashboard", claims, signs_in=False)
    assert may_see("/shop", {}, signs_in=False)


def test_a_page_of_another_name_that_points_here_is_told_nothing(site: Site) -> None:
    got = site.get("/dashboard", headers={"Host": "elsewhere.example"})
    assert got.status_code == 400
    assert "Sales" not in got.text


def test_who_comes_through_a_load_balancer_is_told_no_addresses(site: Site) -> None:
    got = site.get("/readyz", headers={"X-Forwarded-For": "192.0.2.1"})
    assert got.json() == {"ready": True}


def test_a_large_form_is_refused(site: Site) -> None:
    large = "code=" + "x" * MOST_BYTES
    told = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.post("/shop/cart", data=large, headers=told).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1_000

    try:
        got = site.post("/shop/cart", data=pieces(), headers=told)
    except requests.ConnectionError:
        return  # it was cut off, which is as good
    assert got.status_code in (400, 413)


def test_what_is_no_http_harms_nobody(site: Site) -> None:
    where = urlsplit(site.url)
    for bytes_ in (b"\x16\x03\x01\x00\xa5", b"GET / HTTP/9.9\r\n\r\n", b"X" * 100_000):
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            try:
                connection.sendall(bytes_)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
            except ConnectionError:
                pass
    assert site.get("/healthz").ok


@pytest.fixture(scope="module")
def own() -> Iterator[Shop]:
    """A shop that may be harmed."""
    with sample_shop() as shop:
        yield shop


def delivered(shop: Shop) -> str:
    """All that the laptop's Firehose laid down."""
    files = sorted((shop.home / "delivered").rglob("*.gz"))
    return "".join(gzip.decompress(file.read_bytes()).decode() for file in files)


def test_it_ends_gracefully(own: Shop, tmp_path: Path) -> None:
    """Requests that run are answered, and events that wait are sent."""
    with running(own, tmp_path) as site:
        event = re.search(r'"event_id":"([0-9a-f]{32})"', site.get(PRODUCT).text)
        assert event
        answers: list[int] = []

        def ask() -> None:
            answers.append(site.get("/dashboard?from=2003-01-01").status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.1)
        site.process.send_signal(signal.SIGTERM)
        asking.join(30)
        assert site.process.wait(30) in (0, -signal.SIGTERM)
        assert answers == [200]
    assert event[1] in delivered(own)


def test_without_its_database_the_site_goes_on(own: Shop, tmp_path: Path) -> None:
    """The server of vectors and orders is stopped by force: recommendations are from memory."""
    with running(own, tmp_path) as site:
        with requests.Session() as visitor:
            assert visitor.get(site.url + PRODUCT, timeout=30).ok
            form = {"code": "S18_0019", "pieces": "1"}
            assert visitor.post(f"{site.url}/shop/cart", data=form, timeout=30).ok
            pid = (data_directory(own.home) / "postmaster.pid").read_text().splitlines()[0]
            os.kill(int(pid), signal.SIGQUIT)
            time.sleep(1)

            page = visitor.get(site.url + PRODUCT, timeout=30)
            assert page.status_code == 200
            assert "this is from memory" in page.text
            assert "because you looked at" in page.text
            told = {"name": "A", "city": "B", "country": "C"}
            order = visitor.post(f"{site.url}/shop/checkout", data=told, timeout=30)
            assert order.status_code == 503
            assert "it is placed only once" in order.text
            assert "127.0.0.1" not in order.text

        found = dependencies(site)
        assert site.get("/readyz").status_code == 200
        assert found["lake"]["ready"] is True
        assert found["recommender"]["ready"] is False
        assert found["orders"]["ready"] is False
        assert site.get("/dashboard").ok
        assert site.get("/trust").ok
    secrets = re.findall(r"postgres(?:ql)?://[^:\s]+:([^@\s]+)@", site.log.read_text())
    assert secrets == []


def test_without_the_lake_the_last_figures_are_shown_with_their_age(
    own: Shop, tmp_path: Path
) -> None:
    with running(own, tmp_path) as site:
        path = "/dashboard?from=2004-01-01&to=2004-12-31"
        before = re.findall(r'class="value">([^<]+)', site.get(path).text)
        assert before
        away = own.home / "away"
        (own.home / "lake").rename(away)
        (own.home / "lake").write_text("no folder")
        try:
            time.sleep(1.1)
            got = site.get(path)
            assert got.status_code == 200
            assert "The lake does not answer. These are the figures of just now" in got.text
            assert re.findall(r'class="value">([^<]+)', got.text) == before
            assert site.get("/readyz").status_code == 200
            other = site.get("/dashboard?from=2004-01-02")
            assert other.status_code == 503
            assert "Try again" in other.text
        finally:
            (own.home / "lake").unlink()
            away.rename(own.home / "lake")
        time.sleep(1.1)
        assert "does not answer" not in site.get(path).text


def test_a_shop_that_was_never_built_says_what_to_do(tmp_path: Path) -> None:
    with postgres_home() as home, running(Shop(home), tmp_path) as site:
        assert "retail build" in site.get("/dashboard").text
        shop = site.get("/shop")
        assert shop.status_code == 503
        assert "retail build" in shop.text
        assert site.get("/trust").ok
        got = site.get("/readyz")
        assert got.status_code == 503
        assert got.json()["ready"] is False
