"""CloudWatch is told how fresh the layers are and what became of runs; all by real clients."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import dagster as dg
import pytest

from retail_platform.automation.metrics import freshness, metric_sensors, outcome
from retail_platform.definitions import build_definitions
from retail_platform.platform import Platform
from retail_platform.settings import load_settings
from retail_platform_tests.shop import Shop
from retail_platform_tests.streaming.test_sensor import settings_of

NAMESPACE = "Retail/test"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    shop = Shop(tmp_path_factory.mktemp("metrics"))
    shop.done("sample")
    shop.done("build", "raw", "star")
    return Platform(load_settings(shop.home))


def told(metric: str, **dimensions: str) -> float | None:
    """What CloudWatch was told of a metric, summed up; None for nothing."""
    now = datetime.now(UTC)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=86400,
        Statistics=["Sum"],
    )["Datapoints"]
    return points[0]["Sum"] if points else None


def test_a_layer_is_as_old_as_its_oldest_table(built: Platform) -> None:
    version = built.lake.version("dim_customers")
    assert version is not None
    ages = freshness(built.lake, version.committed_at + timedelta(hours=3))
    assert set(ages) == {"raw", "star"}, "what was never built has no age"
    assert 3 * 3600 <= ages["star"] < 3 * 3600 + 60


def test_freshness_is_told_by_layer(built: Platform, aws: str) -> None:
    sensor = metric_sensors(NAMESPACE, built.lake)[0]
    said = sensor(dg.build_sensor_context())
    assert isinstance(said, dg.SkipReason)
    age = told("Freshness", layer="star")
    assert age is not None
    assert 0 < age < 600
    assert told("Freshness", layer="events") is None


def job_of(*, check: bool, severity: dg.AssetCheckSeverity, breaks: bool) -> dg.Definitions:
    @dg.asset(check_specs=[dg.AssetCheckSpec("grain", asset="offices")])
    def offices() -> Iterator[dg.MaterializeResult[None]]:
        if breaks:
            raise dg.Failure("the source is down")
        found = dg.AssetCheckResult(passed=check, check_name="grain", severity=severity)
        yield dg.MaterializeResult(check_results=[found])

    return dg.Definitions(assets=[offices], jobs=[dg.define_asset_job("job", "offices")])


@pytest.mark.parametrize(
    ("check", "severity", "breaks", "expected"),
    [
        (True, dg.AssetCheckSeverity.ERROR, False, (0, 1, 0)),
        (False, dg.AssetCheckSeverity.WARN, False, (0, 1, 0)),
        (False, dg.AssetCheckSeverity.ERROR, False, (0, 1, 1)),
        (True, dg.AssetCheckSeverity.ERROR, True, (1, 0, 0)),
    ],
    ids=["all is well", "a warning", "a failed check", "a failed run"],
)
def test_what_became_of_a_run_is_told(
    built: Platform,
    aws: str,
    check: bool,
    severity: dg.AssetCheckSeverity,
    breaks: bool,
    expected: tuple[int, int, int],
) -> None:
    job = job_of(check=check, severity=severity, breaks=breaks).resolve_job_def("job")
    with dg.instance_for_test() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        event = next(
            entry.dagster_event
            for entry in instance.all_logs(run.run_id)
            if entry.dagster_event
            and entry.dagster_event.event_type
            in (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)
        )
        sensor = metric_sensors(NAMESPACE, built.lake)[2 if breaks else 1]
        sensor(
            dg.build_run_status_sensor_context(
                sensor_name=sensor.name,
                dagster_event=event,
                dagster_instance=instance,
                dagster_run=run,
            )
        )
    names = ("FailedRuns", "Materializations", "FailedChecks")
    assert tuple(told(name) for name in names) == expected


def test_a_run_of_nothing_is_no_failure() -> None:
    run = dg.DagsterRun(job_name="job", status=dg.DagsterRunStatus.SUCCESS)
    assert set(outcome(run, []).values()) == {0}


def test_they_run_by_themselves_where_there_is_a_namespace(tmp_path: Path) -> None:
    settings = settings_of("bucket", tmp_path)
    named = settings.model_copy(update={"metrics_namespace": NAMESPACE})
    service = settings.model_copy(
        update={"records_url": "postgresql://publisher@db.example.com/dagster"}
    )
    running = {
        kind: {
            sensor.name
            for sensor in build_definitions(chosen).sensors or ()
            if sensor.default_status is dg.DefaultSensorStatus.RUNNING
        }
        for kind, chosen in {"plain": settings, "named": named, "service": service}.items()
    }
    assert running == {
        "plain": set(),
        "named": {"metrics_of_freshness", "metrics_of_successes", "metrics_of_failures"},
        "service": {"arrivals", "landing"},
    }
    (nightly,) = build_definitions(service).schedules or ()
    assert isinstance(nightly, dg.ScheduleDefinition)
    assert nightly.default_status is dg.DefaultScheduleStatus.RUNNING
