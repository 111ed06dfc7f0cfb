"""Starts runs when something has arrived."""

import time

import dagster as dg

from retail_platform.assets.landing import LOOK_TAG
from retail_platform.assets.layers import asset_key
from retail_platform.automation.attention import Attention
from retail_platform.errors import RetailError
from retail_platform.landing.feed import Landing
from retail_platform.landing.looking import LEDGER, Place
from retail_platform.streaming.arrivals import Arrival, Arrivals, BucketArrivals
from retail_platform.streaming.ingestion import Ingestion

EVERY_SECONDS = 3
"""Between two looks into a folder, and between two questions whether a bucket rang."""

EVERY_SECONDS_OF_A_BUCKET = 30
"""Between two looks into a bucket that does not ring; they are paid for."""

RETRY_SECONDS = 600
"""After which what could not be taken is tried again."""


def landing_sensor(
    job: dg.JobDefinition | object, landing: Landing, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Merges exports of tables as they land.

    Its cursor says where the next look begins; what was taken stands in the lake.
    """
    attention = Attention(landing.arrivals)

    @dg.sensor(
        name="landing",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=_interval(landing.arrivals),
        default_status=status,
        description=f"Merges the exports of tables that land in {landing.arrivals.uri}.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not landing.tables:
            return dg.SkipReason("no table is fed by files (RETAIL_LANDED)")
        place = Place.load(context.cursor)
        try:
            if not attention.due():
                return dg.SkipReason("nothing rang")
            look = landing.look(place)
        except RetailError as error:
            return dg.SkipReason(f"it cannot be seen what has landed: {error}")
        if not look.pending:
            context.update_cursor(look.next.dump())
            return dg.SkipReason("nothing has landed")
        attention.keep_awake()
        # It stays where it is until they are taken.
        tables = sorted({arrival.folder for arrival in look.pending})
        return dg.RunRequest(
            run_key=_run_key(look.pending[0]),
            tags={LOOK_TAG: place.dump()},
            asset_selection=[
                asset_key(landing.contracts.table(name)) for name in (*tables, LEDGER)
            ],
        )

    return sensor


def arrivals_sensor(
    job: dg.JobDefinition | object, ingestion: Ingestion, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """Takes events into the lake as they arrive.

    It keeps no list of its own: what was taken stands in the lake, so that neither a lost cursor nor
    two objects of one second can make it miss, or take twice, what has arrived.
    """
    attention = Attention(ingestion.arrivals)

    @dg.sensor(
        name="arrivals",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=_interval(ingestion.arrivals),
        default_status=status,
        description=f"Takes what arrives in {ingestion.arrivals.uri} into the lake.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if not attention.due():
                return dg.SkipReason("nothing rang")
            first = next(ingestion.pending(), None)
        except RetailError as error:
            return dg.SkipReason(f"it cannot be seen what has arrived: {error}")
        if first is None:
            return dg.SkipReason("nothing has arrived")
        attention.keep_awake()
        return dg.RunRequest(run_key=_run_key(first))

    return sensor


def _interval(arrivals: Arrivals) -> int:
    looks_cost = isinstance(arrivals, BucketArrivals) and not arrivals.queue
    return EVERY_SECONDS_OF_A_BUCKET if looks_cost else EVERY_SECONDS


def _run_key(first: Arrival) -> str:
    """One run for what waits first, and another after a while if it still does."""
    return f"{first.key}@{first.version}:{int(time.time() // RETRY_SECONDS)}"
