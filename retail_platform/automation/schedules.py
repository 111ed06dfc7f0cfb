"""The nightly build of the last months."""

from datetime import UTC, date, datetime

import dagster as dg

from retail_platform.contracts.months import MonthRange, month_start

NIGHTLY_CRON = "0 3 * * *"


def last_months(today: datetime, count: int, first: date) -> MonthRange:
    """The running month and those before it, `count` in all, but none before `first`."""
    last = month_start(today.date())
    number = last.year * 12 + last.month - 1 - (count - 1)
    return MonthRange(max(first, date(number // 12, number % 12 + 1, 1)), last)


def range_tags(months: MonthRange) -> dict[str, str]:
    """The run tags by which one run builds a range of monthly partitions."""
    return {
        "dagster/asset_partition_range_start": months.first.isoformat(),
        "dagster/asset_partition_range_end": months.last.isoformat(),
    }


def nightly(
    job: dg.JobDefinition | object,
    refresh_months: int,
    first_month: date,
    status: dg.DefaultScheduleStatus,
) -> dg.ScheduleDefinition:
    """Builds the last `refresh_months` months every night, in one run."""

    @dg.schedule(
        name="nightly",
        job=job,  # type: ignore[arg-type]
        cron_schedule=NIGHTLY_CRON,
        execution_timezone="UTC",
        default_status=status,
        description=f"Refreshes the last {refresh_months} months of every table.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        due = context.scheduled_execution_time or datetime.now(UTC)
        return dg.RunRequest(
            run_key=due.isoformat(),
            tags=range_tags(last_months(due, refresh_months, first_month)),
        )

    return schedule
