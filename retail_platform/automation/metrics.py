"""What CloudWatch is told of the platform: how fresh the layers are, and what became of runs.

Nothing that builds a table knows of this: sensors read Dagster's records and the lake.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from retail_platform.aws import aws_errors, client
from retail_platform.contracts.loader import LAYERS
from retail_platform.errors import RetailError
from retail_platform.lake.lake import Lake

EVERY_SECONDS = 300
"""Between two statements of freshness; the alarm waits for three of them."""

_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def metric_sensors(namespace: str, lake: Lake) -> list[dg.SensorDefinition]:
    """The sensors that tell CloudWatch.

    Args:
        namespace: Where in CloudWatch.
        lake: Whose freshness.
    """
    return [
        _freshness_sensor(namespace, lake),
        _outcome_sensor(namespace, "metrics_of_successes", dg.DagsterRunStatus.SUCCESS),
        _outcome_sensor(namespace, "metrics_of_failures", dg.DagsterRunStatus.FAILURE),
    ]


def freshness(lake: Lake, now: datetime) -> dict[str, float]:
    """The age of each layer, by its oldest table, in seconds; layers that were never built are left out."""
    ages = {}
    for layer in LAYERS:
        built = [lake.version(table.name) for table in lake.contracts.layer(layer)]
        if moments := [version.committed_at for version in built if version]:
            ages[layer] = (now - min(moments)).total_seconds()
    return ages


def outcome(run: dg.DagsterRun, records: Iterable[dg.EventLogEntry]) -> dict[str, int]:
    """What became of a run, in numbers: `FailedRuns`, `Materializations`, `FailedChecks`.

    A check that only warns is none of them.
    """
    counts = Counter(
        FailedRuns=int(run.status is dg.DagsterRunStatus.FAILURE),
        Materializations=0,
        FailedChecks=0,
    )
    for record in records:
        event = record.get_dagster_event()
        if event.is_step_materialization:
            counts["Materializations"] += 1
        else:
            check = event.asset_check_evaluation_data
            failed = not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
            counts["FailedChecks"] += failed
    return dict(counts)


def _freshness_sensor(namespace: str, lake: Lake) -> dg.SensorDefinition:
    @dg.sensor(
        name="metrics_of_freshness",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells CloudWatch ({namespace}) how old each layer is.",
    )
    def sensor(_: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            ages = freshness(lake, datetime.now(UTC))
            _put(
                namespace,
                [_datum("Freshness", age, "Seconds", layer=layer) for layer, age in ages.items()],
            )
        except RetailError as error:
            return dg.SkipReason(f"CloudWatch was not told: {error}")
        return dg.SkipReason(", ".join(f"{layer} {age:.0f} s" for layer, age in ages.items()))

    return sensor


def _outcome_sensor(namespace: str, name: str, status: dg.DagsterRunStatus) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells CloudWatch ({namespace}) what became of runs.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        records = context.instance.all_logs(run.run_id, of_type=_EVENTS)
        counts = outcome(run, records)
        _put(namespace, [_datum(name, count, "Count") for name, count in counts.items()])

    return sensor


def _datum(name: str, value: float, unit: str, **dimensions: str) -> dict[str, Any]:
    told = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    return {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": told}


def _put(namespace: str, data: list[Mapping[str, Any]]) -> None:
    if data:
        with aws_errors(f"telling CloudWatch of {namespace} (RETAIL_METRICS_NAMESPACE)"):
            client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)
