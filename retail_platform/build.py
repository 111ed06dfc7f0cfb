"""Builds a layer: plan, run, audit, publish. The whole of it, without Dagster.

All tables of the run are written and audited before the first of them is committed. Then each is
one atomic commit, dimensions before facts. A run that fails or is killed publishes nothing more;
what it had written is deleted, or left for `retail vacuum`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from retail_platform.contracts.checks import (
    FEEDS,
    READS_EVERY_COLUMN,
    CheckResult,
    check_of,
    failing_rows,
    qualified,
)
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import QUARANTINE, Feed, Table
from retail_platform.contracts.months import MonthRange, month_start
from retail_platform.contracts.sql import referenced_tables
from retail_platform.engines.protocol import (
    Audit,
    Auditor,
    DataFile,
    Engine,
    InputTable,
    Measures,
    OutputTable,
    RowReader,
    RunRequest,
    SourceRead,
    TableResult,
)
from retail_platform.errors import AuditError, ConfigurationError, LakeError, RetailError
from retail_platform.extraction import Extraction, OpenSource
from retail_platform.lake.lake import Lake, Publication, Version
from retail_platform.lake.schema import SchemaPlan
from retail_platform.recommender import gates
from retail_platform.reconciliation import (
    as_warning,
    reconcile,
    reconcile_with_source,
    told_as_moving,
)

log = logging.getLogger(__name__)

_SOURCE_TRIES = 3


@dataclass(frozen=True)
class Built:
    """A table that a run has published.

    Attributes:
        version: The snapshot that readers now see.
        result: What the engine wrote, with the outcomes of all checks.
        months: The months that were built; None for the whole table.
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


class PublicationStopped(LakeError):
    """A table could not be committed after others of its layer had been.

    Attributes:
        built: Those others, which readers see.
    """

    def __init__(self, error: LakeError, built: Sequence[Built]) -> None:
        """Says what is published and what is not."""
        self.built = tuple(built)
        before = ", ".join(one.version.table for one in built) or "nothing"
        super().__init__(f"{error}; published before it: {before}")


@dataclass(frozen=True)
class _Run:
    """What one run is about to do, settled before anything is written.

    Attributes:
        tables: In building order.
        months: The months of the monthly tables among them that it builds.
        stored: The months that the lake may hold, as of the start of the run.
        schemas: The schema of each table's next version.
        replaced: The months of each table that the new version replaces; None for all it has.
        pinned: The versions of its inputs, which stay these to the end of the run.
    """

    tables: tuple[Table, ...]
    months: MonthRange
    stored: MonthRange
    schemas: Mapping[str, SchemaPlan]
    replaced: Mapping[str, MonthRange | None]
    pinned: Mapping[str, Version] = field(default_factory=dict)

    def months_of(self, table: Table) -> MonthRange | None:
        """The months of `table` that are built; None where it is not monthly."""
        return self.months if table.partition else None


@dataclass(frozen=True)
class Landed:
    """Rows that take the place of those of a raw table that have the same keys.

    Attributes:
        table: The raw table.
        files: They, each key once, in the contract's columns; where it is monthly, each file of one
            month.
        totals: What the whole table has to measure with them in it.
        months: Where the table is monthly: from the first to the last month that they are of, or
            that rows are of whose place they take; None without any.
        unread: Columns of what has landed that the contract does not have.
    """

    table: Table
    files: tuple[DataFile, ...]
    totals: Measures
    months: MonthRange | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Read:
    """What was read of the source.

    Attributes:
        results: The tables, checked and reconciled.
        totals: The source's own measures, taken last.
        moved: The tables that never stood still.
    """

    results: Sequence[TableResult]
    totals: Mapping[str, Measures]
    moved: set[str]


