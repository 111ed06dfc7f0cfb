"""The site's figures: a large shop's pages one at a time, at a pace, under load, and in a browser.

Each has a reference in the same run: the dashboard's SQL in bare DuckDB over the same files, and for
the rest a bare Starlette app that sends the very bytes of the pages (`replaying`).
"""

import json
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote_plus, urlencode, urlsplit

import psutil  # type: ignore[import-untyped]
from playwright.sync_api import Browser

from retail_platform.web.visit import COOKIE, Visit
from retail_platform_tests.benchmarks.replaying import replay
from retail_platform_tests.servers import postgres_home
from retail_platform_tests.shop import Shop
from retail_platform_tests.web.site import CHROMIUM, Site, chromium, running

WRK = shutil.which("wrk")

CONNECTIONS = 200
PAGES_A_SECOND = 50
FILTERS = 120

_PLAY = Path(__file__).with_name("pages.lua")
_VISITORS = 100
_WORDS = ("ford", "ferrari", "plane", "1956 boeing", "harley", "bus", "titanic", "café", "zzz")


@dataclass(frozen=True)
class Viewed:
    """The dashboard, one view after the other.

    Attributes:
        first: Seconds of the first view of a process that has just started, the best of some.
        repeated: Of the same again, the median.
        another: Of another year's figures, which nobody asked for before, the median.
        bare: Of one that a bare app sends, the median.
    """

    first: float
    repeated: float
    another: float
    bare: float


@dataclass(frozen=True)
class Paced:
    """Requests that come at their times, whatever became of those before.

    Attributes:
        latency: Seconds from when each should have been sent to its last byte.
        errors: Of those that were not answered by 200, what came instead.
    """

    latency: list[float]
    errors: Sequence[str]


