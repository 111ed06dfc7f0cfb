"""What is measured, each piece in a process of its own: seconds, and the peak of its memory.

`python -m retail_platform_tests.benchmarks.pieces PIECE HOME [URL]` runs one and prints JSON.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.model import Feed
from retail_platform.contracts.months import MonthRange, month_start
from retail_platform.sources.database import open_source

if TYPE_CHECKING:
    import pyarrow as pa

    from retail_platform.build import Built
    from retail_platform.platform import Platform

Piece = Callable[[Path, str], float]


def platform_of(home: Path) -> "Platform":
    """The platform; imported here, because a piece that needs it not shall not hold it in memory."""
    from retail_platform.platform import Platform
    from retail_platform.settings import load_settings

    return Platform(load_settings(home))


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def months_of(platform: "Platform") -> MonthRange:
    """The months that the lake's order lines have."""
    version = platform.lake.version("order_details")
    assert version
    return MonthRange.parse(min(version.measures), max(version.measures))


def bare_extraction(_: Path, url: str) -> float:
    """Connectorx to one Parquet file, the statement being ours."""
    import connectorx
    import pyarrow.parquet as pq

    with open_source(url) as source:
        query = source.prepare(load_contracts().table("order_details"))
        assert query
        sql = query.rows(None)

    def work() -> None:
        rows = connectorx.read_sql(url, sql, return_type="arrow_stream", batch_size=10_000)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bare.parquet"
            with pq.ParquetWriter(path, rows.schema, compression="snappy") as writer:
                for batch in rows:
                    writer.write_batch(batch)

    return timed(work)


def our_extraction(_: Path, url: str) -> float:
    """Cast to the contract, by month, with field ids: what the engine does before it audits."""
    from retail_platform.engines.extraction import extract
    from retail_platform.engines.protocol import OutputTable, SourceRead

    table = load_contracts().table("order_details")
    with open_source(url) as source, tempfile.TemporaryDirectory() as folder:
        query = source.prepare(table)
        assert query
        output = OutputTable(
            table,
            f"file://{folder}",
            {name: number for number, name in enumerate(table.column_names, 1)},
            reads=(SourceRead(table, query.rows(None)),),
        )
        return timed(lambda: extract(output, source))


def fill_raw(home: Path, url: str) -> float:
    """The whole raw layer, with checks, totals and commit."""
    platform = platform_of(home)
    months = MonthRange.parse("2003-01", "2008-02")
    return timed(
        lambda: platform.builder.extract(
            platform.contracts.fed_by(Feed.SOURCE), months, lambda: open_source(url)
        )
    )


def bare_star(home: Path, _: str) -> float:
    """The same SQL on the same files to the same Parquet, in DuckDB alone."""
    platform = platform_of(home)
    import duckdb

    from retail_platform.contracts.sql import to_duckdb

    settings = platform.settings
    folder = Path(tempfile.mkdtemp())
    con = duckdb.connect(
        config={
            "memory_limit": settings.memory_limit,
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": "false",
        }
    )
    con.execute("CREATE SCHEMA raw; CREATE SCHEMA star")
    files = {
        table.name: [file.uri for file in platform.lake.files(table.name)]
        for table in platform.contracts.fed_by(Feed.SOURCE)
    }

    def work() -> None:
        for name, paths in files.items():
            if paths:
                con.execute(f"CREATE VIEW raw.{name} AS FROM read_parquet({paths})")
        for table in platform.contracts.layer("star"):
            # The last version of a dimension, which its model reads, does not exist yet.
            kinds = ", ".join(
                f"CAST(NULL AS {c.type.replace('string', 'VARCHAR')}) AS {c.name}"
                for c in table.columns
            )
            con.execute(f"CREATE VIEW star.{table.name} AS SELECT {kinds} WHERE false")
        for table in platform.contracts.layer("star"):
            target = folder / table.name
            by = ""
            if table.partition:
                by = f", PARTITION_BY ({table.partition.column}), WRITE_PARTITION_COLUMNS true"
            else:
                target = target.with_suffix(".parquet")
            con.execute(
                f"COPY ({to_duckdb(table.sql)}) TO '{target}' (FORMAT parquet, COMPRESSION snappy{by})"
            )
            glob = f"{target}/**/*.parquet" if table.partition else str(target)
            con.execute(
                f"CREATE OR REPLACE VIEW star.{table.name} AS "
                f"FROM read_parquet('{glob}', hive_partitioning = false)"
            )

    seconds = timed(work)
    shutil.rmtree(folder)
    return seconds


def our_star(home: Path, _: str) -> float:
    """Engine run, checks and commit of the star schema, the first version as in the reference."""
    platform = platform_of(home)
    months = months_of(platform)
    # What an earlier try has published would only be replaced; the first version costs no less.
    return timed(lambda: _build_star(platform, months))


def nightly_star(home: Path, _: str) -> float:
    """The last two months of the star schema, all dimensions included."""
    platform = platform_of(home)
    months = _last_two(platform)
    return timed(lambda: _build_star(platform, months))


def star_engine(home: Path, _: str) -> float:
    """The engine's own part of the star schema: writing and auditing, without commits."""
    platform = platform_of(home)
    return _engine_seconds(platform, months_of(platform))


def nightly_engine(home: Path, _: str) -> float:
    """The same of its last two months."""
    platform = platform_of(home)
    return _engine_seconds(platform, _last_two(platform))


def _engine_seconds(platform: "Platform", months: MonthRange) -> float:
    return sum(table.result.seconds for table in _build_star(platform, months))


