"""The command line: thin commands over the platform. Rows go to stdout, all else to stderr.

Heavy imports stand inside the commands, so that `retail query` does not wait for Dagster.
"""

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from retail_platform.cost.model import Egress, Kinesis
from retail_platform.errors import ConfigurationError, LakeError, RetailError
from retail_platform.serving.render import Format
from retail_platform.settings import VECTORS_URL, Settings, load_settings, write_setting
from retail_platform.sources.address import Address

if TYPE_CHECKING:
    from lambda_inference.answers import RecommendationEvent
    from retail_platform.platform import Platform
    from retail_platform.recommender.report import Result
    from retail_platform.recommender.vector_store import Recommended

FAILED = 1
"""Exit code of a failed build or check."""

WRONG_USE = 2
"""Exit code of wrong use or configuration."""

_REPORT_OPTIONS = {
    "country": "--country",
    "product_line": "--product-line",
    "date_from": "--from",
    "date_to": "--to",
    "n": "-n",
}
"""How a parameter of `sql/analytics` is written on the command line."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="From an OLTP database to a checked star schema that answers SQL.\n\n"
    "Start with `retail demo`; then `retail status` shows what there is, and `retail query` asks it.",
)

FormatOption = Annotated[Format, typer.Option("--format", help="How rows are printed.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="mysql://user:password@host:port/database or postgresql://...; "
        "default: the embedded PostgreSQL. Required where RETAIL_SOURCE_URL is set.",
    ),
]
TableArgument = Annotated[
    str, typer.Argument(help="A table, such as fact_orders; `retail status` lists them.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace a classicmodels schema that is there already.")
]


def main() -> None:
    """Runs the command line; errors that a user can mend are printed without a traceback."""
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s", handlers=[warnings])
    # What it warns of in a query, we refuse in words of our own.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        app()
    except RetailError as error:
        _say(f"error: {error}")
        sys.exit(WRONG_USE if isinstance(error, ConfigurationError) else FAILED)


# Data in


@app.command()
def demo(
    live: Annotated[
        float, typer.Option("--live", min=0, help="Seconds of live visitors at the end.")
    ] = 60.0,
) -> None:
    """Fills the embedded database with a sample shop, builds everything and prints some reports.

    It ends with visitors who browse, are recommended what goes with it, and follow it or not. A
    database that RETAIL_SOURCE_URL names is built from, and never written to.

    Example: `retail demo`
    """
    platform = _platform()
    with platform.source() as source:
        if not platform.has_shop(source):
            if not platform.settings.has_embedded_source:
                raise ConfigurationError(
                    f"the database of {source.address.place}, {source.address}, holds no shop, and "
                    "the demo does not write there: fill it yourself with `retail sample --url`, or "
                    "unset RETAIL_SOURCE_URL and RETAIL_ENV to have the embedded one filled"
                )
            first_month = _load_sample(
                source.address.url, 1.0, "2003-01", 29, replace_=False, seed=2003
            )
            _note_first_month(platform, None, first_month)
    build([], None, None)
    for name in ("sales_by_product_line", "sales_by_country", "top_products"):
        report(name)
    if platform.settings.serves_vectors:
        _show_recommendations(platform)
        if live and not platform.settings.on_aws:
            _show_visitors(platform, live)
    _say(
        "Next: `.venv/bin/retail report` for all reports, `.venv/bin/retail query "
        '"SELECT status, count(*) AS lines FROM fact_orders GROUP BY 1"`, '
        "`make web` for the dashboard and the storefront, or `make dev` for the Dagster UI."
    )


def _show_recommendations(platform: "Platform") -> None:
    """For the customer who bought most often, and for a visitor who looks at two of his products."""
    (buyer,) = platform.sql.run(
        "SELECT customer_number, count(DISTINCT order_number) AS orders FROM fact_orders"
        " WHERE is_sale GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    ).to_pylist()
    browsed = platform.sql.run(
        "SELECT product_code FROM recommendation_training"
        f" WHERE customer_number = {buyer['customer_number']}"
        " ORDER BY orders DESC, product_code LIMIT 2"
    ).to_pylist()
    number, codes = buyer["customer_number"], ",".join(row["product_code"] for row in browsed)
    _say(f"\nretail recommend --customer {number} -n 5")
    recommend(number, count=5)
    _say(f"\nretail recommend --session {codes} -n 5")
    recommend(session=codes, count=5)
    _say("")


def _show_visitors(platform: "Platform", seconds: float) -> None:
    """Live visitors, and what came of what they were recommended."""
    _say(f"retail events --rate 20 --sessions 30 --seconds {seconds:g}")
    _browse(platform, 20.0, 30, seconds, None, None)
    _say("\nretail build events")
    build(["events"], None, None)
    _say("\nretail report recommendation_hits")
    report("recommendation_hits")
    _say("")


@app.command()
def sample(
    scale: Annotated[float, typer.Option(help="1 is the classic size, 1000 about 3M lines.")] = 1.0,
    url: UrlOption = None,
    first_month: Annotated[
        str, typer.Option("--first-month", help="First month of orders, YYYY-MM.")
    ] = "2003-01",
    months: Annotated[int, typer.Option(help="How many months of orders.")] = 29,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 2003,
    replace_: ReplaceOption = False,
) -> None:
    """Creates the classicmodels schema, ratings included, and fills it.

    Example: `retail sample --scale 10`
    """
    platform = _platform()
    with _target(platform, url) as target:
        filled_from = _load_sample(target, scale, first_month, months, replace_, seed)
    _note_first_month(platform, url, filled_from)


@app.command("import-online-retail")
def import_online_retail(
    file: Annotated[Path, typer.Argument(help="The UCI Online Retail file, parquet or csv.")],
    url: UrlOption = None,
    replace_: ReplaceOption = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Imports the UCI Online Retail data set and accounts for every one of its rows.

    Example: `retail import-online-retail online_retail.parquet`
    """
    from retail_platform.sources.sample import online_retail

    platform = _platform()
    with _target(platform, url) as target, _progress("importing") as advance:
        account = online_retail.import_online_retail(file, target, advance, replace=replace_)
    _note_first_month(platform, url, account.first_month)
    rows: list[dict[str, Any]] = [{"rows": account.imported, "what": "imported"}]
    rows += [
        {"rows": count, "what": f"set aside: {why}"} for why, count in account.set_aside.items()
    ]
    rows.append({"rows": account.rows_read, "what": "read from the file"})
    _print_rows(rows, format)
    _say(
        f"{account.merged:,} of the imported rows were merged into another line of the same order; "
        f"quantity {account.quantity:,}, amount {account.amount:,.2f}"
    )


