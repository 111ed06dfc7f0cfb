"""Takes files that land under `landing/<raw table>/` into the raw layer, each version of them once.

`landed_files` says which were taken; what is listed and not in it is new. A file is taken whole or,
where anything in it is not as its table's contract says, set aside whole with the reason. Those that
are good are merged by primary key: of one key the row of the file that was written last counts. If an
ingestion dies between its commits, the next one merges the same files again, which changes nothing.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retail_platform.build import Builder, Built, Landed, landed_rows
from retail_platform.contracts.checks import CheckResult, qualified
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Feed, Table
from retail_platform.contracts.months import MonthRange, parse_month
from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.extraction import extract
from retail_platform.engines.parquet import stored_schema
from retail_platform.engines.protocol import (
    DataFile,
    InputTable,
    Measures,
    OutputTable,
    RunRequest,
    SourceRead,
    TableResult,
)
from retail_platform.lake.lake import Version
from retail_platform.landing.files import PLACE, LandedFile
from retail_platform.landing.looking import LEDGER, Look, Place, Watched, all_pending, look
from retail_platform.landing.values import UnfitFile
from retail_platform.streaming.arrivals import Arrival, Arrivals, batches
from retail_platform.streaming.daily import DailyTables, RowTuples, summed

_logger = logging.getLogger(__name__)

BATCH_OBJECTS = 1_000
BATCH_BYTES = 256_000_000
"""Of files that are merged at a time, as they are stored."""


@dataclass(frozen=True)
class Taken:
    """What an ingestion did to one table.

    Attributes:
        version: What readers see now.
        files: How many were merged; of the ledger, how many were taken.
        set_aside: How many were not.
        rows: How many there are in the merged ones.
        checks: Outcomes of the contract's checks.
    """

    version: Version
    files: int
    set_aside: int
    rows: int
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True)
class _Staged:
    """A file that is as its contract says, as Parquet.

    Attributes:
        table: Its table.
        files: Its rows, with `PLACE`.
        rows: How many.
        unread: See `Landed`.
    """

    table: Table
    files: tuple[DataFile, ...]
    rows: int
    unread: tuple[str, ...]


@dataclass
class _Counts:
    files: int = 0
    set_aside: int = 0
    rows: int = 0
    built: Built | None = None


@dataclass(frozen=True)
class Landing:
    """The way from files into the raw layer.

    Attributes:
        builder: What merges and publishes.
        local: What checks files of this machine, and runs SQL over them.
        arrivals: Where files land.
    """

    builder: Builder
    local: DuckDBEngine
    arrivals: Arrivals

    @property
    def contracts(self) -> Contracts:
        """All tables."""
        return self.builder.contracts

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that are landed, in the order in which they are published."""
        return self.contracts.fed_by(Feed.LANDING)

    @property
    def ledger(self) -> Table:
        """The table of what was taken."""
        return self.contracts.table(LEDGER)

    def look(self, place: Place) -> Look:
        """What is seen from a place on; see `looking.look`."""
        return look(self._watched, place)

    @property
    def _watched(self) -> Watched:
        return Watched(self.builder.lake, self.arrivals, [table.name for table in self.tables])

    def run(self, tables: Sequence[Table], place: Place | None = None) -> list[Taken]:
        """Takes what has landed of some tables.

        Args:
            tables: Which.
            place: What the look from there sees; None for all there is.

        Returns:
            What became of each table that there is now, and of the ledger.

        Raises:
            AuditFailed: The merged tables are not as their contracts say; nothing was published, and
                the files are taken again later.
            ConfigurationError, EngineError, LakeError: As in `Builder.merge`.
        """
        asked = {table.name for table in tables}
        lake = self.builder.lake
        with lake.exclusively():
            self._daily.make(self.ledger)
            found = all_pending(self._watched) if place is None else self.look(place).pending
            pending = [arrival for arrival in found if arrival.folder in asked]
            # Of two versions of a row the later one counts; a tie is one of keys.
            pending.sort(key=lambda one: (one.modified, one.key))
            counts = {name: _Counts() for name in (*asked, LEDGER)}
            checks: tuple[CheckResult, ...] = ()
            for batch in batches(pending, BATCH_OBJECTS, BATCH_BYTES):
                _logger.info("taking %d files, the first %s", len(batch), batch[0].key)
                checks = summed(checks, self._take(batch, counts))
            for table in tables:
                if table.optional:
                    self._daily.make(table)
        return [*self._taken(tables, counts), self._of_ledger(counts[LEDGER], checks)]

    @property
    def _daily(self) -> DailyTables:
        return DailyTables(self.builder.lake, self.local)

    def _take(
        self, batch: Sequence[Arrival], counts: Mapping[str, _Counts]
    ) -> tuple[CheckResult, ...]:
        """Stages, merges and notes some files."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            staged: dict[str, list[_Staged]] = {}
            rows: RowTuples = []
            now = datetime.now(UTC)
            for number, arrival in enumerate(batch):
                path = folder / str(number)
                if not self.arrivals.fetch(arrival, path):
                    continue  # written anew since: its next version is another file
                count: int | None = None
                reason: str | None = None
                try:
                    one = self._stage(arrival, path, number)
                    staged.setdefault(one.table.name, []).append(one)
                    count = one.rows
                    counts[arrival.folder].files += 1
                    counts[arrival.folder].rows += one.rows
                except UnfitFile as unfit:
                    reason = str(unfit)
                    counts[arrival.folder].set_aside += 1
                    counts[LEDGER].set_aside += 1
                    _logger.info("%s/%s is set aside: %s", self.arrivals.uri, arrival.key, unfit)
                path.unlink()
                rows.append(
                    (
                        arrival.key,
                        arrival.version,
                        arrival.folder,
                        arrival.modified,
                        arrival.modified.date(),
                        arrival.size,
                        count,
                        reason,
                        now,
                    )
                )
            for built in self._merge(list(staged.values()), folder):
                counts[built.version.table].built = built
            counts[LEDGER].files += len(rows)
            return self._note(rows, folder)

    def _stage(self, arrival: Arrival, path: Path, place: int) -> _Staged:
        """A file as Parquet, checked by itself.

        Raises:
            UnfitFile: It is not as its table's contract says.
        """
        table = self.contracts.table(arrival.folder)
        rows = _with_place(table)
        file = LandedFile(path, arrival.key, table, self.builder.stored_months, place)
        output = OutputTable(
            rows,
            f"file://{path}-staged",
            _field_ids(rows),
            reads=(SourceRead(rows, arrival.key),),
        )
        files = extract(output, file)
        # What it says of other tables is judged with them, when it is merged.
        alone = replace(
            table,
            foreign_keys=(),
            min_rows=0,
            rules=tuple(rule for rule in table.rules if rule.condition),
        )
        (audit,) = self.local.audit([InputTable(alone, files)], ())
        if wrong := [result for result in audit.checks if result.blocks]:
            raise UnfitFile(
                "; ".join(
                    f"{one.check.name}: {one.check.description}: {one.detail}" for one in wrong
                )
            )
        return _Staged(table, files, audit.row_count, file.unread)

    def _merge(self, by_table: Sequence[Sequence[_Staged]], folder: Path) -> list[Built]:
        lake = self.builder.lake
        landed: list[Landed] = []
        locations: list[str] = []
        try:
            for staged in by_table:
                table = staged[0].table
                version = lake.version(table.name)
                if version is not None and not any(one.rows for one in staged):
                    continue
                newest = self._newest(staged, folder)
                replaced = self._replaced(table, newest, folder)
                location = lake.new_location(table)
                locations.append(location)
                files = []
                for number, file in enumerate(newest.files):
                    uri = f"{location}/landed-{number}.parquet"
                    lake.storage.put(Path(file.uri.removeprefix("file://")), uri)
                    files.append(DataFile(uri, file.month))
                totals = _totals(version, self.builder.stored_months)
                totals = _added(_added(totals, replaced.measures, -1), newest.measures, 1)
                months = {f.month for f in (*newest.files, *replaced.files) if f.month}
                unread = dict.fromkeys(name for one in staged for name in one.unread)
                landed.append(
                    Landed(
                        table,
                        tuple(files),
                        totals,
                        MonthRange(min(months), max(months)) if months else None,
                        tuple(unread),
                    )
                )
            return self.builder.merge(landed) if landed else []
        finally:
            lake.discard(locations)

    def _newest(self, staged: Sequence[_Staged], folder: Path) -> TableResult:
        """The rows of one table's files, of each key the one of the last file."""
        table, rows = staged[0].table, _with_place(staged[0].table)
        files = tuple(file for one in staged for file in one.files)
        keys = replace(rows, name=f"{rows.name}_keys")
        key = ", ".join(table.primary_key)
        same = " AND ".join(f"landed.{name} = last.{name}" for name in table.primary_key)
        columns = ", ".join(f"landed.{name}" for name in table.column_names)
        return self._model(
            table,
            f"SELECT {columns} FROM {qualified(rows)} landed JOIN "
            f"(SELECT {key}, max({PLACE.name}) AS place FROM {qualified(keys)} GROUP BY {key}) last "
            f"ON {same} AND landed.{PLACE.name} = last.place",
            [
                InputTable(rows, files),
                # Of no month: a key may come in one month and, corrected, in another.
                InputTable(keys, tuple(DataFile(file.uri) for file in files)),
            ],
            folder / f"{table.name}-newest",
        )

    def _replaced(self, table: Table, newest: TableResult, folder: Path) -> TableResult:
        """The rows of the lake whose keys come anew."""
        landed = landed_rows(table)
        candidates = replace(landed, name=f"replaced_{table.name}")
        same = " AND ".join(f"old.{name} = landed.{name}" for name in table.primary_key)
        columns = ", ".join(f"old.{name}" for name in table.column_names)
        path = folder / f"{table.name}-candidates.parquet"
        self._write_candidates(table, newest, path)
        return self._model(
            table,
            f"SELECT {columns} FROM {qualified(candidates)} old "
            f"LEFT SEMI JOIN {qualified(landed)} landed ON {same}",
            [
                InputTable(candidates, (DataFile(f"file://{path}"),)),
                InputTable(landed, tuple(DataFile(file.uri) for file in newest.files)),
            ],
            folder / f"{table.name}-replaced",
        )

    def _write_candidates(self, table: Table, newest: TableResult, path: Path) -> None:
        """Rows of the lake whose key begins as one that comes anew, a part at a time in memory."""
        first = table.primary_key[0]
        paths = [file.uri.removeprefix("file://") for file in newest.files]
        schema = stored_schema(table, _field_ids(table))
        keys = pa.concat_arrays(
            [pq.read_table(one, columns=[first]).column(first).combine_chunks() for one in paths]
            or [pa.array([], schema.field(first).type)]
        )
        with pq.ParquetWriter(path, schema) as writer:
            for batch in self.builder.lake.between(table.name, first, keys):
                there = pc.is_in(batch.column(first).cast(keys.type), value_set=keys)
                old = batch.filter(there)
                found = [
                    old.column(name) if name in old.schema.names else pa.nulls(len(old))
                    for name in schema.names
                ]
                writer.write_table(pa.table(found, names=schema.names).cast(schema))

    def _model(
        self, table: Table, sql: str, inputs: Sequence[InputTable], folder: Path
    ) -> TableResult:
        """Rows of a table's columns, by SQL over files of this machine; nothing of it is checked."""
        unchecked = replace(
            table,
            sql=sql,
            columns=tuple(
                replace(column, nullable=True, min=None, max=None, accepted_values=())
                for column in table.columns
            ),
            primary_key=(),
            foreign_keys=(),
            rules=(),
            min_rows=0,
        )
        output = OutputTable(
            unchecked,
            f"file://{folder}",
            _field_ids(table),
            months=self.builder.stored_months if table.partition else None,
            inputs=tuple(inputs),
        )
        (result,) = self.local.run(RunRequest((output,)))
        return result

    def _note(self, rows: RowTuples, folder: Path) -> tuple[CheckResult, ...]:
        if not rows:
            return ()
        written = self._daily.write(self.ledger, rows, folder)
        checks = self._daily.audit(written)
        self._daily.commit(written, sha256(repr(rows).encode()).hexdigest()[:16], checks)
        return checks

    # What became of it

    def _taken(self, tables: Sequence[Table], counts: Mapping[str, _Counts]) -> Iterator[Taken]:
        """What became of the tables; of those that nothing came of, the checks of what they have."""
        lake = self.builder.lake
        there = [table for table in tables if lake.version(table.name) is not None]
        unchanged = [table for table in there if counts[table.name].built is None]
        audits = {one.table: one for one in self.builder.audit(unchanged)} if unchanged else {}
        for table in there:
            told = counts[table.name]
            version = told.built.version if told.built else lake.version(table.name)
            assert version is not None  # noqa: S101  (it is there)
            checks = told.built.result.checks if told.built else audits[table.name].checks
            yield Taken(version, told.files, told.set_aside, told.rows, checks)

    def _of_ledger(self, told: _Counts, checks: tuple[CheckResult, ...]) -> Taken:
        version = self.builder.lake.version(LEDGER)
        assert version is not None  # noqa: S101  (made before)
        checks = checks or self._daily.audit_of_nothing(self.ledger)
        return Taken(version, told.files, told.set_aside, 0, checks)


def _with_place(table: Table) -> Table:
    """A table as its files are staged."""
    return replace(landed_rows(table), columns=(*table.columns, PLACE))


def _field_ids(table: Table) -> dict[str, int]:
    """Field ids for files that no catalog will know."""
    return {name: number for number, name in enumerate(table.column_names, 1)}


def _totals(version: Version | None, stored: MonthRange) -> Measures:
    """What the feed has come to so far: of a monthly table, its rows that belong to a month."""
    if version is None:
        return {}
    exact = version.source_totals and not version.source_moved
    totals = version.source_totals if exact else version.measures
    if set(totals) <= {""}:
        return totals
    return {month: row for month, row in totals.items() if month and parse_month(month) in stored}


def _added(totals: Measures, other: Measures, times: int) -> Measures:
    """Measures by month, with others added to them or taken from them."""
    added = {month: dict(row) for month, row in totals.items()}
    for month, row in other.items():
        of_month = added.setdefault(month, {})
        for name, value in row.items():
            of_month[name] = of_month.get(name, Decimal(0)) + times * (value or 0)
    return {month: row for month, row in added.items() if any(row.values())}
