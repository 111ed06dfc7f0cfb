"""Builds a layer: plan, run, audit, publish. The whole of it, without Dagster.

All tables of the run are written and audited before the first of them is committed. Then each is
one atomic commit, dimensions before facts. A run that fails or is killed publishes nothing more;
what it had written is deleted, or left for `retail vacuum`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from filelock import FileLock, Timeout

from retail_platform.contracts.checks import (
    READS_EVERY_COLUMN,
    CheckResult,
    check_of,
)
from retail_platform.contracts.loader import QUARANTINE, Contracts
from retail_platform.contracts.model import Severity, Table
from retail_platform.contracts.months import MonthRange, month_start
from retail_platform.contracts.sql import referenced_tables
from retail_platform.engines.protocol import (
    DataFile,
    Engine,
    InputTable,
    Measures,
    OutputTable,
    RunRequest,
    SourceRead,
    TableResult,
)
from retail_platform.errors import AuditError, ConfigurationError, LakeError
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.lake.schema import SchemaPlan
from retail_platform.reconciliation import reconcile, reconcile_quarantine, within
from retail_platform.sources.database import Source
from retail_platform.sources.query import SourceQuery

log = logging.getLogger(__name__)

_SOURCE_TRIES = 3
_LOCK_SECONDS = 600


OpenSource = Callable[[], AbstractContextManager[Source]]
"""Connects to the OLTP database for the time of a `with`."""


@dataclass(frozen=True)
class Built:
    """A table that a run has published.

    Attributes:
        version: The snapshot that readers now see.
        result: What the engine wrote, with the outcomes of all checks.
        months: The months that were replaced; None for the whole table.
    """

    version: Version
    result: TableResult
    months: MonthRange | None


class AuditFailed(AuditError):
    """The audit of a layer failed; nothing was published.

    Attributes:
        checks: The outcomes of all checks of all tables.
    """

    def __init__(self, checks: Sequence[CheckResult]) -> None:
        """Composes the message from the checks that block."""
        self.checks = tuple(checks)
        lines = [
            f"{result.table}.{result.check.name}: {result.check.description}: {result.detail}"
            for result in checks
            if result.blocks
        ]
        super().__init__(
            "the audit failed, nothing was published, readers keep the last version\n"
            + "\n".join(lines)
        )


@dataclass(frozen=True)
class Builder:
    """Builds the tables of a lake with an engine.

    Attributes:
        contracts: What can be built.
        lake: Where it is published.
        engine: What runs the SQL.
        first_month: The first month that monthly tables may hold; the last is the running one.
    """

    contracts: Contracts
    lake: Lake
    engine: Engine
    first_month: date

    @property
    def stored_months(self) -> MonthRange:
        """The months that monthly tables may hold."""
        return MonthRange(self.first_month, month_start(datetime.now(UTC).date()))

    def build_models(self, tables: Sequence[Table], months: MonthRange) -> list[Built]:
        """Builds tables of one layer from tables of the lake.

        Args:
            tables: In building order.
            months: The months of the monthly tables among them that are replaced.

        Raises:
            AuditFailed: A blocking check failed; nothing was published.
            ConfigurationError: A contract changed and `months` leaves some of the table out.
            LakeError: An input was never built, or a commit failed.
            EngineError: A model failed.
        """
        with self._exclusively(tables):
            pinned = self._pin(tables)
            plans = self._plans(tables, months)
            outputs = [self._output(table, plans[table.name], months, pinned) for table in tables]
            with self._discarding_on_failure(outputs):
                written = self.engine.run(RunRequest(tuple(outputs), self._references(tables)))
                results = [self._reconciled_model(result, months, pinned) for result in written]
                _audit(results)
                return self._publish(tables, results, plans, months, pinned)

    def extract(
        self, tables: Sequence[Table], months: MonthRange, open_: OpenSource
    ) -> list[Built]:
        """Copies tables of the source into the raw layer.

        The source's totals are taken before and after the read. Equal totals must match what was
        read exactly. If they moved, it is read again, and after three tries both are reported.

        Args:
            tables: Raw tables, children before parents.
            months: The months of the monthly tables among them that are replaced.
            open_: Connects to the source.

        Raises:
            SourceError: The source cannot be read or does not fit the contracts.
            AuditFailed, ConfigurationError, LakeError: As in `build_models`.
        """
        with self._exclusively(tables), open_() as source:
            monthly = [table for table in self.contracts.layer("raw") if table.partition]
            extraction = _Extraction(source, tables, monthly, months, self.stored_months)
            plans = self._plans(tables, months)
            written: list[OutputTable] = []
            with self._discarding_on_failure(written):
                results, totals = self._read_until_still(extraction, plans, written)
                _audit(results)
                return self._publish(tables, results, plans, months, {}, totals)

    def audit(self, tables: Sequence[Table]) -> list[TableResult]:
        """Checks the published versions of tables again, from their files, and builds nothing.

        Raw tables are compared with the source's totals as of their last extraction, every other
        table with what the raw tables hold now.

        Raises:
            LakeError: A table was never built.
        """
        versions = {table.name: self._version(table.name) for table in tables}
        shown = {table.name for table in tables} | {
            name for table in tables for name in self._compared_with(table)
        }
        results = self.engine.audit(
            [InputTable(table, self.lake.files(table.name)) for table in tables],
            [
                InputTable(self.contracts.table(name), self.lake.files(name))
                for name in sorted(shown - set(versions))
            ],
        )
        found = {result.table: result for result in results}
        return [self._reconciled_version(versions[name], found) for name in versions]

    # Planning

    @contextmanager
    def _exclusively(self, tables: Sequence[Table]) -> Iterator[None]:
        """One build of a layer at a time; the kernel frees the lock of a killed one."""
        layer = tables[0].layer
        self.lake.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lake.folder / f"{layer}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            log.warning("another build of %s is running; waiting for it", layer)
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout:
                raise LakeError(
                    f"another build of {layer} has been running for {_LOCK_SECONDS} s; "
                    "wait for it or stop it, then build again"
                ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _discarding_on_failure(self, outputs: Sequence[OutputTable]) -> Iterator[None]:
        """Deletes what was written if it is not published: no snapshot names it yet."""
        try:
            yield
        except BaseException:
            published = {
                file.uri for output in outputs for file in self.lake.files(output.contract.name)
            }
            self.lake.discard(
                [
                    output.location
                    for output in outputs
                    if not any(file.startswith(output.location) for file in published)
                ]
            )
            raise

    def _plans(self, tables: Sequence[Table], months: MonthRange) -> dict[str, SchemaPlan]:
        plans = {table.name: self.lake.plan(table) for table in tables}
        for table in tables:
            changes = plans[table.name].changes
            if changes and table.partition and not self._covers(table, months):
                raise ConfigurationError(
                    f"the contract of {table.name} changed ({'; '.join(changes)}) and the months "
                    f"{months} are only a part of it: run `retail build {table.name}`"
                )
        return plans

    def _covers(self, table: Table, months: MonthRange) -> bool:
        """Whether the run replaces every month that the table holds."""
        version = self.lake.version(table.name)
        held = version.measures if version else {}
        return all(date.fromisoformat(f"{month}-01") in months for month in held)

    def _version(self, name: str) -> Version:
        version = self.lake.version(name)
        if version is None:
            table = self.contracts.table(name)
            raise LakeError(
                f"{table.layer}.{name} was never built: run `retail build {name}` first"
            )
        return version

    def _pin(self, tables: Sequence[Table]) -> dict[str, Version]:
        """The versions of all inputs that the run reads; they stay these to its end."""
        written = {table.name for table in tables}
        pinned = {}
        for table in tables:
            for name in self.contracts.inputs(table):
                if name in written:
                    if version := self.lake.version(name):
                        pinned[name] = version
                elif name not in pinned:
                    pinned[name] = self._version(name)
        return pinned

    def _output(
        self,
        table: Table,
        plan: SchemaPlan,
        months: MonthRange,
        pinned: dict[str, Version] | None = None,
        reads: tuple[SourceRead, ...] | None = None,
    ) -> OutputTable:
        inputs = self.contracts.inputs(table) if reads is None else set()
        return OutputTable(
            contract=table,
            location=self.lake.new_location(table),
            field_ids=plan.field_ids,
            months=months if table.partition else None,
            inputs=tuple(
                self._input(table, name, months, (pinned or {}).get(name))
                for name in sorted(inputs)
            ),
            retained=self._retained(table, months),
            reads=reads,
        )

    def _input(
        self, reader: Table, name: str, months: MonthRange, version: Version | None
    ) -> InputTable:
        contract = self.contracts.table(name)
        if version is None:
            return InputTable(contract, ())
        pruned = months if reader.partition and contract.partition else None
        return InputTable(contract, self.lake.files(name, pruned, version.snapshot_id))

    def _retained(self, table: Table, months: MonthRange) -> tuple[DataFile, ...]:
        if not table.partition:
            return ()
        files = self.lake.files(table.name)
        return tuple(file for file in files if file.month and file.month not in months)

    def _compared_with(self, table: Table) -> set[str]:
        """The other tables that the checks of `table` read."""
        read = {key.table for key in table.foreign_keys}
        for rule in table.rules:
            read |= {self.contracts.table(name).name for name in referenced_tables(rule.sql)}
        return read - {table.name}

    def _references(self, tables: Sequence[Table]) -> tuple[InputTable, ...]:
        written = {table.name for table in tables}
        compared = {name for table in tables for name in self._compared_with(table)} - written
        return tuple(
            InputTable(self.contracts.table(name), self.lake.files(name))
            for name in sorted(compared)
        )

    # Reading the source

    def _read_until_still(
        self,
        extraction: "_Extraction",
        plans: dict[str, SchemaPlan],
        written: list[OutputTable],
    ) -> tuple[list[TableResult], dict[str, Measures]]:
        """Reads the tables, and those again whose totals moved meanwhile."""
        results: dict[str, TableResult] = {}
        moving = list(extraction.tables)
        log.info("asking the source for its totals")
        before = extraction.totals(moving)
        for attempt in range(1, _SOURCE_TRIES + 1):
            outputs = [
                self._output(
                    table, plans[table.name], extraction.months, reads=extraction.reads(table)
                )
                for table in moving
            ]
            written.extend(outputs)
            references = self._references_beside(extraction.tables, moving, results)
            run = self.engine.run(RunRequest(tuple(outputs), references), extraction.source)
            results.update({result.table: result for result in run})
            after = extraction.totals(extraction.tables)
            moving = [
                table for table in extraction.tables if before.get(table.name) != after[table.name]
            ]
            if not moving or attempt == _SOURCE_TRIES:
                break
            moving += [table for table in extraction.tables if table.name == QUARANTINE]
            log.warning(
                "the source changed while %s was read; reading again",
                ", ".join(table.name for table in moving),
            )
            before = after
        moved = {table.name for table in moving}
        ordered = [results[table.name] for table in extraction.tables]
        return [
            self._reconciled_extract(
                result, results, extraction, before, after, result.table in moved
            )
            for result in ordered
        ], after

    def _references_beside(
        self, tables: Sequence[Table], moving: Sequence[Table], results: dict[str, TableResult]
    ) -> tuple[InputTable, ...]:
        """What checks read: tables that an earlier try has read, and published ones."""
        rewritten = {table.name for table in moving}
        kept = tuple(
            InputTable(table, results[table.name].files)
            for table in tables
            if table.name in results and table.name not in rewritten
        )
        return kept + self._references(tables)

    # Reconciling

    def _found(self, table: Table, fresh: Measures, months: MonthRange) -> Measures:
        """The measures of the whole new version: the run's months, and those it leaves alone."""
        version = self.lake.version(table.name)
        if not table.partition or version is None:
            return fresh
        kept = {
            month: row
            for month, row in version.measures.items()
            if date.fromisoformat(f"{month}-01") not in months
        }
        return kept | fresh

    def _reconciled_extract(
        self,
        result: TableResult,
        results: dict[str, TableResult],
        extraction: "_Extraction",
        before: dict[str, Measures],
        after: dict[str, Measures],
        moved: bool,
    ) -> TableResult:
        table = self.contracts.table(result.table)
        if table.name == QUARANTINE:
            return result
        checks = (*result.checks, extraction.reads_every_column(table))
        found = self._found(table, result.measures, extraction.months)
        expected = after[table.name]
        if table.partition:
            expected = within(expected, self.stored_months)
        compared = reconcile(table, expected, found, extraction.months, "the source")
        quarantine = results.get(QUARANTINE)
        if table.partition and quarantine is not None:
            complaints = reconcile_quarantine(
                after[table.name],
                int(quarantine.measures[""][table.name]),
                self.stored_months,
                table,
            )
            compared[0] = replace(
                compared[0],
                failing_rows=compared[0].failing_rows + len(complaints),
                detail="; ".join(filter(None, [compared[0].detail, *complaints])),
            )
        if moved:
            compared = [
                _as_warning(result_, before[table.name], after[table.name]) for result_ in compared
            ]
        return replace(result, checks=checks + tuple(compared))

    def _reconciled_model(
        self,
        result: TableResult,
        months: MonthRange,
        pinned: dict[str, Version],
    ) -> TableResult:
        table = self.contracts.table(result.table)
        if not table.reconciles_with:
            return result
        counterpart = pinned.get(table.reconciles_with) or self._version(table.reconciles_with)
        found = self._found(table, result.measures, months)
        checks = reconcile(table, counterpart.measures, found, months, counterpart.table)
        return replace(result, checks=(*result.checks, *checks))

    def _reconciled_version(self, version: Version, found: dict[str, TableResult]) -> TableResult:
        result = found[version.table]
        table = self.contracts.table(version.table)
        if table.reconciles_with:
            expected, counterpart = (
                self._version(table.reconciles_with).measures,
                table.reconciles_with,
            )
        elif version.source_totals and table.name != QUARANTINE:
            expected, counterpart = version.source_totals, "the source"
            if table.partition:
                expected = within(expected, self.stored_months)
        else:
            return result
        checks = reconcile(table, expected, result.measures, None, counterpart)
        return replace(result, checks=(*result.checks, *checks))

    # Publishing

    def _publish(
        self,
        tables: Sequence[Table],
        results: Sequence[TableResult],
        plans: dict[str, SchemaPlan],
        months: MonthRange,
        pinned: dict[str, Version],
        source_totals: dict[str, Measures] | None = None,
    ) -> list[Built]:
        log.info("publishing")
        built: list[Built] = []
        versions = dict(pinned)
        for table, result in zip(tables, results, strict=True):
            replaced = months if table.partition else None
            version = self.lake.publish(
                Publication(
                    table=table,
                    plan=plans[table.name],
                    files=result.files,
                    # A schema that changed leaves nothing of the old one behind.
                    months=None if plans[table.name].changes else replaced,
                    measures=result.measures,
                    inputs={
                        name: versions[name].snapshot_id
                        for name in sorted(self.contracts.inputs(table))
                        if name in versions
                    },
                    source_totals=(source_totals or {}).get(table.name),
                )
            )
            versions[table.name] = version
            built.append(Built(version, result, replaced))
        return built