# Building and checking


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Where the UI listens, on 127.0.0.1.")] = 3000,
) -> None:
    """Opens the Dagster UI until Ctrl-C; the schedules that are switched on there run meanwhile.

    Example: `retail dev --port 3001`
    """
    from retail_platform.runs import prepare_dagster_home

    settings = load_settings()
    os.environ["DAGSTER_HOME"] = str(prepare_dagster_home(settings))
    # Dagster announces the command that will follow `dagster dev`; no user of ours can use it yet.
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    _say(f"starting the Dagster UI on http://127.0.0.1:{port}, which takes some seconds")
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(  # noqa: S606  (Dagster takes over this process and its terminal)
        dagster,
        [dagster, "dev", "-m", "retail_platform.definitions", "-h", "127.0.0.1", "-p", str(port)],
    )


@app.command()
def web(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the site listens.")] = 8000,
    host: Annotated[
        str, typer.Option(help="The address that it listens on; 0.0.0.0 behind a load balancer.")
    ] = "127.0.0.1",
) -> None:
    """Opens the dashboard and the storefront until Ctrl-C.

    Visits go through the Lambda's own handler on a laptop, and to the Kinesis stream on AWS; orders
    go into the embedded database, or where RETAIL_STOREFRONT_URL says.

    Example: `retail web --port 8001`
    """
    from retail_platform.web.app import serve

    platform = _platform()
    _say(f"the site is on http://{host}:{port}: /dashboard, /trust and /shop")
    serve(platform, host, port)


