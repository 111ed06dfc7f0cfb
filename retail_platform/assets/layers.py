"""Every table an asset, from its contract and SQL alone: one multi-asset, one engine run, a layer."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg

import retail_platform
from retail_platform.build import AuditFailed, Builder, Built, PublicationStopped
from retail_platform.contracts.checks import CheckResult, checks_of
from retail_platform.contracts.lineage import column_lineage
from retail_platform.contracts.loader import LAYERS, Contracts, sql_folder
from retail_platform.contracts.model import Feed, Severity, Table
from retail_platform.contracts.months import MonthRange, parse_month
from retail_platform.engines.extraction import source_columns
from retail_platform.errors import ConfigurationError, RetailError
from retail_platform.extraction import OpenSource
from retail_platform.lake.lake import Lake
from retail_platform.recommender.report import PLATFORM, Report

BuilderOf = Callable[[dg.AssetExecutionContext], Builder]
"""Gives what builds in a step."""

DELIVERED = "delivered"
"""The group of what Firehose lays down, which Dagster shows but does not make."""

ANY_DELIVERY = "any"
"""What a table is `delivered` from that tells of all deliveries."""

SOURCE = "source"
"""The group of the OLTP tables, which Dagster shows but does not make."""

_MODEL = str(Path(retail_platform.__file__).parent / "recommender" / "model.py")
"""What trains the tables that are trained."""

ERROR_KIND = "error_kind"
"""The metadata of a failed step that names the class of its error."""


def asset_key(table: Table) -> dg.AssetKey:
    """`layer/name`."""
    return dg.AssetKey([table.layer, table.name])


def source_key(name: str) -> dg.AssetKey:
    """`source/name`, the key of a table of the OLTP database."""
    return dg.AssetKey([SOURCE, name.lower()])


def delivered_key(folder: str) -> dg.AssetKey:
    """`delivered/folder`, the key of what Firehose lays down."""
    return dg.AssetKey([DELIVERED, folder.replace("-", "_")])


def landing_key(table: Table) -> dg.AssetKey:
    """`landing/name`, the key of the files that land for a raw table."""
    return dg.AssetKey([Feed.LANDING.value, table.name])


def source_specs(contracts: Contracts) -> list[dg.AssetSpec]:
    """The OLTP tables as external assets, so that lineage begins where the data does."""
    read: dict[str, set[str]] = {}
    for table in contracts.fed_by(Feed.SOURCE):
        for sources in column_lineage(contracts, table).values():
            for source in sources:
                read.setdefault(source.table, set()).add(source.column)
    return [
        dg.AssetSpec(
            source_key(name),
            group_name=SOURCE,
            kinds={"table"},
            description=(
                f"Table {name} of the OLTP database, which is only read, never written.\n\n"
                f"Columns that `sql/raw` reads: {_code(sorted(columns))}."
            ),
        )
        for name, columns in sorted(read.items())
    ]


def layer_assets(
    builder: Builder,
    tables: Sequence[Table],
    partitions: dg.PartitionsDefinition[str],
    open_source: OpenSource,
    building: BuilderOf,
) -> dg.AssetsDefinition:
    """Tables of a layer as one subsettable multi-asset.

    Args:
        builder: What checks them.
        tables: All of `raw` that is read from the source, or all models of another layer.
        partitions: The months of the monthly tables.
        open_source: Connects to the OLTP database.
        building: Gives what builds them in a step.
    """
    contracts, layer = builder.contracts, tables[0].layer
    lineage = {table.name: lineage_of(contracts, table) for table in tables}

    @dg.multi_asset(
        name=f"{layer}_layer",
        specs=[
            table_spec(builder.lake, table, lineage[table.name], partitions) for table in tables
        ],
        check_specs=[spec for table in tables for spec in check_specs(table)],
        can_subset=True,
        # A backfill of sixty months is one run, because an engine takes them in one go.
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def build(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult | dg.AssetCheckEvaluation]:
        selected = [table for table in tables if asset_key(table) in context.selected_asset_keys]
        checks = context.selected_asset_check_keys
        try:
            if not selected:
                yield from _audited(builder, tables, checks)
                return
            months = _months(context, builder, selected)
            if layer == LAYERS[0]:
                built = building(context).extract(selected, months, open_source)
            else:
                built = building(context).build_models(selected, months)
        except AuditFailed as failed:
            yield from unpublished_checks(contracts, failed.checks, checks)
            # Here and below without the cause: it repeats the message, and its traceback helps no
            # one to mend a wrong row or a wrong password.
            raise failure(failed) from None
        except PublicationStopped as stopped:
            for one in stopped.built:
                yield _materialization(context, builder, one, lineage)
            raise failure(stopped) from None
        except RetailError as error:
            raise failure(error) from None
        for one in built:
            made = _materialization(context, builder, one, lineage)
            key = asset_key(contracts.table(one.version.table))
            if key in context.selected_asset_keys:
                yield made
            else:  # the quarantine, which monthly tables bring along
                context.log_event(dg.AssetMaterialization(key, metadata=made.metadata))

    return build


def _audited(
    builder: Builder, tables: Sequence[Table], selected: "set[dg.AssetCheckKey]"
) -> Iterator[dg.AssetCheckResult]:
    """What "Execute" of a check in the UI asks for: the published version, checked again."""
    checked = {key.asset_key for key in selected}
    results = builder.audit([table for table in tables if asset_key(table) in checked])
    for result in results:
        yield from check_results(builder.contracts, result.checks, selected)


def failure(error: RetailError) -> dg.Failure:
    """What Dagster shows; the kind of the error decides the exit code of `retail build`."""
    return dg.Failure(str(error), metadata={ERROR_KIND: type(error).__name__})


def _months(
    context: dg.AssetExecutionContext, builder: Builder, tables: Sequence[Table]
) -> MonthRange:
    """The months of the run; a run of unpartitioned tables alone has none, and needs none.

    Raises:
        ConfigurationError: They are not months that the lake may hold, or there are none.
    """
    stored = builder.stored_months
    if not _has_months(context):
        if monthly := [table.name for table in tables if table.partition]:
            raise ConfigurationError(
                f"{', '.join(monthly)} are built by month and this run names none: choose "
                "partitions, or run `retail build`, which takes all months that the source has"
            )
        return stored
    keys = context.partition_key_range
    months = MonthRange(parse_month(keys.start[:7]), parse_month(keys.end[:7]))
    if months.first not in stored or months.last not in stored:
        raise ConfigurationError(f"the months {months} are not within {stored}")
    return months


def _has_months(context: dg.AssetExecutionContext) -> bool:
    return context.has_partition_key or "dagster/asset_partition_range_start" in context.run.tags


def table_spec(
    lake: Lake,
    table: Table,
    lineage: dg.TableColumnLineage,
    partitions: dg.PartitionsDefinition[str] | None = None,
) -> dg.AssetSpec:
    """A table as an asset.

    Args:
        lake: Where it is.
        table: Its contract.
        lineage: Of its columns.
        partitions: The months, for a monthly one.
    """
    contracts = lake.contracts
    if table.delivered == Feed.LANDING:
        deps = [landing_key(landed) for landed in contracts.fed_by(Feed.LANDING)]
    elif table.delivered:
        deps = [delivered_key(table.delivered)] if table.delivered != ANY_DELIVERY else []
    elif table.feed is Feed.LANDING:
        deps = [landing_key(table)]
    elif table.layer == "raw":
        deps = [source_key(name) for name in _source_tables(contracts, table)]
    else:
        # What its checks read counts too: a backfill runs monthly and other tables apart, and a
        # fact whose dimension was not built before it fails its audit.
        read = contracts.inputs(table) | {key.table for key in table.foreign_keys}
        deps = [asset_key(contracts.table(name)) for name in sorted(read - {table.name})]
    return dg.AssetSpec(
        asset_key(table),
        deps=deps,
        description=_description(table),
        group_name=table.layer,
        skippable=True,
        kinds={_maker(table), "iceberg"},
        tags={
            "layer": table.layer,
            "grain": "month" if table.partition else "day" if table.by_day else "whole",
        },
        partitions_def=partitions if table.partition else None,
        code_version=sha256(repr(table).encode()).hexdigest()[:12],
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=table.freshness_hours)
        ),
        metadata={
            "dagster/table_name": f"{table.layer}.{table.name}",
            "dagster/uri": lake.location(table),
            "dagster/column_schema": _column_schema(table, lineage),
            "dagster/column_lineage": lineage,
            "dagster/code_references": _code_references(table),
        },
    )


def _maker(table: Table) -> str:
    """What gives its rows, as Dagster's icons know it."""
    if table.trained_from:
        return "scipy"
    return "python" if table.delivered or table.feed is Feed.LANDING else "sql"


