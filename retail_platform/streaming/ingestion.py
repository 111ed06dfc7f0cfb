"""Takes what a delivery stream has laid down into the lake, each event once.

`deliveries` says which objects were taken; what is listed and not in it is new. An ingestion takes
some objects at a time: their events go into the tables in one commit each, the items first, then the
events, then the deliveries. If it dies in between, the next one takes back the items without events,
and takes the objects again: events that are there already are known by their id.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from retail_platform.build import AuditFailed
from retail_platform.contracts.checks import CheckResult
from retail_platform.contracts.loader import Contracts
from retail_platform.contracts.model import Table
from retail_platform.engines.protocol import Auditor
from retail_platform.errors import LakeError
from retail_platform.lake.lake import Lake, Version
from retail_platform.streaming.arrivals import (
    FAILURES,
    RECOMMENDATIONS,
    Arrival,
    Arrivals,
    batches,
    day_prefix,
)
from retail_platform.streaming.daily import DailyTables, RowTuples, summed
from retail_platform.streaming.rows import (
    Answered,
    Failure,
    answers_of,
    event_rows,
    failure_rows,
    failures_of,
    lines_of,
)

_logger = logging.getLogger(__name__)

LATE = timedelta(days=2)
"""How much later than its key says an object may come; Firehose tries for a day."""

BATCH_BYTES = 8_000_000
"""Of objects that are taken at a time, as they are stored; ten times as much in memory."""

BATCH_OBJECTS = 2_000

_EVENTS, _FAILURES, _DELIVERIES = "recommendation_events", "delivery_failures", "deliveries"
_ORDER = ("recommended_items", "browsed_items", _FAILURES, _EVENTS)
"""Of commits: what belongs to events before them, and all before the deliveries."""


_Taken = TypeVar("_Taken", Answered, Failure)


@dataclass(frozen=True)
class Ingested:
    """What an ingestion did to one table.

    Attributes:
        version: What readers see now.
        rows: How many are new.
        checks: Outcomes of the contract's checks on the new rows.
    """

    version: Version
    rows: int
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True)
class Ingestion:
    """The way from a delivery stream into a lake.

    Attributes:
        lake: Where events go.
        auditor: What checks new rows, in files of this machine.
        arrivals: Where they come from.
    """

    lake: Lake
    auditor: Auditor
    arrivals: Arrivals

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that deliveries fill."""
        return delivered_tables(self.lake.contracts)

    @property
    def _daily(self) -> DailyTables:
        return DailyTables(self.lake, self.auditor)

    def pending(self) -> Iterator[Arrival]:
        """What has arrived and is not taken yet, in the order of the keys."""
        day = self._from_day()
        taken = self._taken(day)
        for folder in (RECOMMENDATIONS, FAILURES):
            behind = day_prefix(folder, day) if day else ""
            for arrival in self.arrivals.after(folder, behind):
                if arrival.day is not None and (arrival.key, arrival.version) not in taken:
                    yield arrival

    def run(self) -> list[Ingested]:
        """Takes all that has arrived; where nothing was ever taken, the tables are made, empty.

        Raises:
            AuditFailed: New rows are not as the contract says; the objects are taken again later.
            LakeError: A commit failed.
        """
        with self.lake.exclusively():
            for table in self.tables:
                self._daily.make(table)
            self._take_back()
            found: dict[str, Ingested] = {}
            # Listed once: what comes meanwhile is the next ingestion's.
            for batch in batches(self.pending(), BATCH_OBJECTS, BATCH_BYTES):
                _logger.info("taking %d objects from %s", len(batch), batch[0].key)
                for name, one in self._take(batch).items():
                    before = found.get(name)
                    rows = one.rows + (before.rows if before else 0)
                    checks = summed(before.checks if before else (), one.checks)
                    found[name] = Ingested(one.version, rows, checks)
            return [found.get(table.name) or self._unchanged(table) for table in self.tables]

    # What is new

    def _from_day(self) -> date | None:
        version = self.lake.version(_DELIVERIES)
        if version is None or not version.row_count:
            return None
        newest = max(file.month for file in self.lake.files(_DELIVERIES) if file.month)
        return min(newest, datetime.now(UTC).date()) - LATE

    def _taken(self, day: date | None) -> set[tuple[str, str]]:
        if day is None:
            return set()
        known = self.lake.of_days(_DELIVERIES, ["object", "version"], day, date.max)
        return {(row["object"], row["version"]) for row in known.to_pylist()}

    # One batch

    def _take(self, batch: Sequence[Arrival]) -> dict[str, Ingested]:
        now = datetime.now(UTC)
        lines = {one: lines_of(self.arrivals.read(one.key)) for one in batch}
        taken: list[Answered | Failure] = []
        for one in batch:
            read = answers_of if one.folder == RECOMMENDATIONS else failures_of
            taken += read(one.key, lines[one], now)
        events = self._new(_EVENTS, [one for one in taken if isinstance(one, Answered)])
        failures = self._new(_FAILURES, [one for one in taken if isinstance(one, Failure)])
        added = Counter(one.delivered_in for one in events)
        added.update(one.delivered_in for one in failures)
        rows = event_rows(events)
        rows[_FAILURES] = failure_rows(failures)
        rows[_DELIVERIES] = [
            (one.key, one.version, one.day, one.size, len(lines[one]), added[one.key], now)
            for one in batch
        ]
        name = sha256(repr(batch).encode()).hexdigest()[:16]
        with TemporaryDirectory() as folder:
            return self._publish(name, rows, Path(folder))

    def _new(self, name: str, taken: Sequence[_Taken]) -> list[_Taken]:
        """Those that the lake does not have, each once."""
        once = {one.id: one for one in reversed(taken)}
        key = self.lake.contracts.table(name).primary_key[0]
        by_day: dict[date, list[_Taken]] = {}
        for one in reversed(once.values()):
            by_day.setdefault(one.day, []).append(one)
        new: list[_Taken] = []
        for day, some in by_day.items():
            # A producer who has no clock gives an event its time anew when he sends it again.
            since, to = _before(day), _after(day)
            known = self.lake.of_days(name, [key], since, to)[key]
            ids = pa.array([one.id for one in some], pa.string())
            there = pc.is_in(ids, value_set=known.cast(pa.string()).combine_chunks())
            new += [
                one for one, is_there in zip(some, there.to_pylist(), strict=True) if not is_there
            ]
        return new

    def _publish(
        self, batch: str, rows: Mapping[str, RowTuples], folder: Path
    ) -> dict[str, Ingested]:
        """Writes, audits and commits; nothing is committed before all of it holds."""
        written = {
            name: self._daily.write(self.lake.contracts.table(name), rows[name], folder)
            for name in (*_ORDER, _DELIVERIES)
        }
        checks = {name: self._daily.audit(one) for name, one in written.items()}
        if any(result.blocks for results in checks.values() for result in results):
            raise AuditFailed([result for results in checks.values() for result in results])
        return {
            name: Ingested(
                self._daily.commit(one, batch, checks[name]), len(rows[name]), checks[name]
            )
            for name, one in written.items()
        }

    # What an ingestion left that died

    def _take_back(self) -> None:
        """Items were committed before their events; without these they are taken back."""
        events = self._version(_EVENTS)
        for name in _ORDER[: _ORDER.index(_EVENTS)]:
            if self._version(name).batch == events.batch:
                continue
            whole = [old for old in self.lake.history(name) if old.batch == events.batch]
            if not whole:
                raise LakeError(
                    f"{name} has rows of an ingestion that did not end, and no version of before: "
                    f"drop its rows whose event_id is not in {_EVENTS}"
                )
            _logger.warning("taking back what an ingestion that did not end added to %s", name)
            self.lake.restore(name, whole[0].snapshot_id)

    def _version(self, name: str) -> Version:
        version = self.lake.version(name)
        assert version is not None  # noqa: S101  (made before)
        return version

    def _unchanged(self, table: Table) -> Ingested:
        """Nothing came; the checks held of it."""
        return Ingested(self._version(table.name), 0, self._daily.audit_of_nothing(table))


def delivered_tables(contracts: Contracts) -> tuple[Table, ...]:
    """The tables that deliveries fill."""
    return tuple(table for table in contracts.layer("events") if table.delivered)


def _before(day: date) -> date:
    return day if day == date.min else day - timedelta(days=1)


def _after(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)