@app.command()
def prepare(
    admin_secret: Annotated[
        str,
        typer.Option(
            "--admin-secret",
            help="The secret of Secrets Manager, name or ARN, with the login of the PostgreSQL's "
            "administrator: JSON with username and password.",
        ),
    ],
) -> None:
    """On AWS: prepares the PostgreSQL of RDS, and this machine to run Dagster as a service.

    What is there already stays as it is.

    Example: `retail prepare --admin-secret rds-db-credentials/vectors`
    """
    from retail_platform.runs import prepare_dagster_home

    platform = _platform()
    platform.prepare_databases(admin_secret)
    folder = prepare_dagster_home(platform.settings)
    _say(f"the databases are prepared; start Dagster with DAGSTER_HOME={folder}")


@app.command()
def build(
    assets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tables, the layers raw, star, ml and events, or vector_store; default: all.",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="First month, YYYY-MM.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Last month, YYYY-MM.")] = None,
) -> None:
    """Builds tables and publishes them after their checks held.

    Without a range, all months that the source has.

    Example: `retail build --from 2005-04 --to 2005-05`
    """
    from retail_platform.runs import run_build

    started = time.perf_counter()
    platform = _platform()
    with _progress("building") as advance, _shown(advance):
        outcome = run_build(platform, assets or [], from_, to, _say)
    for result in outcome.failures:
        _say(f"failed: {result.table}.{result.check}: {result.detail}")
    for result in outcome.warnings:
        _say(f"warning: {result.table}.{result.check}: {result.detail}")
    seconds = time.perf_counter() - started
    if not outcome.success:
        if outcome.error:
            _say(f"error: {outcome.error}")
        raise typer.Exit(WRONG_USE if outcome.misconfigured else FAILED)
    _say(
        f"built {_counted(outcome.tables, 'table')} in {seconds:.1f} s, "
        f"{outcome.layer_seconds:.1f} s of it in the layers; {_counted(outcome.checks, 'check')}, "
        f"{_counted(len(outcome.warnings), 'warning')}"
    )
    if outcome.published:
        _say("published what recommends: try `retail recommend --help`")