def _source_tables(contracts: Contracts, table: Table) -> tuple[str, ...]:
    """The OLTP tables behind a raw table; the quarantine's are those of all monthly tables."""
    if not table.sql:
        return tuple(
            sorted(
                {
                    name
                    for monthly in contracts.fed_by(Feed.SOURCE)
                    if monthly.partition
                    for name in _source_tables(contracts, monthly)
                }
            )
        )
    lineage = column_lineage(contracts, table)
    return tuple(sorted({source.table for sources in lineage.values() for source in sources}))


def _description(table: Table) -> str:
    shows_sql = table.sql and table.feed is Feed.SOURCE
    sql = f"\n\n```sql\n{table.sql.strip()}\n```" if shows_sql else ""
    return f"{table.description}\n\nGrain: {table.grain}.{sql}"


def _column_schema(table: Table, lineage: dg.TableColumnLineage) -> dg.TableSchema:
    origins = lineage.deps_by_column
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                column.description + _origin(origins.get(column.name, ())),
                dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.primary_key == (column.name,)
                ),
            )
            for column in table.columns
        ]
    )


def _origin(sources: Sequence[dg.TableColumnDep]) -> str:
    """Column lineage in words: the open source UI draws none."""
    names = sorted({".".join([*dep.asset_key.path, dep.column_name]) for dep in sources})
    return f" From {_code(names)}." if names else ""


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def lineage_of(contracts: Contracts, table: Table) -> dg.TableColumnLineage:
    """Where a table's columns come from, as Dagster takes it."""
    if table.feed is Feed.LANDING:
        files = landing_key(table)
        return dg.TableColumnLineage(
            {
                column.name: [dg.TableColumnDep(asset_key=files, column_name=column.name)]
                for column in source_columns(table)
            }
        )

    def key(name: str) -> dg.AssetKey:
        return source_key(name) if table.layer == "raw" else asset_key(contracts.table(name))

    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key=key(source.table), column_name=source.column)
                for source in sources
                if source.table != table.name or table.layer == "raw"
            ]
            for column, sources in column_lineage(contracts, table).items()
        }
    )


