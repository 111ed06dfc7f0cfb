"""Months: what monthly tables are stored by, refreshed by and reconciled by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from retail_platform.errors import ConfigurationError


def month_start(day: date) -> date:
    """The first day of the month of `day`."""
    return date(day.year, day.month, 1)


def next_month(day: date) -> date:
    """The first day of the month after that of `day`."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def parse_month(text: str) -> date:
    """The first day of the month that `text` names as YYYY-MM.

    Raises:
        ConfigurationError: It is no month.
    """
    if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text) and not text.startswith("0000"):
        return date.fromisoformat(f"{text}-01")
    raise ConfigurationError(f"{text!r} is not a month: write it as YYYY-MM, for example 2004-01")


@dataclass(frozen=True)
class MonthRange:
    """The months from `first` to `last`, both included; each is the first day of its month.

    Raises:
        ConfigurationError: A bound is not the first day of a month, or the last month comes
            before the first.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first.day != 1 or self.last.day != 1:
            raise ConfigurationError(
                f"a range of months runs between first days, not {self.first} and {self.last}"
            )
        if self.last < self.first:
            raise ConfigurationError(
                f"the months {self} run backwards: give the earlier month first"
            )

    @classmethod
    def parse(cls, first: str, last: str | None = None) -> "MonthRange":
        """The months from `first` to `last`, written as YYYY-MM; one month without `last`.

        Raises:
            ConfigurationError: One is no month, or they run backwards.
        """
        return cls(parse_month(first), parse_month(last or first))

    @property
    def end(self) -> date:
        """The first day after the last month."""
        return next_month(self.last)

    def __iter__(self) -> Iterator[date]:
        month = self.first
        while month <= self.last:
            yield month
            month = next_month(month)

    def __len__(self) -> int:
        return (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1

    def __contains__(self, day: date) -> bool:
        """Whether `day` falls into one of the months."""
        return self.first <= day < self.end

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}..{self.last:%Y-%m}"
