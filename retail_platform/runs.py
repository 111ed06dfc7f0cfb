"""A build as one Dagster run in this process, with its outcome in plain words."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.repository_definition.valid_definitions import (
    SINGLETON_REPOSITORY_NAME,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from sqlalchemy.exc import SQLAlchemyError

from retail_platform import definitions
from retail_platform.assets.layers import ERROR_KIND, asset_key
from retail_platform.assets.vectors import VECTOR_STORE, VECTOR_STORE_KEY
from retail_platform.automation.schedules import range_tags
from retail_platform.aws import region
from retail_platform.contracts.loader import LAYERS
from retail_platform.contracts.model import Feed, Table
from retail_platform.contracts.months import MonthRange, parse_month
from retail_platform.definitions import BUILD_JOB, build_definitions
from retail_platform.errors import ConfigurationError, LakeError
from retail_platform.event_log import PooledEventLogStorage
from retail_platform.platform import Platform
from retail_platform.settings import VECTORS_URL, Settings
from retail_platform.sources.address import Address
from retail_platform.sources.database import Source

# By this tag the UI knows whose run it is; without it, the page of the job leaves out what was
# built from the command line.
_OF_OUR_DEFINITIONS = {REPOSITORY_LABEL_TAG: f"{SINGLETON_REPOSITORY_NAME}@{definitions.__name__}"}


@dataclass(frozen=True)
class CheckOutcome:
    """A check that did not pass."""

    table: str
    check: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    """What became of a build.

    Attributes:
        success: Whether every step ran and no check of severity `error` failed.
        tables: How many tables were published.
        published: Whether the vector store has a new version.
        checks: How many checks were evaluated.
        failures: Checks of severity `error` that failed.
        warnings: Checks of severity `warn` that failed.
        layer_seconds: Time in the layers' own steps; the rest of a build is Dagster's.
        error: Why a step failed, without the failures; empty where none did.
        misconfigured: Whether what failed is a wrong setting, name or query.
    """

    success: bool
    tables: int
    published: bool
    checks: int
    failures: tuple[CheckOutcome, ...]
    warnings: tuple[CheckOutcome, ...]
    layer_seconds: float
    error: str
    misconfigured: bool


def run_build(
    platform: Platform,
    names: Sequence[str],
    first: str | None,
    last: str | None,
    say: Callable[[str], None],
) -> Outcome:
    """Builds tables in one Dagster run, which the UI shows like its own.

    Args:
        platform: Where to build.
        names: Tables or layers; none for all.
        first: First month, YYYY-MM; default: the first that the source or the lake has.
        last: Last month, YYYY-MM; default: the last that the source or the lake has.
        say: Told what is being done.

    Raises:
        ConfigurationError: A table or month is unknown.
        SourceError: The source cannot be read, or holds no orders.
    """
    tables, publishes = select(platform, names)
    extracts = any(table in platform.contracts.fed_by(Feed.SOURCE) for table in tables)
    # The source's server, where it is ours, stays up from the first question to the last read.
    with platform.source() if extracts else nullcontext() as source:
        if source is not None and platform.settings.has_embedded_source:
            _require_shop(platform, source)
        months = _months(platform, source, first, last)
        say(f"building {', '.join(names) or 'all tables'}, months {months}")
        with (
            _told_plainly(platform.settings.dagster_home),
            _instance(platform) as instance,
            # What a job elsewhere prints, Pipes prints here; stdout is for rows.
            redirect_stdout(sys.stderr),
        ):
            job = build_definitions(platform.settings).resolve_job_def(BUILD_JOB)
            result = job.execute_in_process(
                instance=instance,
                asset_selection=[
                    *(asset_key(table) for table in tables),
                    *([VECTOR_STORE_KEY] if publishes else []),
                ],
                tags=range_tags(months) | _OF_OUR_DEFINITIONS,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
    return outcome_of(result)


def select(platform: Platform, names: Sequence[str]) -> tuple[list[Table], bool]:
    """The tables that names of tables and layers mean, and whether the vectors are published too.

    All for none; a layer `ml` means its vector store too.

    Raises:
        ConfigurationError: A name is unknown, or there is no vector store.
    """
    contracts, served = platform.contracts, platform.settings.serves_vectors
    chosen: dict[str, Table] = {}
    publishes = False
    for name in names or LAYERS:
        if name == VECTOR_STORE:
            if not served:
                raise ConfigurationError(
                    f"there is no {VECTOR_STORE}: set {VECTORS_URL} to a PostgreSQL with pgvector"
                )
            publishes = True
            continue
        tables = contracts.layer(name) if name in LAYERS else (contracts.table(name),)
        publishes |= served and name == VECTOR_STORE_KEY.path[0]
        chosen |= {table.name: table for table in tables}
    return list(chosen.values()), publishes


def _require_shop(platform: Platform, source: Source) -> None:
    if not platform.has_shop(source):
        raise ConfigurationError(
            "the embedded database is empty: fill it with `retail sample`, or set "
            "RETAIL_SOURCE_URL to a database of your own"
        )


def _months(
    platform: Platform, source: Source | None, first: str | None, last: str | None
) -> MonthRange:
    """The months to build: those that are named, else all that the source and the lake have."""
    stored = platform.builder.stored_months
    held = _held_months(platform, source) if first is None or last is None else None
    low = parse_month(first) if first else held.first if held else stored.last
    high = parse_month(last) if last else held.last if held else stored.last
    for month in (low, high):
        if month not in stored:
            raise ConfigurationError(
                f"month {month:%Y-%m} is outside {stored}; the first month is the setting "
                "first_month, the last is the running one"
            )
    if low > high and (first is None or last is None):
        place = "the lake" if source is None else "the source"
        told = (
            f"{place} ends at {high:%Y-%m}, before --from {low:%Y-%m}: give an earlier --from"
            if last is None
            else f"{place} begins at {low:%Y-%m}, after --to {high:%Y-%m}: give a later --to"
        )
        raise ConfigurationError(f"{told}, or both --from and --to")
    return MonthRange(low, high)


def _held_months(platform: Platform, source: Source | None) -> MonthRange | None:
    """From the first to the last month that the source or the lake has, within what is stored."""
    stored = platform.builder.stored_months
    monthly = [table for table in platform.contracts.tables.values() if table.partition]
    months = [
        parse_month(month)
        for table in monthly
        if (version := platform.lake.version(table.name))
        for month in version.measures
        if parse_month(month) in stored
    ]
    if any(table.feed is Feed.LANDING for table in monthly):
        return stored  # what is about to land may be of any month
    if source is not None:
        queries = [source.prepare(table) for table in monthly if table.layer == LAYERS[0]]
        found = source.months((query for query in queries if query), stored)
        months += [found.first, found.last] if found else []
    if not months:
        return None
    return MonthRange(min(months), max(months))


@contextmanager
def _told_plainly(folder: Path) -> Iterator[None]:
    """Dagster's records are files of ours: what keeps them from being written has a remedy."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        reason = getattr(error, "orig", None) or error
        raise LakeError(
            f"{folder} cannot be written: {reason}; check that the disk is writable and not full, "
            "then run the command again"
        ) from error