@app.command()
def check(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables; default: all.", show_default=False)
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Runs the checks on the published snapshots, without building. Fails if one of them does.

    Example: `retail check fact_orders`
    """
    platform = _platform()
    contracts = platform.contracts
    chosen = [contracts.table(name) for name in tables or contracts.tables]
    results = platform.builder.audit(chosen)
    checks = [outcome for result in results for outcome in result.checks]
    _print_rows(
        [
            {
                "table": outcome.table,
                "check": outcome.check.name,
                "severity": outcome.check.severity.value,
                "passed": outcome.passed,
                "failing_rows": outcome.failing_rows,
                "detail": outcome.detail or outcome.check.description,
            }
            for outcome in checks
        ],
        format,
    )
    if any(outcome.fails for outcome in checks):
        raise typer.Exit(FAILED)


# Data out


# A query may begin with a comment, `-- why`, which is no option.
@app.command(context_settings={"ignore_unknown_options": True})
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT, in the dialect of Athena.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="Reads the tables as they were then: 2026-01-31T12:00:00, or a day for its first "
            "moment; in UTC unless it says otherwise.",
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Answers SQL from the published snapshots.

    Tables are called `fact_orders` or `star.fact_orders`; `retail status` lists them.

    Example: `retail query "SELECT status, count(*) AS lines FROM fact_orders GROUP BY 1"`
    """
    from retail_platform.serving.render import write_rows

    answer = _platform().sql.run(sql, _moment(as_of))
    with _rows_out() as out:
        write_rows(answer, format, out)


@app.command()
def report(
    name: Annotated[
        str | None, typer.Argument(help="A report, such as sales_by_month; default: all.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Only customers of this country.")] = None,
    product_line: Annotated[str | None, typer.Option(help="Only products of this line.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Last day, YYYY-MM-DD.")] = None,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many products, of top_products.")
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Prints the questions of `sql/analytics` with their answers: one of them, or all.

    csv and json need the name of one; a name that does not exist lists all.

    Example: `retail report top_products --country France -n 5`
    """
    from retail_platform.serving.analytics import bind, load_analytics
    from retail_platform.serving.render import write_report, write_rows

    reports = load_analytics()
    if name is not None and name not in reports:
        raise ConfigurationError(f"unknown report {name!r}; the reports are {', '.join(reports)}")
    given = {
        key: value
        for key, value in {
            "country": country,
            "product_line": product_line,
            "date_from": from_,
            "date_to": to,
            "n": n,
        }.items()
        if value is not None
    }
    if name is None and format is not Format.TABLE:
        raise ConfigurationError(
            f"all reports together are no {format}: name one of {', '.join(reports)}"
        )
    chosen = [reports[name]] if name else list(reports.values())
    for key in given:
        if lacking := [report.name for report in chosen if not report.takes(key)]:
            told = f"{_REPORT_OPTIONS[key]} has no effect on {', '.join(lacking)}"
            if name is not None:
                raise ConfigurationError(f"{told}: leave it out")
            _say(f"warning: {told}")
    sql = _platform().sql
    for analytics in chosen:
        taken = {key: value for key, value in given.items() if analytics.takes(key)}
        answer = sql.run(bind(analytics, **taken))
        with _rows_out() as out:
            if format is Format.TABLE:
                write_report(analytics, answer, out)
            else:
                write_rows(answer, format, out)


@app.command()
def evaluate(
    online_retail: Annotated[
        Path | None,
        typer.Option(
            "--online-retail",
            help="The UCI Online Retail file, parquet or csv; default: the store's own sales.",
        ),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Compares the recommender with simpler methods, on the last four weeks of sales.

    All of them learn from the sales before. `platform` is the method that would be published.

    Example: `retail evaluate --online-retail online_retail.parquet`
    """
    from retail_platform.recommender import evaluation, gates
    from retail_platform.sources.sample.history import of_lines

    platform = _platform()
    if online_retail is None:
        history = platform.history
    else:
        from retail_platform.sources.sample.online_retail import purchase_lines

        history = of_lines(purchase_lines(online_retail))
    with _progress("training and comparing"):
        compared = evaluation.compare(history)
    _print_rows([_rounded(result) for result in compared.results], format)
    training = compared.training
    _say(
        f"trained on {training.lines:,} lines before {compared.cut}, tested until "
        f"{compared.last_day}; method {training.method}: {training.reason}"
    )
    demands = [gate for table in platform.contracts.tables.values() for gate in table.gates]
    known = gates.ONLINE_RETAIL if online_retail else ()
    for verdict in gates.judge(compared, (*demands, *known)):
        _say(f"{'reached' if verdict.passed else 'warning: not reached'}: {verdict}")
    for protocol in gates.too_short(compared):
        _say(
            f"warning: {protocol} has {_counted(compared.questions[protocol], 'question')}; with "
            f"fewer than {gates.ENOUGH_QUESTIONS} it is not judged"
        )


# Recommending


@app.command()
def recommend(
    customer: Annotated[
        int | None, typer.Option("--customer", help="The number of a customer.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", help="Codes of the products browsed, separated by commas."),
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Of a visitor whom nobody knows, beside his session.")
    ] = None,
    product_line: Annotated[str | None, typer.Option(help="Only products of this line.")] = None,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Products that the customer has bought too.")
    ] = False,
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many products.")] = 10,
    format: FormatOption = Format.TABLE,
) -> None:
    """Recommends products to a customer, a session, or a customer's session, and says why.

    Without either it recommends what is popular.

    Example: `retail recommend --customer 103 --session S10_0016,S12_0042`
    """
    codes = [code.strip() for code in (session or "").split(",") if code.strip()]
    with _platform().vector_store() as store:
        found = store.recommend(
            customer,
            codes,
            count,
            repeats=repeats,
            features={"country": country} if country else None,
            product_line=product_line,
        )
        known = store.known_products(codes) if codes else {}
        live = store.live_version()
    rows = [
        {
            "rank": one.rank,
            "product_code": one.product_code,
            "product_name": one.product_name,
            "score": Decimal(f"{one.score:.4f}"),
            "reason": _because(one),
        }
        for one in found
    ]
    _print_rows(rows, format)
    for code in (code for code in codes if code not in known):
        _say(f"warning: nobody has bought a product {code} yet: it tells nothing")
    if customer is not None and found and found[0].strategy == "popularity":
        _say(f"warning: customer {customer} has bought nothing yet: this is what is popular")
    if country and (customer is not None or not codes):
        _say("warning: --country tells of unknown visitors who browse: it has no effect here")
    if not found:
        _say("nothing is left to recommend: leave out --product-line, or allow --repeats")
    if live is not None:
        strategy = found[0].strategy if found else "none"
        _say(f"strategy {strategy}, version {live.version} (model {live.model_version})")


def _because(one: "Recommended") -> str:
    what = one.because_name or one.because_code
    match one.kind:
        case "browsed" | "bought":
            return f"because you {one.kind} {what}"
        case "bought_before":
            return "you bought it before"
        case _:
            return "popular now"


vectors = typer.Typer(no_args_is_help=True, help="The versions that recommendations come from.")
app.add_typer(vectors, name="vectors")


@vectors.command("list")
def list_vectors(format: FormatOption = Format.TABLE) -> None:
    """Lists the versions that are kept, the newest first.

    Example: `retail vectors list`
    """
    with _platform().vector_store() as store:
        versions = store.versions()
    if not versions:
        raise LakeError("nothing was published yet: run `retail build`")
    _print_rows(
        [
            {
                "version": one.version,
                "live": one.live,
                "model_version": one.model_version,
                "published_at": one.published_at,
                "products": one.products,
                "customers": one.customers,
                "method": one.description.get("method"),
                "as_of": one.description.get("as_of"),
            }
            for one in versions
        ],
        format,
    )


@vectors.command("publish")
def publish_vectors(
    even_if_worse: Annotated[
        bool,
        typer.Option("--even-if-worse", help="Although they are clearly worse than the live ones."),
    ] = False,
) -> None:
    """Publishes the embeddings that the lake has; `retail build` does it by itself.

    Example: `retail vectors publish --even-if-worse`
    """
    from retail_platform.publication import publish

    platform = _platform()
    with platform.vector_store() as store, _progress("publishing") as advance, _shown(advance):
        published = publish(platform.lake, store, even_if_worse=even_if_worse)
    _say(
        f"version {published.version.version} is live: {published.version.products:,} products, "
        f"loaded in {published.seconds:.1f} s, live in {1000 * published.flip_seconds:.0f} ms"
    )


@vectors.command("rollback")
def rollback_vectors(
    version: Annotated[
        int | None,
        typer.Argument(help="A version of `retail vectors list`; default: the one before."),
    ] = None,
) -> None:
    """Makes an earlier version live again, until the next build publishes.

    Example: `retail vectors rollback 3`
    """
    with _platform().vector_store() as store:
        live = store.rollback(version)
    _say(f"version {live.version} of {live.published_at:%Y-%m-%d %H:%M:%S} is live")


# Live events


@app.command()
def events(
    rate: Annotated[
        float, typer.Option(min=0, help="Events a second; 0 for as many as there can be.")
    ] = 10.0,
    sessions: Annotated[
        int, typer.Option("--sessions", min=1, help="Visits that go on at the same time.")
    ] = 20,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long; default: until Ctrl-C.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many; default: no limit.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same visits, whose events the lake knows already; "
            "default: others each time."
        ),
    ] = None,
) -> None:
    """Lets visitors browse the shop, and sends what they do.

    On AWS it goes to the Kinesis stream. On a laptop it goes through the Lambda's own handler, which
    answers from the vector store, into a folder as Firehose would lay it down; `retail build events`
    takes it into the lake, and so does the sensor of the UI.

    Example: `retail events --rate 50 --sessions 100 --seconds 60`
    """
    _browse(_platform(), rate, sessions, seconds, count, seed)