@dataclass(frozen=True)
class Builder:
    """Builds the tables of a lake with an engine.

    Attributes:
        contracts: What can be built.
        lake: Where it is published.
        auditor: What checks it once it is published.
        engine: What runs the SQL; None where only a Dagster run can start it.
        first_month: The first month that monthly tables may hold; the last is the running one.
    """

    contracts: Contracts
    lake: Lake
    auditor: Auditor
    engine: Engine | None
    first_month: date

    @property
    def _running(self) -> Engine:
        if self.engine is None:
            raise ConfigurationError("builds are Dagster runs here: run `retail build`")
        return self.engine

    @property
    def stored_months(self) -> MonthRange:
        """The months that monthly tables may hold, as of now."""
        return MonthRange(self.first_month, month_start(datetime.now(UTC).date()))

    def build_models(self, tables: Sequence[Table], months: MonthRange) -> list[Built]:
        """Builds tables of one layer from tables of the lake.

        Args:
            tables: In building order. A trained one brings along the others of its training, because
                vectors of different trainings must never be mixed.
            months: The months of the monthly tables among them that are replaced.

        Raises:
            AuditFailed: A blocking check failed; nothing was published.
            ConfigurationError: A contract changed and `months` leaves some of the table out, or
                an input was built under another contract than it has now.
            LakeError: An input was never built, or a commit failed.
            EngineError: A model failed.
            TrainingError: There are no sales to train from.
        """
        tables = self._with_trained(tables)
        with self.lake.exclusively():
            run = replace(self._plan(tables, months), pinned=self._pin(tables))
            outputs = [self._output(run, table) for table in tables]
            with self._discarding_on_failure(outputs):
                written = self._run(RunRequest(tuple(outputs), self._references(tables)))
                results = [self._reconciled_model(run, result) for result in written]
                _audit(results)
                return self._publish(run, results)

    def extract(
        self, tables: Sequence[Table], months: MonthRange, open_: OpenSource
    ) -> list[Built]:
        """Copies tables of the source into the raw layer.

        The source's totals are taken before and after the read. Equal totals must match what was
        read exactly. If they moved, it is read again, and after three tries both are reported.

        Args:
            tables: Raw tables, children before parents. Monthly ones bring the quarantine along:
                the rows that belong to no month are the other half of what they reconcile with.
            months: The months of the monthly tables among them that are replaced.
            open_: Connects to the source.

        Raises:
            SourceError: The source cannot be read, does not fit the contracts, or is empty.
            AuditFailed, ConfigurationError, LakeError: As in `build_models`.
        """
        with self.lake.exclusively(), open_() as source:
            run = self._plan(self._with_quarantine(tables), months)
            extraction = Extraction(
                source,
                self.contracts,
                run.tables,
                run.months,
                run.stored,
                self._running.source_connections,
            )
            written: list[OutputTable] = []
            with self._discarding_on_failure(written):
                read = self._read_until_still(run, extraction, written)
                _audit(read.results)
                return self._publish(run, read.results, read)

    def merge(self, landed: Sequence[Landed]) -> list[Built]:
        """Merges what has landed into the raw layer; the caller is the lake's only writer.

        Raises:
            AuditFailed, ConfigurationError, LakeError, EngineError: As in `build_models`.
        """
        by_table = {one.table.name: one for one in landed}
        tables = [table for table in self.contracts.layer("raw") if table.name in by_table]
        run = self._plan(tables, self._merged_months(landed))
        run = replace(run, pinned={t.name: v for t in tables if (v := self.lake.version(t.name))})
        outputs = [self._merged_output(run, by_table[table.name]) for table in tables]
        with self._discarding_on_failure(outputs):
            written = self._run(RunRequest(tuple(outputs), self._references(tables)))
            results = [self._reconciled_landing(run, r, by_table[r.table]) for r in written]
            _audit(results)
            totals = {name: one.totals for name, one in by_table.items()}
            return self._publish(run, results, _Read(results, totals, set()))

    def audit(self, tables: Sequence[Table]) -> list[Audit]:
        """Checks the published versions of tables again, from their files, and builds nothing.

        Raw tables are compared with their feed's totals as of when they were last read, every other
        table with what the raw tables hold now.

        Raises:
            LakeError: A table was never built.
            ConfigurationError: A table was built under another contract than it has now.
        """
        # All taken at one moment, before any file is read, which a build meanwhile may replace.
        versions = {
            name: version
            for name in self.contracts.tables
            if (version := self.lake.version(name)) is not None
        }
        for table in tables:
            if table.name not in versions:
                raise never_built(table)
            self._require_known(table)
        asked = {table.name for table in tables}
        compared = {name for table in tables for name in self._compared_with(table)} - asked
        results = self.auditor.audit(
            [self._version_as_input(table, versions.get(table.name)) for table in tables],
            [
                self._version_as_input(self.contracts.table(name), versions.get(name))
                for name in sorted(compared)
            ],
        )
        return [self._reconciled_version(versions, result) for result in results]

    # Running

    def _run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        # An engine may end what is still at work on the lake: only its present writer may let it.
        self.lake.storage.require_held()
        return self._running.run(request, source)

    @contextmanager
    def _discarding_on_failure(self, outputs: Sequence[OutputTable]) -> Iterator[None]:
        """Deletes what was written if it is not published: no snapshot names it yet."""
        try:
            yield
        except BaseException:
            try:
                self._discard_unpublished(outputs)
            except RetailError as error:  # why the build failed matters more
                log.warning("what was written is left for `retail vacuum`: %s", error)
            raise

    def _discard_unpublished(self, outputs: Sequence[OutputTable]) -> None:
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

    # Planning

    def _plan(self, tables: Sequence[Table], months: MonthRange) -> _Run:
        stored = self.stored_months
        schemas = {table.name: self.lake.plan(table) for table in tables}
        replaced: dict[str, MonthRange | None] = {}
        for table in tables:
            leaves_some = any(
                month in stored and month not in months for month in self._held(table)
            )
            if leaves_some and schemas[table.name].changes:
                raise ConfigurationError(
                    f"the contract of {table.name} changed "
                    f"({'; '.join(schemas[table.name].changes)}) and the months {months} are only "
                    f"a part of it: run `retail build {table.name}`"
                )
            replaced[table.name] = months if leaves_some else None
        return _Run(tuple(tables), months, stored, schemas, replaced)

    def _with_quarantine(self, tables: Sequence[Table]) -> list[Table]:
        monthly = any(table.partition for table in tables)
        missing = QUARANTINE not in {table.name for table in tables}
        return [*tables, *([self.contracts.table(QUARANTINE)] if monthly and missing else [])]

    def _with_trained(self, tables: Sequence[Table]) -> list[Table]:
        asked = {table.name for table in tables}
        layers = {table.layer for table in tables if table.trained_from}
        trained = {
            t.name for layer in layers for t in self.contracts.layer(layer) if t.trained_from
        }
        missing = [self.contracts.table(name) for name in sorted(trained - asked)]
        return [*tables, *missing]

    def _held(self, table: Table) -> set[date]:
        """The months that a monthly table has, or that it has stored otherwise so far."""
        if table.partition is None:
            return set()
        files = self.lake.files(table.name)
        if any(file.month is None for file in files):
            # Stored as a whole so far: its months are those of what it is made from, or beside.
            beside = {other.name for other in self.contracts.layer("raw") if other.partition}
            made_from = self.contracts.inputs(table) if table.layer != "raw" else beside
            return {month for name in made_from for month in self.lake.months(name)}
        return {file.month for file in files if file.month}

    def _version(self, name: str) -> Version:
        version = self.lake.version(name)
        if version is None:
            raise never_built(self.contracts.table(name))
        return version

    def _pin(self, tables: Sequence[Table]) -> dict[str, Version]:
        """The versions of all inputs that the run reads."""
        written = {table.name for table in tables}
        pinned = {}
        for table in tables:
            for name in self.contracts.reads(table):
                if name in written:
                    if version := self.lake.version(name):
                        pinned[name] = version
                elif name not in pinned:
                    pinned[name] = self._version(name)
                    self._require_known(self.contracts.table(name))
        return pinned

    def _require_known(self, table: Table) -> None:
        """Refuses a table whose files lack columns of its contract: they would read as NULL."""
        plan = self.lake.plan(table)
        if plan.fresh:
            raise ConfigurationError(
                f"the contract of {table.name} changed since it was built "
                f"({'; '.join(plan.changes)}): run `retail build {table.name}` first"
            )

    def _output(
        self, run: _Run, table: Table, reads: tuple[SourceRead, ...] | None = None
    ) -> OutputTable:
        inputs = self.contracts.reads(table) if reads is None else set()
        return OutputTable(
            contract=table,
            location=self.lake.new_location(table),
            field_ids=run.schemas[table.name].field_ids,
            months=run.months_of(table),
            inputs=tuple(self._input(run, table, name) for name in sorted(inputs)),
            retained=self._retained(run, table),
            reads=reads,
        )

    def _merged_months(self, landed: Sequence[Landed]) -> MonthRange:
        """The months that a merge writes anew: all where a contract changed."""
        stored = self.stored_months
        months = [one.months for one in landed if one.months]
        if any(self.lake.plan(one.table).changes for one in landed) or not months:
            return stored
        return MonthRange(min(m.first for m in months), max(m.last for m in months))

    def _merged_output(self, run: _Run, landed: Landed) -> OutputTable:
        table = landed.table
        rows = landed_rows(table)
        keys = replace(rows, name=f"landed_{table.name}_keys")
        merged = replace(table, sql=_merge_sql(table, rows, keys))
        return OutputTable(
            contract=merged,
            location=self.lake.new_location(table),
            field_ids=run.schemas[table.name].field_ids,
            months=run.months_of(table),
            inputs=(
                self._input(run, table, table.name),
                InputTable(rows, landed.files),
                # Of no month: a row whose date was corrected leaves another month than it comes to.
                InputTable(keys, tuple(DataFile(file.uri) for file in landed.files)),
            ),
            retained=self._retained(run, table),
        )

    def _input(self, run: _Run, reader: Table, name: str) -> InputTable:
        contract = self.contracts.table(name)
        pruned = run.months if reader.partition and contract.partition else None
        return self._version_as_input(contract, run.pinned.get(name), pruned)

    def _version_as_input(
        self, table: Table, version: Version | None, months: MonthRange | None = None
    ) -> InputTable:
        if version is None:
            return InputTable(table, ())
        files = self.lake.files(table.name, months, version.snapshot_id)
        return InputTable(table, files, self.lake.plan(table).fresh, version.snapshot_id)

    def _retained(self, run: _Run, table: Table) -> tuple[DataFile, ...]:
        replaced = run.replaced[table.name]
        if replaced is None:
            return ()
        files = self.lake.files(table.name)
        return tuple(file for file in files if file.month and file.month not in replaced)

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
            self._version_as_input(self.contracts.table(name), self.lake.version(name))
            for name in sorted(compared)
        )

    # Reading the source

    def _read_until_still(
        self, run: _Run, extraction: Extraction, written: list[OutputTable]
    ) -> _Read:
        """Reads the tables, and those again whose totals moved meanwhile."""
        results: dict[str, TableResult] = {}
        moving = list(run.tables)
        log.info("asking the source for its totals")
        before = extraction.totals()
        extraction.require_rows(before)
        for attempt in range(1, _SOURCE_TRIES + 1):
            outputs = [
                self._output(run, table, extraction.reads(table, before[table.name]))
                for table in moving
            ]
            written.extend(outputs)
            references = self._references_beside(run.tables, moving, results)
            read = self._run(RunRequest(tuple(outputs), references), extraction.source)
            results.update({result.table: result for result in read})
            after = extraction.totals()
            moving = [table for table in run.tables if before[table.name] != after[table.name]]
            if not moving or attempt == _SOURCE_TRIES:
                break
            log.warning(
                "the source changed while %s was read; reading again",
                ", ".join(table.name for table in moving),
            )
            moving += [table for table in run.tables if table.name == QUARANTINE]
            before = after
        moved = {table.name for table in moving}
        compared = [
            self._reconciled_extract(run, results[table.name], results, extraction, after)
            for table in run.tables
        ]
        told = [
            told_as_moving(result, before[result.table], after[result.table], _SOURCE_TRIES)
            if result.table in moved
            else result
            for result in compared
        ]
        return _Read(told, after, moved)

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

    def _found(self, run: _Run, table: Table, fresh: Measures) -> Measures:
        """The measures of the whole new version: the run's months, and those it leaves alone."""
        replaced = run.replaced[table.name]
        version = self.lake.version(table.name)
        if replaced is None or version is None:
            return fresh
        kept = {
            month: row
            for month, row in version.measures.items()
            if date.fromisoformat(f"{month}-01") not in replaced
        }
        return kept | fresh

    def _reconciled_extract(
        self,
        run: _Run,
        result: TableResult,
        results: Mapping[str, TableResult],
        extraction: Extraction,
        totals: Mapping[str, Measures],
    ) -> TableResult:
        table = self.contracts.table(result.table)
        if table.name == QUARANTINE:
            return result
        found = self._found(run, table, result.measures)
        if fresh := results.get(QUARANTINE):
            quarantine = fresh.measures
        else:
            version = self.lake.version(QUARANTINE)
            quarantine = version.measures if version else {}
        checks = reconcile_with_source(
            table, totals[table.name], found, quarantine, run.months, run.stored
        )
        return replace(
            result, checks=(*result.checks, extraction.reads_every_column(table), *checks)
        )

    def _reconciled_landing(self, run: _Run, result: TableResult, landed: Landed) -> TableResult:
        table = landed.table
        found = self._found(run, table, result.measures)
        checks = reconcile(table, landed.totals, found, run.months, run.stored, FEEDS[Feed.LANDING])
        told = (
            f"sql/raw/schema.yml does not have {', '.join(landed.unread)}; add them there, or not"
        )
        unread = check_of(table, READS_EVERY_COLUMN).result(
            table.name, len(landed.unread), told if landed.unread else ""
        )
        return replace(result, checks=(*result.checks, unread, *checks))

    def _reconciled_model(self, run: _Run, result: TableResult) -> TableResult:
        table = self.contracts.table(result.table)
        if result.report:
            return replace(result, checks=(*result.checks, *gates.checks(table, result.report)))
        if not table.reconciles_with:
            return result
        counterpart = run.pinned.get(table.reconciles_with) or self._version(table.reconciles_with)
        found = self._found(run, table, result.measures)
        checks = reconcile(
            table, counterpart.measures, found, run.months, run.stored, counterpart.table
        )
        return replace(result, checks=(*result.checks, *checks))

    def _reconciled_version(self, versions: Mapping[str, Version], result: Audit) -> Audit:
        table, stored = self.contracts.table(result.table), self.stored_months
        version = versions[result.table]
        checks: list[CheckResult] = []
        if version.report:
            checks = gates.checks(table, version.report)
        elif table.reconciles_with:
            if table.reconciles_with not in versions:
                raise never_built(self.contracts.table(table.reconciles_with))
            checks = reconcile(
                table,
                versions[table.reconciles_with].measures,
                result.measures,
                stored,
                stored,
                table.reconciles_with,
            )
        elif version.source_totals and table.feed is Feed.LANDING:
            checks = reconcile(
                table,
                version.source_totals,
                result.measures,
                stored,
                stored,
                FEEDS[table.feed],
            )
        elif version.source_totals and table.name != QUARANTINE:
            quarantine = versions[QUARANTINE].measures if QUARANTINE in versions else {}
            checks = reconcile_with_source(
                table, version.source_totals, result.measures, quarantine, stored, stored
            )
            if version.source_moved:
                told = "the source kept changing while it was read"
                checks = [as_warning(check, told) for check in checks]
        return replace(result, checks=(*result.checks, *checks))

    # Publishing

    def _publish(
        self,
        run: _Run,
        results: Sequence[TableResult],
        read: _Read | None = None,
    ) -> list[Built]:
        log.info("publishing")
        built: list[Built] = []
        versions = dict(run.pinned)
        for table, result in zip(run.tables, results, strict=True):
            publication = Publication(
                table=table,
                plan=run.schemas[table.name],
                files=result.files,
                months=run.replaced[table.name],
                measures=result.measures,
                inputs={
                    name: versions[name].snapshot_id
                    for name in sorted(self.contracts.inputs(table))
                    if name in versions
                },
                source_totals=read.totals[table.name] if read else None,
                source_moved=read is not None and table.name in read.moved,
                report=result.report,
                checks=failing_rows(result.checks),
            )
            try:
                version = self.lake.publish(publication)
            except LakeError as error:
                raise PublicationStopped(error, built) from error
            versions[table.name] = version
            built.append(Built(version, result, run.months_of(table)))
        return built