def _instance(platform: Platform) -> dg.DagsterInstance:
    """Dagster's records in RETAIL_HOME, the same that `make dev` shows."""
    folder = prepare_dagster_home(platform.settings)
    return dg.DagsterInstance.from_config(str(folder))


def prepare_dagster_home(settings: Settings) -> Path:
    """Creates Dagster's folder; it speaks to no one and asks for no e-mail address.

    Returns:
        The folder.

    Raises:
        LakeError: It cannot be written.
    """
    folder = settings.dagster_home
    config = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        # What the platform logs of its work shows up in the run's own log.
        "python_logs": {
            "managed_python_loggers": ["retail_platform"],
            "python_log_level": "INFO",
        },
        **(_records_in(settings.records_url) if settings.records_url else _records_below(folder)),
        # What a sensor asks for begins at once, and not up to five seconds later.
        "run_queue": {"dequeue_interval_seconds": 1},
    }
    with _told_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_if_different(folder / "dagster.yaml", yaml.safe_dump(config))
    return folder


def _records_below(folder: Path) -> dict[str, Any]:
    """Dagster's records in files, of which its event log is ours."""
    storage = {
        "module": PooledEventLogStorage.__module__,
        "class": PooledEventLogStorage.__name__,
        "config": {"base_dir": str(folder / "history" / "runs")},
    }
    return {"event_log_storage": storage}


def _records_in(url: str) -> dict[str, Any]:
    """Dagster's records in PostgreSQL, with a token of IAM for each login and no password anywhere."""
    address = Address.parse(url)
    place = {
        "hostname": address.host,
        "port": address.port,
        "db_name": address.database,
        "username": address.user,
        "password": "",
        "params": {"sslmode": address.option("sslmode") or "require"},
        # Dagster speaks psycopg2; SQLAlchemy 2.1 would take psycopg, to which NOTIFY is bad syntax.
        "scheme": "postgresql+psycopg2",
    }
    token = {"aws_wif": {"region": region()}}
    return {"storage": {"postgres": {"postgres_db": place, "auth_provider": token}}}


def _write_if_different(file: Path, text: str) -> None:
    """A Dagster that runs may read the file at any moment: it is the old one or the new one."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)


def outcome_of(result: dg.ExecuteInProcessResult) -> Outcome:
    """What became of a run, in plain words."""
    evaluations = result.get_asset_check_evaluations()
    failed = [evaluation for evaluation in evaluations if not evaluation.passed]
    failures = [
        _check_outcome(evaluation)
        for evaluation in failed
        if evaluation.severity is dg.AssetCheckSeverity.ERROR
    ]
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    steps = [event for event in result.all_events if event.is_step_success]
    broken = [event for event in result.all_events if event.is_step_failure]
    return Outcome(
        success=result.success and not failures,
        tables=len(made - {VECTOR_STORE_KEY}),
        published=VECTOR_STORE_KEY in made,
        checks=len(evaluations),
        failures=tuple(failures),
        warnings=tuple(
            _check_outcome(evaluation)
            for evaluation in failed
            if evaluation.severity is dg.AssetCheckSeverity.WARN
        ),
        layer_seconds=sum(event.step_success_data.duration_ms for event in steps) / 1000,
        error="\n".join(_reason(event, failures) for event in broken),
        misconfigured=any(_kind(event) == ConfigurationError.__name__ for event in broken),
    )


def _check_outcome(evaluation: dg.AssetCheckEvaluation) -> CheckOutcome:
    return CheckOutcome(
        evaluation.asset_key.path[-1], evaluation.check_name, evaluation.description or ""
    )


def _reason(event: dg.DagsterEvent, failures: Sequence[CheckOutcome]) -> str:
    """Why a step failed. What an audit says of single checks is left out: the failures say it."""
    data = event.step_failure_data
    if data.user_failure_data is None:
        return data.error.to_string() if data.error else ""
    told = tuple(f"{failure.table}.{failure.check}: " for failure in failures)
    lines = (data.user_failure_data.description or "").splitlines()
    return "\n".join(line for line in lines if not line.startswith(told))


def _kind(event: dg.DagsterEvent) -> str | None:
    """The class of our error that made a step fail; None for a bug."""
    failure = event.step_failure_data.user_failure_data
    kind = failure.metadata.get(ERROR_KIND) if failure else None
    return str(kind.value) if kind else None