def _browse(
    platform: "Platform",
    rate: float,
    sessions: int,
    seconds: float | None,
    count: int | None,
    seed: int | None,
) -> None:
    from retail_platform.streaming.sending import send
    from retail_platform.streaming.visitors import CUSTOMERS, SALES, Shop, Visitors

    shop = Shop.of(platform.sql.run(SALES).to_pylist(), platform.sql.run(CUSTOMERS).to_pylist())
    if not shop.products or not shop.customers:
        raise LakeError("there are no products or no customers: build them with `retail build`")
    visitors = Visitors(shop, sessions, secrets.randbits(32) if seed is None else seed)
    answered = degraded = 0

    def note(answer: "RecommendationEvent") -> None:
        nonlocal answered, degraded
        answered += 1
        degraded += answer.degraded
        visitors.note(answer.session_id, [item.id for item in answer.recommended_items])

    started = time.perf_counter()
    sent = 0
    with (
        platform.event_sink(note) as sink,
        _progress("browsing") as advance,
        _interrupted_between_events() as check,
    ):

        def pause(seconds: float) -> None:
            time.sleep(seconds)
            check()

        stream = send(visitors.events(), sink, rate=rate, seconds=seconds, count=count, pause=pause)
        # Closed before the sink is, whatever ends it: what waits is sent.
        with closing(stream), suppress(KeyboardInterrupt):
            for sent in stream:
                advance(f"{sent:,} events", None)
                check()
    took = time.perf_counter() - started
    _say(f"sent {_counted(sent, 'event')} in {took:.1f} s, {sent / took:,.0f} a second")
    if not platform.settings.on_aws:
        told = f", {degraded:,} without the vector store" if degraded else ""
        _say(f"answered {answered:,}{told}; take them into the lake with `retail build events`")