def _build_star(platform: "Platform", months: MonthRange) -> "list[Built]":
    return platform.builder.build_models(platform.contracts.layer("star"), months)


def _last_two(platform: "Platform") -> MonthRange:
    """The months that a nightly run refreshes."""
    last = months_of(platform).last
    return MonthRange(month_start(last - timedelta(days=1)), last)


def _on_spark(home: Path) -> "Platform":
    """The platform with Spark as its engine, and a session that has started."""
    platform = platform_of(home)
    platform = type(platform)(platform.settings.model_copy(update={"engine": "spark"}))
    platform.spark_session().sql("SELECT 1").collect()
    return platform


def bare_spark_star(home: Path, _: str) -> float:
    """The same SQL on the same files to Parquet by month, in a session of the same settings."""
    platform = _on_spark(home)
    session, star = platform.spark_session(), platform.contracts.layer("star")
    folder = Path(tempfile.mkdtemp())

    def show(name: str, paths: list[str]) -> None:
        session.read.parquet(*paths).createOrReplaceTempView(name)

    def work() -> None:
        for table in platform.contracts.fed_by(Feed.SOURCE):
            if files := platform.lake.files(table.name):
                show(table.name, [file.uri for file in files])
        for table in star:
            # The last version of a dimension, which its model reads, does not exist yet.
            columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
            session.createDataFrame([], columns).createOrReplaceTempView(table.name)
        for table in star:
            made = session.sql(table.sql.replace("raw.", "").replace("star.", ""))
            target = str(folder / table.name)
            if table.partition:
                # A copy of the column makes the folders, so that the files keep it.
                month = made[table.partition.column].alias("month_folder")
                made.select("*", month).repartition(month).write.partitionBy(
                    "month_folder"
                ).parquet(target)
            else:
                made.coalesce(1).write.parquet(target)
            show(table.name, [target])

    seconds = timed(work)
    shutil.rmtree(folder)
    return seconds


def our_spark_star(home: Path, _: str) -> float:
    """Run, checks and commit of the star schema on Spark, in a session that has started."""
    platform = _on_spark(home)
    months = months_of(platform)
    return timed(lambda: _build_star(platform, months))


def spark_writing(home: Path, _: str) -> float:
    """Of the same build the writing alone, from showing a model's inputs to its files."""
    from retail_platform.engines import run

    platform = _on_spark(home)
    write, seconds = run._write, 0.0

    def timed_write(*arguments: Any) -> Any:
        nonlocal seconds
        started = time.perf_counter()
        result = write(*arguments)
        seconds += time.perf_counter() - started
        return result

    with mock.patch.object(run, "_write", timed_write):
        _build_star(platform, months_of(platform))
    return seconds


def star_by_dagster(home: Path, _: str) -> float:
    """What a Dagster run of the star schema takes beyond its steps."""
    from retail_platform.runs import run_build

    platform = platform_of(home)
    started = time.perf_counter()
    outcome = run_build(platform, ["star"], None, None, lambda text: None)
    assert outcome.success, outcome.error
    return time.perf_counter() - started - outcome.layer_seconds


def bare_dashboard(home: Path, _: str) -> float:
    """The SQL of the dashboard's first view, one question after the other, in DuckDB alone."""
    import duckdb

    from retail_platform.serving.query import parse_query, referenced_tables, to_duckdb

    platform = platform_of(home)
    trees = [parse_query(sql) for sql in _asked_by_dashboard(platform)]
    layers = platform.lake.published()
    tables = {name for tree in trees for name in referenced_tables(tree, layers)}
    files = {table: [file.uri for file in platform.lake.files(table)] for table in tables}
    statements = [to_duckdb(tree) for tree in trees]
    con = duckdb.connect(config={"memory_limit": platform.settings.memory_limit})

    def work() -> None:
        for table, uris in files.items():
            con.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({uris})")
        for sql in statements:
            con.sql(sql).to_arrow_table()

    return timed(work)


def _asked_by_dashboard(platform: "Platform") -> list[str]:
    """Every query of a first view."""
    from functools import partial

    from retail_platform.serving.analytics import load_analytics
    from retail_platform.serving.answers import Answers, Published
    from retail_platform.serving.snapshots import LakeSnapshots
    from retail_platform.web.figures import choices, dashboard

    asked: list[str] = []

    class Noting:
        def run(self, sql: str, as_of: datetime | None = None) -> "pa.Table":
            asked.append(sql)
            return platform.sql.run(sql, as_of)

    snapshots = LakeSnapshots(platform.lake)
    published = Published(snapshots.tables, partial(snapshots.snapshot, as_of=None))
    answers = Answers(Noting(), published, at_once=1)
    found = choices(answers)
    assert found
    dashboard(answers, load_analytics(), found.default)
    return asked


PIECES: dict[str, Piece] = {
    piece.__name__: piece
    for piece in (
        bare_extraction,
        our_extraction,
        fill_raw,
        bare_star,
        our_star,
        nightly_star,
        star_engine,
        nightly_engine,
        bare_spark_star,
        our_spark_star,
        spark_writing,
        star_by_dagster,
        bare_dashboard,
    )
}


if __name__ == "__main__":
    name, home, url = sys.argv[1:]
    if name not in PIECES:  # only now, for the memory of the others
        from retail_platform_tests.benchmarks.recommending import PIECES as RECOMMENDING

        PIECES |= RECOMMENDING
    seconds = PIECES[name](Path(home), url)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))  # noqa: T201