def landed_rows(table: Table) -> Table:
    """A raw table's rows that have landed, as SQL names them."""
    return replace(table, layer=Feed.LANDING.value, name=f"landed_{table.name}")


def _merge_sql(table: Table, rows: Table, keys: Table) -> str:
    columns = ", ".join(table.column_names)
    same = " AND ".join(f"landed.{name} = kept.{name}" for name in table.primary_key)
    kept = ", ".join(f"kept.{name}" for name in table.column_names)
    return (
        f"SELECT {columns} FROM {qualified(rows)} UNION ALL SELECT {kept} "
        f"FROM {qualified(table)} kept LEFT ANTI JOIN {qualified(keys)} landed ON {same}"
    )


def never_built(table: Table) -> LakeError:
    """What to say of a table that is needed and not there."""
    if table.feed is Feed.LANDING:
        return LakeError(
            f"nothing has landed of {table.name} yet that could be taken: lay an export of it into "
            f"landing/{table.name}/, then run `retail build {table.name}`; raw.landed_files says why "
            "a file was set aside"
        )
    return LakeError(
        f"{table.layer}.{table.name} was never built: run `retail build {table.name}` first"
    )


def _audit(results: Sequence[TableResult]) -> None:
    """Raises `AuditFailed` if any check of any table blocks publication."""
    checks = [check for result in results for check in result.checks]
    if any(check.blocks for check in checks):
        raise AuditFailed(checks)
