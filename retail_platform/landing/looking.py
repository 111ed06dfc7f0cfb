"""Which files have landed and are not taken yet, however many there are."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retail_platform.lake.lake import Lake
from retail_platform.streaming.arrivals import Arrival, Arrivals

LEDGER = "landed_files"
"""The table of what was taken."""

LOOK_OBJECTS = 10_000
"""How many files a look lists: ten requests of S3."""


@dataclass(frozen=True)
class Place:
    """Where a look begins. Lost, it costs nothing but time.

    Attributes:
        behind: The file that the last look ended with; empty to begin with the first.
        newest: The last file in the order of keys that was ever seen of a table, where there are more
            than a look lists: what comes behind it is looked at each time.
    """

    behind: str = ""
    newest: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str | None) -> "Place":
        """From its text; the beginning for None and for what is none."""
        try:
            found = json.loads(text or "{}")
            return Place(str(found.get("behind", "")), dict(found.get("newest", {})))
        except (ValueError, AttributeError, TypeError):
            return Place()


@dataclass(frozen=True)
class Look:
    """What a look has seen.

    Attributes:
        pending: Files that are not taken yet, in the order of their keys.
        next: Where the next one begins.
    """

    pending: tuple[Arrival, ...]
    next: Place


@dataclass(frozen=True)
class Watched:
    """What is looked at.

    Attributes:
        lake: Where the ledger is.
        arrivals: Where files land.
        folders: Which of its folders are looked into.
    """

    lake: Lake
    arrivals: Arrivals
    folders: Sequence[str]


def look(watched: Watched, place: Place) -> Look:
    """Looks at some of what has landed, and at all of it in as many looks as that takes.

    However many files there are, a look lists no more than `LOOK_OBJECTS` of them, and as many
    behind the newest ones of each table.
    """
    seen: dict[str, Arrival] = {}
    for folder, newest in place.newest.items():
        if folder in watched.folders:
            for arrival in islice(watched.arrivals.after(folder, newest), LOOK_OBJECTS):
                seen[arrival.key] = arrival
    window = list(islice(_behind(watched, place.behind), LOOK_OBJECTS))
    seen |= {arrival.key: arrival for arrival in window}
    whole = len(window) < LOOK_OBJECTS
    if whole and not place.behind:
        following = Place()
    else:
        last = dict(place.newest)
        for arrival in seen.values():
            last[arrival.folder] = max(last.get(arrival.folder, ""), arrival.key)
        following = Place("" if whole else window[-1].key, last)
    return Look(tuple(_new(watched, sorted(seen.values()))), following)


def all_pending(watched: Watched) -> Iterator[Arrival]:
    """All that is not taken yet, in the order of the keys; what was written just now is waited for."""
    _let_settle(watched)
    listed = _behind(watched, "")
    while window := list(islice(listed, LOOK_OBJECTS)):
        yield from _new(watched, window)


def _let_settle(watched: Watched) -> None:
    settling = watched.arrivals.settling
    if not settling:
        return
    written = max((one.modified for one in _behind(watched, "")), default=None)
    if written and (left := written + settling - datetime.now(UTC)) > timedelta():
        time.sleep(min(left, settling).total_seconds())


def _behind(watched: Watched, key: str) -> Iterator[Arrival]:
    for folder in sorted(watched.folders):
        if f"{folder}/\U0010ffff" > key:
            yield from watched.arrivals.after(folder, key)


def _new(watched: Watched, seen: Sequence[Arrival]) -> Iterator[Arrival]:
    """Those that are no marks of other programs, grow no more, and are not taken."""
    now = datetime.now(UTC)
    settled = [
        one
        for one in seen
        if not Path(one.key).name.startswith(("_", "."))
        and now - one.modified >= watched.arrivals.settling
    ]
    if not settled:
        return
    days = [one.modified.date() for one in settled]
    columns = ("object", "version")
    known = watched.lake.of_days(LEDGER, columns, min(days), max(days))
    taken = _joined(*(known[name].cast(pa.string()).combine_chunks() for name in columns))
    asked = pa.array([f"{one.key}\n{one.version}" for one in settled])
    there = pc.is_in(asked, value_set=taken).to_pylist()
    yield from (one for one, is_there in zip(settled, there, strict=True) if not is_there)


def _joined(keys: Any, versions: Any) -> Any:
    return pc.binary_join_element_wise(keys, versions, "\n")