def _code_references(table: Table) -> dg.CodeReferencesMetadataValue:
    files = [f"{table.layer}/schema.yml"] + ([table.sql_path] if table.sql else [])
    places = {file: str(sql_folder() / file) for file in files}
    if table.trained_from:
        places["recommender/model.py"] = _MODEL
    with warnings.catch_warnings():
        # Beta in Dagster, and pinned here; no user of ours can do anything about it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=path, label=label)
                for label, path in places.items()
            ]
        )


def check_specs(table: Table) -> Iterator[dg.AssetCheckSpec]:
    """The checks of a table's contract."""
    for check in checks_of(table):
        yield dg.AssetCheckSpec(
            check.name,
            asset=asset_key(table),
            description=check.description,
            # A blocking failure has already stopped the publication; the flag stops what is downstream.
            blocking=check.blocking and check.severity is Severity.ERROR,
        )


def check_results(
    contracts: Contracts, results: Sequence[CheckResult], selected: "set[dg.AssetCheckKey]"
) -> Iterator[dg.AssetCheckResult]:
    """Outcomes as Dagster takes them, of the checks that are selected."""
    for outcome in _outcomes(contracts, results, selected):
        yield dg.AssetCheckResult(**outcome)


def unpublished_checks(
    contracts: Contracts, results: Sequence[CheckResult], selected: "set[dg.AssetCheckKey]"
) -> Iterator[dg.AssetCheckEvaluation]:
    """The outcomes of checks of rows that were not published.

    From an `AssetCheckResult` of a run of one month Dagster would make an evaluation of that
    month's last materialization, and show it as "not evaluated" if another month is younger.
    """
    for outcome in _outcomes(contracts, results, selected):
        yield dg.AssetCheckEvaluation(**outcome)


