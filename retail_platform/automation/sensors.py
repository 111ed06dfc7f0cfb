"""Starts runs when something has arrived."""

import time
from urllib.parse import urlsplit

import dagster as dg

from retail_platform.errors import RetailError
from retail_platform.streaming.ingestion import Ingestion

EVERY_SECONDS = {"file": 3, "s3": 30}
"""Between two looks at what has arrived; a bucket's are paid for."""

RETRY_SECONDS = 600
"""After which what could not be taken is tried again."""


def arrivals_sensor(job: dg.JobDefinition | object, ingestion: Ingestion) -> dg.SensorDefinition:
    """Takes events into the lake as they arrive.

    It keeps no list of its own: what was taken stands in the lake, so that neither a lost cursor nor
    two objects of one second can make it miss, or take twice, what has arrived.
    """

    @dg.sensor(
        name="arrivals",
        job=job,  # type: ignore[arg-type]
        minimum_interval_seconds=EVERY_SECONDS[urlsplit(ingestion.arrivals.uri).scheme],
        description=f"Takes what arrives in {ingestion.arrivals.uri} into the lake.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            first = next(ingestion.pending(), None)
        except RetailError as error:
            return dg.SkipReason(f"it cannot be seen what has arrived: {error}")
        if first is None:
            return dg.SkipReason("nothing has arrived")
        window = int(time.time() // RETRY_SECONDS)
        return dg.RunRequest(run_key=f"{first.key}@{first.version}:{window}")

    return sensor