class _Extraction:
    """What one run asks of the source."""

    def __init__(
        self,
        source: Source,
        tables: Sequence[Table],
        monthly: Sequence[Table],
        months: MonthRange,
        stored: MonthRange,
    ) -> None:
        self.source = source
        self.tables = tuple(tables)
        self.months = months
        self._stored = stored
        self._monthly = tuple(monthly)
        asked = {table.name: table for table in tables}
        if asked.pop(QUARANTINE, None):
            asked |= {table.name: table for table in monthly}
        self._queries: dict[str, SourceQuery] = {}
        for table in asked.values():
            if (query := source.prepare(table)) is not None:
                self._queries[table.name] = query

    def reads(self, table: Table) -> tuple[SourceRead, ...]:
        """The statements whose rows make `table`; none for an optional table that is absent."""
        if table.name == QUARANTINE:
            return tuple(
                SourceRead(
                    table,
                    self._queries[table.name].quarantined(self._stored.first, self._stored.end),
                )
                for table in self._monthly
                if table.name in self._queries
            )
        query = self._queries.get(table.name)
        if query is None:
            return ()
        return (SourceRead(table, query.rows(self.months if table.partition else None)),)

    def totals(self, tables: Sequence[Table]) -> dict[str, Measures]:
        """The source's own measures, of all its months."""
        return {
            table.name: self.source.totals(self._queries[table.name])
            if table.name in self._queries
            else {}
            for table in tables
        }

    def reads_every_column(self, table: Table) -> CheckResult:
        """Warns of columns of the source that the query leaves out."""
        query = self._queries.get(table.name)
        unread = query.unread_columns if query else ()
        detail = (
            f"sql/{table.sql_path} does not read {', '.join(unread)}; add them there and to "
            "sql/raw/schema.yml, or leave them out knowingly"
        )
        return check_of(table, READS_EVERY_COLUMN).result(
            table.name, len(unread), detail if unread else ""
        )


def _as_warning(result: CheckResult, before: Measures, after: Measures) -> CheckResult:
    """The source kept changing: no exact answer exists, so both its totals are only reported."""
    moved = [month for month in sorted(before | after) if before.get(month) != after.get(month)]
    changes = "; ".join(
        f"{month or 'all'}: {_change(before.get(month, {}), after.get(month, {}))}"
        for month in moved[:3]
    )
    told = f"the source kept changing during {_SOURCE_TRIES} reads, at last {changes}"
    return replace(
        result,
        check=replace(result.check, severity=Severity.WARN),
        failing_rows=max(result.failing_rows, 1),
        detail="; ".join(filter(None, [result.detail, told])),
    )


def _change(before: dict[str, Decimal], after: dict[str, Decimal]) -> str:
    return ", ".join(
        f"{name} from {before.get(name, 0)} to {after.get(name, 0)}"
        for name in after | before
        if before.get(name) != after.get(name)
    )


def _audit(results: Sequence[TableResult]) -> None:
    """Raises `AuditFailed` if any check of any table blocks publication."""
    checks = [check for result in results for check in result.checks]
    if any(check.blocks for check in checks):
        raise AuditFailed(checks)
