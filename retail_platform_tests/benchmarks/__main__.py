"""`make bench`: every figure beside its reference, measured in the same run. Asserts nothing.

`python -m retail_platform_tests.benchmarks classic extraction star spark glue recommender
inference landing web big` chooses sections; without any, all but `big` (30M lines, some ten minutes)
are run. The site is under load for ten minutes, or for as long as `--seconds` says.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

from retail_platform.sources.sample.generate import SampleSize, generate
from retail_platform.sources.sample.load import load
from retail_platform.streaming.bundle import python_of_lambda, write_bundle
from retail_platform_tests.benchmarks.inferring import cold_import, infer, queryable, streamed
from retail_platform_tests.benchmarks.landing import looked, merged
from retail_platform_tests.benchmarks.on_glue import MONTHS, NIGHTLY, shop_on_glue
from retail_platform_tests.benchmarks.recommending import percentile, serve
from retail_platform_tests.benchmarks.web import (
    CONNECTIONS,
    FILTERS,
    PAGES_A_SECOND,
    WRK,
    filtered,
    idling,
    large_shop,
    loaded,
    missing,
    paced,
    painted,
    viewed,
)
from retail_platform_tests.servers import mariadb_server, postgres_home
from retail_platform_tests.shop import Shop
from retail_platform_tests.streaming.python313 import path_with_python
from retail_platform_tests.test_online_retail import FILE
from retail_platform_tests.web.site import CHROMIUM, Site, running

SECTIONS = (
    "classic",
    "extraction",
    "star",
    "spark",
    "glue",
    "recommender",
    "inference",
    "landing",
    "web",
    "big",
)
_TRIES = 3


@dataclass(frozen=True)
class Measured:
    """The best of some tries."""

    seconds: float
    peak_mb: float


class Report:
    """Figures as they come, and as one table in the end."""

    def __init__(self) -> None:
        """Starts empty."""
        self.table = Table("figure", "ours", "reference", "ratio", "target")
        self.console = Console(width=140)

    def row(self, figure: str, ours: str, reference: str, ratio: str, target: str) -> None:
        """Adds a figure."""
        self.table.add_row(figure, ours, reference, ratio, target)
        self.console.print(f"{figure}: {ours} | {reference} | {ratio} | target {target}")


def piece(name: str, home: Path, url: str = "-", tries: int = _TRIES) -> Measured:
    """Runs a piece some times, each in a new process; the best time and the worst peak count."""
    found = []
    for _ in range(tries):
        done = subprocess.run(
            [sys.executable, "-m", "retail_platform_tests.benchmarks.pieces", name, home, url],
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return Measured(min(f["seconds"] for f in found), max(f["peak_mb"] for f in found))


def classic(report: Report) -> None:
    """The classic size by the command line, cold."""
    with postgres_home() as home:
        shop = Shop(home)
        shop.done("sample")
        for what, layers, target in (
            ("retail build raw star, classic size", ("raw", "star"), "<= 6 s"),
            ("retail build, classic size, training and publication included", (), "-"),
        ):
            walls, said = [], ""
            for _ in range(_TRIES):
                started = time.perf_counter()
                said = _cold(shop, "build", *layers)
                walls.append(time.perf_counter() - started)
            report.row(what, f"{min(walls):.1f} s", "-", "-", target)
            report.console.print(said.strip())
        started = time.perf_counter()
        _cold(shop, "query", "SELECT count(*) FROM fact_orders")
        seconds = time.perf_counter() - started
        report.row("retail query", f"{seconds:.2f} s", "-", "-", "<= 2.5 s")


def _cold(shop: Shop, *arguments: str) -> str:
    """Runs `retail` as who types it does, which `Shop.run` does not: its imports count. Gives its stderr."""
    process = shop.start(*arguments)
    _, told = process.communicate()
    assert process.returncode == 0, told
    return told


def large(report: Report, sections: set[str], scale: float, label: str) -> Measured:
    """Extraction and star schema of a large shop on MariaDB."""
    with mariadb_server() as server, tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        url = server.create_database("bench")
        load(url, generate(SampleSize(scale=scale, months=60)), lambda table, rows: None)
        if "extraction" in sections:
            bare, ours = piece("bare_extraction", home, url), piece("our_extraction", home, url)
            report.row(
                f"extraction of {label} order lines",
                f"{ours.seconds:.2f} s, {ours.peak_mb:.0f} MB",
                f"{bare.seconds:.2f} s, {bare.peak_mb:.0f} MB (bare connectorx)",
                f"{bare.seconds / ours.seconds:.2f} x its speed",
                ">= 0.8 x, <= 300 MB",
            )
        raw = piece("fill_raw", home, url, tries=1)
        report.row(
            f"raw layer of {label}, whole",
            f"{raw.seconds:.1f} s, {raw.peak_mb:.0f} MB",
            "-",
            "-",
            "-",
        )
        tries = _TRIES if scale < 5000 else 1
        bare, ours = piece("bare_star", home, tries=tries), piece("our_star", home, tries=tries)
        report.row(
            f"star schema of {label}",
            f"{ours.seconds:.2f} s, {ours.peak_mb:.0f} MB",
            f"{bare.seconds:.2f} s, {bare.peak_mb:.0f} MB (bare DuckDB)",
            f"{ours.seconds / bare.seconds:.2f} x",
            "<= 1.6 x, <= 1.5 GB" if scale < 5000 else "<= 2.5 GB",
        )
        nightly = piece("nightly_star", home, tries=tries)
        report.row(
            f"two months of {label}, commits included",
            f"{nightly.seconds:.2f} s",
            f"{ours.seconds:.2f} s (full)",
            f"1/{ours.seconds / nightly.seconds:.1f}",
            "-",
        )
        full = piece("star_engine", home, tries=tries)
        months = piece("nightly_engine", home, tries=tries)
        report.row(
            f"two months of {label}, engine time",
            f"{months.seconds:.2f} s",
            f"{full.seconds:.2f} s (full)",
            f"1/{full.seconds / months.seconds:.1f}",
            "<= 1/5",
        )
        if "spark" in sections:
            bare, spark = piece("bare_spark_star", home), piece("our_spark_star", home)
            writing = piece("spark_writing", home)
            report.row(
                f"star schema of {label} on Spark, writing alone",
                f"{writing.seconds:.1f} s",
                f"{bare.seconds:.1f} s (bare spark.sql)",
                f"{writing.seconds / bare.seconds:.2f} x",
                "<= 1.3 x",
            )
            report.row(
                f"star schema of {label} on Spark",
                f"{spark.seconds:.1f} s",
                f"{bare.seconds:.1f} s (bare spark.sql)",
                f"{spark.seconds / bare.seconds:.2f} x",
                "<= 1.6 x",
            )
        if scale < 5000:
            dagster = piece("star_by_dagster", home, tries=1)
            report.row("Dagster beyond the star's step", f"{dagster.seconds:.2f} s", "-", "-", "-")
        return ours


def glue(report: Report, scale: float, label: str) -> None:
    """Both layers by jobs on Glue, beside a single-script job, and what Dagster adds."""
    with shop_on_glue(scale) as shop:
        start = shop.start()
        script = shop.single_script()
        theirs = shop.totals_of_script()
        raw, star = shop.build("raw", MONTHS), shop.build("star", MONTHS)
        ours = shop.totals_of_build()
        nightly = [shop.build(layer, NIGHTLY).job for layer in ("raw", "star")]
    if different := [name for name in theirs if theirs[name] != ours[name]]:
        raise RuntimeError(f"the two do not give the same rows of {', '.join(different)}")
    jobs = raw.job + star.job
    report.row(
        f"Glue jobs of {label}, raw and star with checks; both sides pay for processes and JVMs",
        f"{jobs:.0f} s ({raw.job:.0f} + {star.job:.0f})",
        f"{script:.0f} s (one script, star alone, no checks)",
        f"{script / jobs:.2f} x its speed",
        ">= 1 x, aim 2 x",
    )
    report.row(
        "the same without the start of Spark, which neither pays",
        f"{jobs - 2 * start:.0f} s",
        f"{script - start:.0f} s (a start: {start:.0f} s)",
        f"{(script - start) / (jobs - 2 * start):.2f} x its speed",
        "-",
    )
    report.row(
        "a nightly run, which refreshes two months of sixty; the script knows all or nothing",
        f"{sum(nightly):.0f} s ({nightly[0]:.0f} + {nightly[1]:.0f})",
        f"{script:.0f} s",
        f"{script / sum(nightly):.2f} x its speed",
        "-",
    )
    for layer, built in (("raw", raw), ("star", star)):
        report.row(
            f"order, Pipes, polling and results of the {layer} job",
            f"{built.orchestration:.1f} s",
            f"{built.job:.0f} s (the job; totals and commits: {built.rest:.1f} s)",
            "-",
            "<= 10 s",
        )


def recommender(report: Report) -> None:
    """Training, publication, and answers."""
    if FILE.exists():
        ours, bare = piece("train_online_retail", FILE), piece("invert_online_retail", FILE)
        report.row(
            "training on Online Retail",
            f"{ours.seconds:.1f} s, {ours.peak_mb:.0f} MB",
            f"{bare.seconds:.1f} s (the two inverses alone)",
            f"{ours.seconds / bare.seconds:.1f} x",
            "<= 10 s, <= 1 GB",
        )
        judged = piece("compare_online_retail", FILE, tries=1)
        report.row(
            "training and judging on Online Retail, all methods",
            f"{judged.seconds:.1f} s, {judged.peak_mb:.0f} MB",
            f"{ours.seconds:.1f} s (training)",
            f"{judged.seconds / ours.seconds:.1f} x",
            "-",
        )
    else:
        report.console.print(f"Online Retail is left out: {FILE} is not there")
    ours = piece("train_large", Path("-"), tries=1)
    bare = piece("decompose_large", Path("-"), tries=1)
    report.row(
        "training on 100k products, 3M lines",
        f"{ours.seconds:.0f} s, {ours.peak_mb:.0f} MB",
        f"{bare.seconds:.0f} s (one of its two decompositions, by SciPy)",
        f"{ours.seconds / bare.seconds:.1f} x",
        "<= 600 s, <= 4 GB",
    )
    served = serve()
    report.row(
        "publication of 100k products",
        f"{served.publication:.1f} s",
        f"{served.bare_publication:.1f} s (COPY of the products and two indexes)",
        f"{served.publication / served.bare_publication:.2f} x",
        "<= 60 s",
    )
    report.row("the flip to it", f"{1000 * served.flip:.1f} ms", "-", "-", "<= 50 ms")
    for share, target in ((0.5, "<= 1 ms"), (0.99, "<= 5 ms")):
        ours_ms = 1000 * percentile(served.latency, share)
        bare_ms = 1000 * percentile(served.bare_latency, share)
        report.row(
            f"top 10 of 100k for a customer without the 47 that he bought, p{100 * share:.0f}",
            f"{ours_ms:.2f} ms",
            f"{bare_ms:.2f} ms (bare search, no exclusions)",
            f"{ours_ms / bare_ms:.1f} x",
            target,
        )
    report.row(
        f"recall@10 of its index, ef_search {served.ef_search}",
        f"{served.recall:.3f}",
        "1 (exact)",
        "-",
        ">= .97",
    )
    report.row(
        f"reads over 20 connections while {served.flips} versions change: failed or mixed",
        f"{served.errors} of {served.reads:,}",
        "-",
        "-",
        "0",
    )


def inference(report: Report) -> None:
    """The Lambda beside the published design, on the same PostgreSQL."""
    for found in infer():
        target, aim = _TIMES_PUBLISHED[found.products]
        report.row(
            f"records a second, {found.products:,} products, vectors in memory",
            f"{found.ours:,.0f}",
            f"{found.published:,.0f} (the published design; {found.kept_alive:,.0f} with "
            "connections kept)",
            f"{found.ours / found.published:.0f} x, {found.ours / found.kept_alive:.0f} x",
            f">= {target} x",
        )
        report.row(
            "the same, were each batch a statement that searches in pgvector",
            f"{found.in_database:,.0f}",
            f"{found.published:,.0f}",
            f"{found.in_database / found.published:.0f} x",
            f"({aim} x, if it were kept)",
        )
        report.row(
            "a batch of 100 events, p50 and p99",
            " and ".join(f"{1000 * percentile(found.latency, s):.1f} ms" for s in (0.5, 0.99)),
            "-",
            "-",
            "p99 <= 30 ms" if found.products == 10_000 else "-",
        )
        report.row(
            "its first batch, the version read into memory", f"{found.load:.2f} s", "-", "-", "-"
        )
    waits = queryable()
    report.row(
        "from a visitor's event to the lake, 50 a second, median and longest",
        f"{percentile(waits, 0.5):.1f} s and {max(waits):.1f} s",
        "-",
        "-",
        "<= 10 s",
    )
    stream = streamed(1_000_000)
    report.row(
        f"{stream.events:,} events answered and laid down, then taken into the lake",
        f"{stream.send_seconds:.0f} s + {stream.ingest_seconds:.0f} s, {stream.peak_mb:.0f} MB",
        "-",
        f"{stream.rows:,} rows, {stream.missing} ids missing or not sent",
        "all, bounded",
    )
    if (path := path_with_python()) is None:
        report.console.print("the cold start is left out: there is no Python 3.13 here")
        return
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, PATH=path):
        python = python_of_lambda()
        assert python
        bundle = write_bundle(Path(folder), "x86_64")
        seconds, bare = cold_import(bundle.path, python)
    report.row(
        f"cold import of the Lambda, zip of {bundle.path.name.split('-')[-1]}",
        f"{seconds:.2f} s",
        f"{bare:.2f} s (Python's start)",
        f"{seconds / bare:.0f} x",
        "<= .5 s",
    )


def landing(report: Report) -> None:
    """Exports that land."""
    merge = merged(1_000_000)
    report.row(
        f"{merge.lines:,} lines of csv merged into as many, half of them by key",
        f"{merge.seconds:.1f} s, {merge.peak_mb:.0f} MB, {merge.rows:,} rows then",
        f"{merge.bare_seconds:.1f} s (bare DuckDB, nothing checked or published)",
        f"{merge.seconds / merge.bare_seconds:.1f} x",
        "-",
    )
    look = looked(1_000_000)
    report.row(
        f"a look at {look.files:,} files, one of them new",
        f"{look.seconds:.1f} s, {look.peak_mb:.0f} MB, {'seen' if look.found else 'not seen'}",
        f"{look.list_seconds:.1f} s (listing all)",
        f"{look.seconds / look.list_seconds:.2f} x",
        "-",
    )


def web(report: Report, seconds: float) -> None:
    """The site of a shop of 3M order lines, in a process of its own on the loopback."""
    if reason := missing():
        report.console.print(f"of the site, some is left out: {reason}")
    with tempfile.TemporaryDirectory() as folder, large_shop(1000) as shop:
        load, *_ = os.getloadavg()
        report.console.print(f"the machine's load, which the waits below share: {load:.1f}")
        view = viewed(shop)
        bare = piece("bare_dashboard", shop.home)
        report.row(
            "the first view of the dashboard, 3M order lines",
            f"{view.first:.2f} s",
            f"{bare.seconds:.2f} s (its SQL, bare DuckDB)",
            f"{view.first / bare.seconds:.2f} x",
            "<= 1.5 s",
        )
        report.row(
            "a view of days that nobody asked for before",
            f"{view.another:.2f} s",
            f"{bare.seconds:.2f} s (the same)",
            f"{view.another / bare.seconds:.2f} x",
            "-",
        )
        report.row(
            "a repeated view",
            f"{1000 * view.repeated:.1f} ms",
            f"{1000 * view.bare:.1f} ms (a bare Starlette app sends the bytes)",
            f"{view.repeated / view.bare:.1f} x",
            "<= 50 ms",
        )
        with running(shop, Path(folder)) as site:
            _under_load(report, site, seconds)
        with running(shop, Path(folder)) as site:
            idle = idling(site)
            report.row(
                f"a page of the shop while {CONNECTIONS} connections idle, p50",
                f"{1000 * idle.with_them:.1f} ms",
                f"{1000 * idle.without:.1f} ms (without them)",
                f"{idle.with_them / idle.without:.2f} x",
                "~ 1 x",
            )
            found = filtered(site, FILTERS)
            report.row(
                f"memory after {FILTERS // 2} and {FILTERS} views with filters of their own",
                f"{found.half_way:.0f} and {found.at_the_end:.0f} MB",
                f"{found.at_first:.0f} MB (before)",
                f"{found.at_the_end / found.half_way:.2f} x",
                "~ 1 x of half way",
            )


def _under_load(report: Report, site: Site, seconds: float) -> None:
    ours, bare = paced(site, min(60.0, seconds))
    for share, target in ((0.5, "-"), (0.99, "<= 150 ms")):
        ours_ms, bare_ms = (1000 * percentile(one.latency, share) for one in (ours, bare))
        report.row(
            f"the shop's pages at {PAGES_A_SECOND} a second, p{100 * share:.0f}",
            f"{ours_ms:.1f} ms",
            f"{bare_ms:.1f} ms (a bare Starlette app sends the bytes)",
            f"{ours_ms / bare_ms:.1f} x",
            target,
        )
    report.row("of them failed", f"{len(ours.errors)} of {len(ours.latency):,}", "-", "-", "0")
    if CHROMIUM:
        for one in painted(site):
            report.row(
                f"largest contentful paint of {one.page}",
                f"{1000 * one.seconds:.0f} ms",
                f"{1000 * one.bare:.0f} ms (a bare Starlette app sends the bytes)",
                f"{one.seconds / one.bare:.2f} x",
                "<= 1,000 ms",
            )
            report.row(
                f"its scripts, compressed: {one.page}",
                f"{one.script_bytes / 1000:.0f} kB",
                "-",
                "-",
                "<= 300 kB",
            )
    if WRK:
        load, bare_load = loaded(site, seconds)
        report.row(
            f"mixed pages over {CONNECTIONS} connections for {load.seconds:.0f} s",
            f"{load.requests:,}, {load.rate:.0f} a second, p50 {1000 * load.p50:.0f} ms",
            f"{bare_load.rate:.0f} a second (a bare Starlette app sends the bytes)",
            f"1/{bare_load.rate / load.rate:.1f} of its speed",
            "-",
        )
        report.row("of them failed", f"{load.errors} ({load.told})", "-", "-", "0")
        start, middle, end = (load.memory[place] for place in (0, len(load.memory) // 2, -1))
        report.row(
            "memory at the start, in the middle and at the end",
            f"{start:.0f}, {middle:.0f} and {end:.0f} MB",
            f"{end / middle:.2f} x from the middle on",
            f"{load.slope:+.2f} MB a minute from the middle on",
            "does not grow",
        )


_TIMES_PUBLISHED = {110: (80, 30), 10_000: (90, 55), 100_000: (150, 120)}


def main() -> None:
    """Runs the chosen sections and prints the table."""
    parser = argparse.ArgumentParser(prog="retail_platform_tests.benchmarks")
    parser.add_argument("sections", nargs="*", default=SECTIONS[:-1], metavar="SECTION")
    parser.add_argument("--seconds", type=float, default=600, help="the site's load lasts (600)")
    told = parser.parse_args()
    sections = set(told.sections)
    if unknown := sections - set(SECTIONS):
        sys.exit(f"unknown {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}")
    report = Report()
    if "classic" in sections:
        classic(report)
    if sections & {"extraction", "star", "spark", "big"}:
        small = large(report, sections, 1000, "3M")
        if "big" in sections:
            big = large(report, set(), 10_000, "30M")
            report.row(
                "30M lines against 3M",
                f"{big.seconds:.1f} s",
                f"{small.seconds:.1f} s",
                f"{big.seconds / small.seconds:.1f} x",
                "<= 12 x",
            )
    if "glue" in sections:
        glue(report, 1000, "3M")
    if "recommender" in sections:
        recommender(report)
    if "inference" in sections:
        inference(report)
    if "landing" in sections:
        landing(report)
    if "web" in sections:
        web(report, told.seconds)
    report.console.print(report.table)


if __name__ == "__main__":
    main()