@contextmanager
def _interrupted_between_events() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits for the next look, so that no delivery is cut in two; a second one does not wait.

    Yields:
        The look, which raises KeyboardInterrupt where there was one.
    """
    asked = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


@app.command()
def replay(
    failed: Annotated[
        bool, typer.Option("--failed", help="The records of events.delivery_failures.")
    ] = False,
) -> None:
    """Sends again what could not be answered or delivered, once the reason is mended.

    What has reached the lake meanwhile is left out, and however often it is replayed, an event counts
    once.

    Example: `retail replay --failed`
    """
    from retail_platform.streaming.replay import replay as replay_failures

    if not failed:
        raise ConfigurationError("say what to replay: `retail replay --failed`")
    platform = _platform()
    with platform.event_sink() as sink:
        outcome = replay_failures(platform.lake, sink)
    _say(
        f"sent {_counted(outcome.sent, 'event')} again; {outcome.delivered:,} had reached the lake "
        "already"
    )
    for reason, count in outcome.rejected.most_common():
        _say(f"{_counted(count, 'record')} left: {reason}")


# Time travel and care


@app.command()
def status(format: FormatOption = Format.TABLE) -> None:
    """Shows every table's published version, and where things are.

    Example: `retail status --format json`
    """
    from retail_platform.embedded.postgres import data_directory

    platform = _platform()
    rows = []
    for table in platform.contracts.tables.values():
        version = platform.lake.version(table.name)
        rows.append(
            {
                "table": f"{table.layer}.{table.name}",
                "rows": version.row_count if version else None,
                "bytes": version.byte_count if version else None,
                "files": version.file_count if version else None,
                "built_at": version.committed_at if version else None,
                "fresh": version is not None
                and table.is_fresh(version.committed_at, datetime.now(UTC)),
                "snapshot_id": version.snapshot_id if version else None,
            }
        )
    _print_rows(rows, format)
    if all(row["snapshot_id"] is None for row in rows):
        _say("nothing is built yet: run `retail demo` for a sample shop, or `retail build`")
    settings = platform.settings
    _say(f"home      {settings.home}")
    _say(f"settings  {settings.settings_file}")
    if settings.on_aws:
        warehouse = platform.lake.storage.warehouse
        _say(f"lake      {warehouse}, Glue databases {settings.database_prefix}*")
        _say(f"engine    Glue job {settings.glue_job}")
        _say(f"sql       Athena workgroup {settings.athena_workgroup}")
        _say(f"source    the database of secret {settings.source_secret}")
    elif settings.source_url is None:
        _say(f"source    the embedded PostgreSQL, data in {data_directory(settings.home)}")
    else:
        address = Address.parse(settings.source_url.get_secret_value())
        _say(f"source    {address}, of RETAIL_SOURCE_URL")
    if settings.vectors_url is not None:
        address = Address.parse(settings.vectors_url.get_secret_value())
        _say(f"vectors   {address}, of {VECTORS_URL}")
    elif settings.serves_vectors:
        _say(f"vectors   the embedded PostgreSQL, data in {data_directory(settings.home)}")
    _say(f"events    arrive in {platform.ingestion.arrivals.uri}")
    if landed := platform.landing.tables:
        names = ", ".join(table.name for table in landed)
        _say(f"files     land in {platform.landing.arrivals.uri}, of {names}")


@app.command()
def history(table: TableArgument, format: FormatOption = Format.TABLE) -> None:
    """Lists the versions of a table that can still be read, the newest first.

    Example: `retail history fact_orders`
    """
    platform = _platform()
    versions = platform.lake.history(table)
    if not versions:
        contract = platform.contracts.table(table)
        raise LakeError(
            f"{contract.layer}.{contract.name} was never built: "
            f"run `retail build {contract.name}` first"
        )
    _print_rows(
        [
            {
                "snapshot_id": version.snapshot_id,
                "built_at": version.committed_at,
                "rows": version.row_count,
                "files": version.file_count,
                "current": version.current,
                "inputs": ", ".join(f"{name}@{number}" for name, number in version.inputs.items()),
            }
            for version in versions
        ],
        format,
    )


@app.command()
def rollback(
    table: TableArgument,
    snapshot: Annotated[int, typer.Argument(help="A snapshot of `retail history`.")],
) -> None:
    """Shows readers an earlier version of a table again; the next build goes on from there.

    Example: `retail rollback fact_orders 6125308420514906000`
    """
    version = _platform().lake.rollback(table, snapshot)
    _say(
        f"{version.table} is {version.row_count:,} rows of {version.committed_at:%Y-%m-%d %H:%M:%S} again"
    )


@app.command()
def vacuum(
    keep_days: Annotated[
        float, typer.Option(help="Versions younger than this many days stay.")
    ] = 7.0,
    grace_hours: Annotated[
        float,
        typer.Option(help="Files younger than this many hours stay: a build may be writing them."),
    ] = 24.0,
) -> None:
    """Forgets old versions and deletes files that no version names.

    Example: `retail vacuum --keep-days 30`
    """
    if keep_days < 0 or grace_hours < 0:
        raise ConfigurationError("--keep-days and --grace-hours must not be negative")
    removed = _platform().lake.vacuum(timedelta(days=keep_days), timedelta(hours=grace_hours))
    _say(
        f"forgot {removed.snapshots:,} versions, deleted {removed.files:,} files, "
        f"{removed.bytes:,} bytes"
    )


@app.command()
def cost(
    orders_per_day: Annotated[
        int, typer.Option("--orders-per-day", help="Orders, of nine lines each.")
    ],
    events_per_day: Annotated[int, typer.Option("--events-per-day", help="Browse events.")],
    events_per_record: Annotated[
        int,
        typer.Option(help="How many events a producer puts into one record of Kinesis."),
    ] = 10,
    environment: Annotated[
        str, typer.Option(help="dev or prod, as in infra/environments.")
    ] = "dev",
    kinesis: Annotated[Kinesis, typer.Option(help="How the stream is paid for.")] = (
        Kinesis.PROVISIONED
    ),
    egress: Annotated[Egress, typer.Option(help="How private subnets reach AWS.")] = Egress.NAT,
    web: Annotated[bool, typer.Option("--web", help="With the web tier.")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """What the platform costs on AWS in a month, line by line, before anybody pays it.

    Example: `retail cost --orders-per-day 300 --events-per-day 50000`
    """
    from retail_platform.cost.model import (
        Usage,
        load_prices,
        monthly_bill,
        other_shapes,
        shape_of,
        total,
    )

    prices = load_prices()
    usage = Usage(orders_per_day, events_per_day, events_per_record)
    chosen = shape_of(environment, kinesis, egress, web=web)
    bill = monthly_bill(usage, chosen, prices)
    rows: list[dict[str, Any]] = [
        {
            "service": line.service,
            "what": line.what,
            "quantity": _in_cents(line.quantity),
            "unit": line.unit,
            "usd": _in_cents(line.usd),
        }
        for line in bill
    ]
    _print_rows(rows, format)
    _say(f"{total(bill):,.2f} US dollars a month, by prices of {prices.as_of} in {prices.region}")
    for name, other in other_shapes(chosen):
        _say(f"{total(monthly_bill(usage, other, prices)):,.2f} with {name}")


# What the commands share


def _in_cents(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"))


def _say(text: str) -> None:
    """Progress, warnings and errors: stderr."""
    typer.echo(text, err=True)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _platform() -> "Platform":
    settings = load_settings()
    from retail_platform.platform import Platform

    return Platform(settings)


@contextmanager
def _target(platform: "Platform", url: str | None) -> Iterator[str]:
    """The database to be filled: never one that is only named as the source to read."""
    if url is not None:
        yield url
    elif not platform.settings.has_embedded_source:
        raise ConfigurationError(
            "the source is a database of yours, and this command fills one: name the one to fill "
            "with --url, or unset RETAIL_SOURCE_URL and RETAIL_ENV to fill the embedded one"
        )
    else:
        with platform.source_address() as embedded:
            yield embedded.url


def _note_first_month(platform: "Platform", url: str | None, first_month: date) -> None:
    """Makes the lake begin with the data, where the database that was filled is its source."""
    settings, month = platform.settings, f"{first_month:%Y-%m}"
    if _is_source(settings, url):
        write_setting(settings.home, "first_month", month)
    elif month != settings.first_month:
        _say(f"set RETAIL_FIRST_MONTH={month} where you build from that database")


def _is_source(settings: Settings, url: str | None) -> bool:
    """Whether `url` is the source that this home builds from; None stands for the embedded one."""
    if url is None or settings.source_url is None or settings.on_aws:
        return url is None and settings.has_embedded_source
    return Address.parse(url) == Address.parse(settings.source_url.get_secret_value())


def _load_sample(
    url: str,
    scale: float,
    first_month: str,
    months: int,
    replace_: bool,
    seed: int,
) -> date:
    """Fills a database with the sample and gives its first month."""
    from retail_platform.contracts.months import parse_month
    from retail_platform.sources.sample.generate import SampleSize, generate
    from retail_platform.sources.sample.load import load

    size = SampleSize(scale=scale, first_month=parse_month(first_month), months=months, seed=seed)
    with _progress("loading the sample") as advance:
        loaded = load(url, generate(size), advance, replace=replace_)
    _say(
        f"sample: {loaded.rows['orderdetails']:,} order lines in {loaded.rows['orders']:,} orders, "
        f"{loaded.first_month:%Y-%m} to {loaded.last_month:%Y-%m}"
    )
    return loaded.first_month


@contextmanager
def _progress(what: str) -> Iterator[Callable[[str, int | None], None]]:
    """Shows on a terminal what is being done, and how many rows of it where that is known."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar: Progress
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(what)

        def advance(step: str, rows: int | None) -> None:
            count = "" if rows is None else f" {rows:,} rows"
            bar.update(task, description=f"{what}: {step}{count}")

        yield advance