@dataclass(frozen=True)
class Loaded:
    """Connections that each ask again as soon as they are answered.

    Attributes:
        requests: Answered.
        seconds: In how many.
        errors: Answers other than 200, sockets that failed, and answers that took over ten seconds.
        told: The same in words.
        p50: Seconds.
        p99: Seconds.
        memory: Of the process in MB, each second from the first request to the last.
    """

    requests: int
    seconds: float
    errors: int
    told: str
    p50: float
    p99: float
    memory: Sequence[float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def slope(self) -> float:
        """How fast memory grew from the middle to the end, in MB a minute, by least squares."""
        late = self.memory[len(self.memory) // 2 :]
        if len(late) < 2:
            return 0.0
        return 60 * statistics.linear_regression(range(len(late)), late).slope


@dataclass(frozen=True)
class Painted:
    """A page in a browser that has nothing of it.

    Attributes:
        page: Its name.
        seconds: To the largest contentful paint, the median.
        bare: The same of one that a bare app sends.
        script_bytes: JavaScript transferred, compressed.
    """

    page: str
    seconds: float
    bare: float
    script_bytes: int


@dataclass(frozen=True)
class Idle:
    """Seconds of a page of the shop, the median.

    Attributes:
        without: While nobody else is there.
        with_them: While `CONNECTIONS` are kept that ask for nothing.
    """

    without: float
    with_them: float


@dataclass(frozen=True)
class Filtered:
    """The process's memory in MB.

    Attributes:
        at_first: Before the views.
        half_way: After half of them.
        at_the_end: After all.
    """

    at_first: float
    half_way: float
    at_the_end: float


@contextmanager
def large_shop(scale: float) -> Iterator[Shop]:
    """A shop of `retail sample --scale`, built."""
    with postgres_home() as home:
        shop = Shop(home)
        for arguments in (("sample", "--scale", str(scale)), ("build",)):
            process = shop.start(*arguments)
            _, error = process.communicate()
            if process.returncode:
                raise RuntimeError(f"retail {' '.join(arguments)} failed:\n{error}")
        yield shop


def viewed(shop: Shop, tries: int = 3) -> Viewed:
    """The dashboard of a shop, in a new process each time."""
    firsts = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        for _ in range(tries - 1):
            with running(shop, Path(name)) as site:
                firsts.append(_seconds(site.url, "/dashboard"))
        site = stack.enter_context(running(shop, Path(name)))
        firsts.append(_seconds(site.url, "/dashboard"))
        repeated = [_seconds(site.url, "/dashboard") for _ in range(50)]
        days = [f"from=2003-0{month}-01&to=2004-0{month}-15" for month in range(1, 8)]
        another = [_seconds(site.url, f"/dashboard?{one}") for one in days]
        bare = stack.enter_context(replay(site, ["/dashboard"]))
        of_bare = [_seconds(bare, "/dashboard") for _ in range(50)]
    median = statistics.median
    return Viewed(min(firsts), median(repeated), median(another), median(of_bare))


def paced(site: Site, seconds: float) -> tuple[Paced, Paced]:
    """Pages of the storefront at `PAGES_A_SECOND`, and as many of a bare app.

    Of the visitors half say who they are, which their recommendations then know. Each of them does
    one thing after the other, by a cookie that grows.
    """
    asked = random.Random(2003)
    codes = products(site)
    customers = _customers(site)
    visits = [Visit.new() for _ in range(_VISITORS)]
    for visit, customer in zip(visits[::2], customers, strict=False):
        visit.customer = customer
    paths: list[tuple[str, str]] = []
    for number in range(int(PAGES_A_SECOND * seconds)):
        visit = visits[number % _VISITORS]
        code = asked.choice(codes)
        path = asked.choices(
            (f"/shop/products/{code}", "/shop", "/shop/cart"), weights=(7, 2, 1), k=1
        )[0]
        paths.append((path, visit.cookie()))
        if code in path:
            visit.see(code)
            if asked.random() < 0.1:
                visit.put(code, 1)
    ours = _at_a_pace(site.url, paths)
    one = f"/shop/products/{codes[0]}"
    with replay(site, [one]) as bare:
        theirs = _at_a_pace(bare, [(one, "")] * (PAGES_A_SECOND * 10))
    return ours, theirs


def loaded(site: Site, seconds: float) -> tuple[Loaded, Loaded]:
    """Mixed pages over `CONNECTIONS` by wrk, and the same of a bare app for a tenth of the time."""
    mixed = _mixed(site)
    # First views have a figure of their own. One that comes too late is worked out all the same, so
    # it is asked for again; what still fails shows in the load.
    for path in sorted({path for path, _ in mixed}) * 2:
        site.get(path)
    ours = _wrk(site.url, mixed, seconds, site.process.pid)
    with replay(site, [path for path, _ in mixed]) as bare:
        theirs = _wrk(bare, mixed, max(5.0, seconds / 10), os.getpid())
    return ours, theirs


def painted(site: Site, tries: int = 5) -> Iterator[Painted]:
    """Each kind of page, in the system's Chromium."""
    pages = {
        "dashboard": "/dashboard",
        "trust": "/trust",
        "shop": "/shop",
        "product": f"/shop/products/{products(site)[0]}",
    }
    wanted = set(pages.values())
    for path in pages.values():
        wanted |= set(re.findall(r'(?:src|href)="(/static/[^"]+)"', site.get(path).text))
    with replay(site, sorted(wanted)) as bare, chromium() as browser:
        for name, path in pages.items():
            ours = [_paint(browser, site.url + path) for _ in range(tries)]
            theirs = [_paint(browser, bare + path) for _ in range(tries)]
            yield Painted(
                name,
                statistics.median(seconds for seconds, _ in ours),
                statistics.median(seconds for seconds, _ in theirs),
                max(size for _, size in ours),
            )


def idling(site: Site, views: int = 50) -> Idle:
    """Pages of the shop while connections are kept that ask for nothing."""
    where = urlsplit(site.url)
    without = statistics.median(_seconds(site.url, "/shop") for _ in range(views))
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            kept = HTTPConnection(where.hostname or "", where.port, timeout=30)
            stack.callback(kept.close)
            kept.request("GET", "/healthz")
            kept.getresponse().read()
        with_them = statistics.median(_seconds(site.url, "/shop") for _ in range(views))
    return Idle(without, with_them)


def filtered(site: Site, number: int) -> Filtered:
    """Views of the dashboard with filters at random, hardly one of which was asked for before."""
    drawn = random.Random(500)
    page = site.get("/dashboard").text
    names = {
        field: re.findall(r"<option>([^<]+)</option>", part)
        for field, part in re.findall(
            r'<select name="(country|product_line)">(.*?)</select>', page, re.DOTALL
        )
    }
    memory = [_memory(site.process.pid)]
    for _ in range(number):
        year, month, day = drawn.choice((2003, 2004)), drawn.randint(1, 12), drawn.randint(1, 28)
        told = {"from": f"{year}-{month:02}-{day:02}", "to": f"2005-0{drawn.randint(1, 5)}-01"}
        told |= {name: drawn.choice(of) for name, of in names.items() if drawn.random() < 0.3}
        _seconds(site.url, f"/dashboard?{urlencode(told)}")
        memory.append(_memory(site.process.pid))
    return Filtered(memory[0], memory[number // 2], memory[-1])


def _memory(pid: int) -> float:
    """Of a process, in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def products(site: Site) -> list[str]:
    """Codes of products on sale: those of some pages."""
    found: list[str] = []
    for number in range(1, 21):
        text = site.get(f"/shop?page={number}").text
        found += re.findall(r'href="/shop/products/([^"]+)"', text)
    return sorted(set(found))


def _customers(site: Site) -> list[int]:
    rows = site.shop.rows(
        f"SELECT customer_number FROM dim_customers WHERE is_current ORDER BY 1 LIMIT {_VISITORS}"
    )
    return [int(row["customer_number"]) for row in rows]


def _mixed(site: Site) -> list[tuple[str, str]]:
    """A thousand requests, each a path and a cookie."""
    drawn = random.Random(2005)
    codes = products(site)
    customers = _customers(site)
    dashboards = re.findall(r'href="(/dashboard\?[^"]+)"', site.get("/dashboard").text)
    dashboards = ["/dashboard", *(path.replace("&amp;", "&") for path in dashboards[:4])]
    found = []
    for _ in range(1000):
        visit = Visit.new()
        if drawn.random() < 0.3:
            visit.customer = drawn.choice(customers)
        for code in drawn.sample(codes, drawn.randint(0, 5)):
            visit.put(code, 1) if drawn.random() < 0.3 else visit.see(code)
        paths = (
            drawn.choice(dashboards),
            f"/shop/products/{drawn.choice(codes)}",
            "/shop/cart",
            f"/shop?q={quote_plus(drawn.choice(_WORDS))}",
            drawn.choice(("/trust", "/trust/fact_orders")),
        )
        found.append((drawn.choices(paths, weights=(2, 4, 1, 2, 1), k=1)[0], visit.cookie()))
    return found


def _seconds(url: str, path: str) -> float:
    """To the last byte of a page that has to come."""
    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
    started = time.perf_counter()
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} is answered by {answer.status}")
    return seconds


def _at_a_pace(url: str, requests: Sequence[tuple[str, str]]) -> Paced:
    where = urlsplit(url)
    local = threading.local()
    latency: list[float] = []
    errors: list[str] = []

    def ask(due: float, path: str, cookie: str) -> None:
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(where.hostname or "", where.port, timeout=30)
        told = {"Accept-Encoding": "gzip", "Cookie": f"{COOKIE}={cookie}"}
        try:
            local.connection.request("GET", path, headers=told)
            answer = local.connection.getresponse()
            answer.read()
            if answer.status != 200:
                errors.append(f"{path}: {answer.status}")
        except (OSError, HTTPException) as error:
            errors.append(f"{path}: {error}")
            local.connection.close()
        latency.append(time.perf_counter() - due)

    with ThreadPoolExecutor(64) as pool:
        first = time.perf_counter()
        for number, (path, cookie) in enumerate(requests):
            due = first + number / PAGES_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            pool.submit(ask, due, path, cookie)
    return Paced(latency, errors)


def _wrk(url: str, requests: Sequence[tuple[str, str]], seconds: float, pid: int) -> Loaded:
    assert WRK is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        file.write_text("".join(f"{path}\t{cookie}\n" for path, cookie in requests))
        process = subprocess.Popen(
            [
                WRK,
                "--threads=1",
                f"--connections={CONNECTIONS}",
                f"--duration={seconds:.0f}s",
                "--timeout=10s",
                "--latency",
                f"--script={_PLAY}",
                url,
                "--",
                str(file),
            ],
            text=True,
            stdout=subprocess.PIPE,
        )
        memory = []
        while process.poll() is None:
            memory.append(_memory(pid))
            time.sleep(1)
        out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"wrk failed:\n{out}")
    told = json.loads(out.splitlines()[-1])
    errors = {name: told[name] for name in ("status", "socket", "timeout")}
    return Loaded(
        told["requests"],
        told["seconds"],
        sum(errors.values()),
        ", ".join(f"{count} {name}" for name, count in errors.items()),
        told["p50"],
        told["p99"],
        memory,
    )


_OBSERVED = """() => new Promise(resolve => {
  new PerformanceObserver(list => resolve(list.getEntries().at(-1).startTime))
    .observe({type: "largest-contentful-paint", buffered: true});
})"""

_SCRIPTS = """() => performance.getEntriesByType("resource")
  .filter(one => one.initiatorType === "script").reduce((sum, one) => sum + one.encodedBodySize, 0)"""


def _paint(browser: Browser, url: str) -> tuple[float, int]:
    """Seconds to the largest contentful paint, and bytes of scripts; for a fresh visitor."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url, wait_until="networkidle")
        return page.evaluate(_OBSERVED) / 1000, int(page.evaluate(_SCRIPTS))
    finally:
        context.close()


def missing() -> str:
    """What of it cannot be measured here, and why; empty where all can."""
    reasons = []
    if WRK is None:
        reasons.append("the load: wrk is not installed")
    if CHROMIUM is None:
        reasons.append("the browser's: Chromium is not installed")
    return "; ".join(reasons)
