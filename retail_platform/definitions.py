"""The one place where Dagster's definitions are put together. Nothing here touches the network."""

from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from retail_platform.assets.events import delivered_assets, delivery_specs
from retail_platform.assets.landing import landed_assets, landing_specs
from retail_platform.assets.layers import BuilderOf, layer_assets, source_specs
from retail_platform.assets.vectors import vector_store_asset
from retail_platform.automation.schedules import nightly
from retail_platform.automation.sensors import arrivals_sensor, landing_sensor
from retail_platform.build import Builder
from retail_platform.contracts.loader import LAYERS
from retail_platform.contracts.model import Feed
from retail_platform.platform import Platform, spark_config
from retail_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from dagster_pyspark import LazyPySparkResource

BUILD_JOB = "build"
EVENTS_JOB = "events"
LANDING_JOB = "landing"


def build_definitions(settings: Settings) -> dg.Definitions:
    """All assets, checks, jobs and schedules, for these settings."""
    spark = _spark(settings) if settings.engine == "spark" else None
    platform = Platform(settings, None if spark is None else lambda: spark.spark_session)
    months = dg.MonthlyPartitionsDefinition(
        # The running month is a partition too.
        start_date=f"{settings.first_month}-01",
        end_offset=1,
    )
    contracts, building = platform.contracts, _building(platform)
    modelled = [
        [table for table in contracts.layer(layer) if not table.delivered] for layer in LAYERS[1:]
    ]
    layers = [
        layer_assets(platform.builder, tables, months, platform.source, building)
        for tables in (contracts.fed_by(Feed.SOURCE), *modelled)
        if tables
    ]
    landed = landed_assets(platform.landing, building)
    delivered = delivered_assets(platform.ingestion)
    served = [vector_store_asset(platform.lake, platform.vector_store)] * settings.serves_vectors
    # Where Dagster is a service nobody has to switch anything on; on a laptop somebody decides that.
    on = bool(settings.records_url)
    schedules = dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED
    sensing = dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED
    job = dg.define_asset_job(
        BUILD_JOB,
        selection=dg.AssetSelection.assets(*layers, landed, delivered, *served),
        description="Builds every table from the source up, and publishes what recommends.",
    )
    arriving = dg.define_asset_job(
        EVENTS_JOB,
        selection=dg.AssetSelection.assets(delivered),
        description="Takes what has arrived into the lake.",
    )
    landing = dg.define_asset_job(
        LANDING_JOB,
        selection=dg.AssetSelection.assets(landed),
        description="Merges the exports of tables that have landed.",
    )
    return dg.Definitions(
        assets=[
            *source_specs(contracts),
            *landing_specs(platform.landing),
            *delivery_specs(platform.ingestion),
            *layers,
            landed,
            delivered,
            *served,
        ],
        jobs=[job, arriving, landing],
        sensors=[
            arrivals_sensor(arriving, platform.ingestion, sensing),
            landing_sensor(landing, platform.landing, sensing),
            *_metrics(platform),
        ],
        schedules=[nightly(job, settings.refresh_months, platform.builder.first_month, schedules)],
        # Steps share one process: starting another costs ten times what a step's own work does.
        executor=dg.in_process_executor,
        resources={} if spark is None else {"pyspark": spark},
    )


def _building(platform: Platform) -> BuilderOf:
    """What builds in a step: on AWS an engine that belongs to the step, because Pipes does."""
    builder, settings = platform.builder, platform.settings
    if not settings.on_aws:
        return lambda _: builder
    from retail_platform.glue.runner import GlueEngine, job_source

    def building(context: dg.AssetExecutionContext) -> Builder:
        engine = GlueEngine(
            settings.glue_job,
            settings.pipes_bucket,
            platform.lake.storage.warehouse,
            context,
            lambda: job_source(settings.source_secret, platform.address_in_secret()),
        )
        return replace(builder, engine=engine)

    return building


def _metrics(platform: Platform) -> list[dg.SensorDefinition]:
    """The sensors that tell CloudWatch, where there is one to tell."""
    namespace = platform.settings.metrics_namespace
    if not namespace:
        return []
    from retail_platform.automation.metrics import metric_sensors

    return metric_sensors(namespace, platform.lake)


def _spark(settings: Settings) -> "LazyPySparkResource":
    """The resource through which our engine, and assets that a user adds, share one session."""
    from dagster_pyspark import LazyPySparkResource

    return LazyPySparkResource(spark_config=spark_config(settings))


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev` and the command line load."""
    return build_definitions(load_settings())