def _outcomes(
    contracts: Contracts, results: Sequence[CheckResult], selected: "set[dg.AssetCheckKey]"
) -> Iterator[dict[str, Any]]:
    for result in results:
        key = dg.AssetCheckKey(asset_key(contracts.table(result.table)), result.check.name)
        if key in selected:
            yield {
                "passed": result.passed,
                "asset_key": key.asset_key,
                "check_name": key.name,
                "severity": dg.AssetCheckSeverity[result.check.severity.name],
                "description": _finding(result),
                "metadata": {
                    "failing_rows": result.failing_rows,
                    **{name: round(figure, 4) for name, figure in result.figures.items()},
                    **_evidence(result),
                },
            }


def _evidence(result: CheckResult) -> dict[str, dg.MetadataValue[Any]]:
    return {"comparison": dg.MetadataValue.md(result.evidence)} if result.evidence else {}


def _finding(result: CheckResult) -> str | None:
    """What was found; of a check that passed nothing but its rule, which the UI shows anyway."""
    return result.detail or (None if result.passed else result.check.description)


def _shown(value: str) -> dg.MetadataValue[Any]:
    return (dg.MetadataValue.url if value.startswith("https://") else dg.MetadataValue.text)(value)


def _trained(table: Table, report: Report) -> dict[str, Any]:
    """What is known of a training; the UI draws its numbers over time."""
    training = report.training
    metadata: dict[str, Any] = {
        "model_version": report.model_version,
        "method": f"{training.method}: {training.reason}",
        "as_of": str(training.as_of),
        "lines": training.lines,
        "customers": training.customers,
        "products": training.products,
        "train_seconds": round(training.seconds, 3),
    }
    if table.gates and report.comparison:
        for result in report.comparison.results:
            if result.method == PLATFORM:
                metadata[f"{result.protocol} recall@10"] = round(result.recall_at_10, 4)
                metadata[f"{result.protocol} coverage@10"] = round(result.coverage_at_10, 4)
                metadata[f"{result.protocol} MRR"] = round(result.mrr, 4)
        metadata["comparison"] = dg.MetadataValue.md(report.comparison.markdown())
    return metadata


def _materialization(
    context: dg.AssetExecutionContext,
    builder: Builder,
    built: Built,
    lineage: Mapping[str, dg.TableColumnLineage],
) -> dg.MaterializeResult[None]:
    version, result = built.version, built.result
    table = builder.contracts.table(result.table)
    if built.months and "rows" in table.measures:
        for month in built.months:
            rows = result.measures.get(f"{month:%Y-%m}", {}).get("rows", 0)
            context.add_asset_metadata(
                {"dagster/partition_row_count": int(rows)},
                asset_key(table),
                partition_key=month.isoformat(),
            )
    metadata: dict[str, Any] = {
        "dagster/row_count": version.row_count,
        "dagster/uri": builder.lake.location(table),
        "dagster/column_lineage": lineage[table.name],
        "snapshot_id": str(version.snapshot_id),
        "input_snapshots": {name: str(number) for name, number in version.inputs.items()},
        "months": str(built.months) if built.months else "all",
        "rows_written": result.row_count,
        "bytes_written": result.byte_count,
        "files_written": len(result.files),
        "engine_seconds": round(result.seconds, 3),
        **{name: _shown(value) for name, value in result.origin.items()},
        **(_trained(table, result.report) if result.report else {}),
    }
    checks = context.selected_asset_check_keys
    return dg.MaterializeResult(
        asset_key=asset_key(table),
        metadata=metadata,
        data_version=dg.DataVersion(str(version.snapshot_id)),
        check_results=list(check_results(builder.contracts, result.checks, checks)),
    )