@contextmanager
def _shown(advance: Callable[[str, int | None], None]) -> Iterator[None]:
    """Shows what the platform logs of its work as progress."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            advance(record.getMessage(), None)

    logger, handler = logging.getLogger("retail_platform"), Shown(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


def _print_rows(rows: list[dict[str, Any]], format: Format) -> None:
    import pyarrow as pa

    from retail_platform.serving.render import write_rows

    table: pa.Table = pa.Table.from_pylist(rows)
    with _rows_out() as out:
        write_rows(table, format, out)


@contextmanager
def _rows_out() -> Iterator[TextIO]:
    """Stdout, whose reader may leave early: `| head` has seen enough, and nothing is wrong."""
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would complain when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _rounded(result: "Result") -> dict[str, Any]:
    """A result without the digits that are noise."""
    row = asdict(result)
    seconds = row.pop("train_seconds")
    figures = {n: f"{value:.4f}" for n, value in row.items() if isinstance(value, float)}
    figures["train_seconds"] = f"{seconds:.2f}"
    return row | {name: Decimal(figure) for name, figure in figures.items()}


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--as-of {text!r} is not a time; write it as 2026-01-31T12:00:00"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise ConfigurationError(
            f"--as-of {text} is in the future, and what the tables hold then is not known: leave "
            "it out for what they hold now"
        )
    return moment
