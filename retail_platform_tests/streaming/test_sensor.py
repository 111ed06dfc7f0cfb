"""The sensor asks for a run when something has arrived, once, and for none otherwise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from retail_platform.automation import sensors
from retail_platform.definitions import EVENTS_JOB, build_definitions
from retail_platform.settings import Settings, load_settings
from retail_platform_tests.aws import LAKE_BUCKET, PIPES_BUCKET
from retail_platform_tests.streaming.deliveries import answered, key, lay, object_of, upload


@dataclass(frozen=True)
class Watched:
    """A platform with its sensor, and where its events arrive."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    deliver: Callable[[str], None]

    def look(self) -> dg.RunRequest | dg.SkipReason:
        """A tick."""
        sensor = self.definitions.resolve_sensor_def("arrivals")
        context = dg.build_sensor_context(self.instance, definitions=self.definitions)
        found = sensor(context)
        assert isinstance(found, dg.RunRequest | dg.SkipReason)
        return found

    def run(self) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(EVENTS_JOB)
        return job.execute_in_process(instance=self.instance)


def settings_of(kind: str, home: Path) -> Settings:
    if kind == "folder":
        return load_settings(home)
    return Settings(
        home=home,
        env="aws",
        lake_bucket=LAKE_BUCKET,
        pipes_bucket=PIPES_BUCKET,
        glue_job="job",
        athena_workgroup="group",
        source_secret="secret",
    )


@pytest.fixture(params=["folder", "bucket"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    kind = request.param
    if kind == "bucket":
        request.getfixturevalue("aws")

    def deliver(name: str) -> None:
        data = object_of([answered(name, "A01")])
        if kind == "folder":
            lay(tmp_path / "delivered", key(name), data)
        else:
            upload(LAKE_BUCKET, f"delivered/{key(name)}", data)

    definitions = build_definitions(settings_of(kind, tmp_path))
    with dg.instance_for_test() as instance:
        yield Watched(definitions, instance, deliver)


def test_what_arrives_is_taken_by_one_run(watched: Watched) -> None:
    assert isinstance(watched.look(), dg.SkipReason)
    watched.deliver("a")
    watched.deliver("b")
    asked = watched.look()
    assert isinstance(asked, dg.RunRequest)
    # Asked for again before that run has ended, Dagster knows it by its key, and starts no other.
    again = watched.look()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == asked.run_key
    result = watched.run()
    assert result.success
    made = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert made["events/recommendation_events"]["rows_added"].value == 2
    assert made["events/recommended_items"]["dagster/row_count"].value == 6
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert isinstance(watched.look(), dg.SkipReason)
    # Within the same second, under a key before those that were taken.
    watched.deliver("0")
    assert isinstance(watched.look(), dg.RunRequest)
    assert watched.run().success
    assert isinstance(watched.look(), dg.SkipReason)


def test_a_run_that_failed_is_asked_for_again_later(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.deliver("a")
    now = 1_000_000.0
    monkeypatch.setattr("retail_platform.automation.sensors.time.time", lambda: now)
    first = watched.look()
    now += sensors.RETRY_SECONDS
    second = watched.look()
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key != second.run_key


def test_a_bucket_that_cannot_be_listed_is_told_and_breaks_nothing(
    aws: str, tmp_path: Path
) -> None:
    settings = settings_of("bucket", tmp_path).model_copy(update={"lake_bucket": "nowhere-retail"})
    with dg.instance_for_test() as instance:
        found = Watched(build_definitions(settings), instance, print).look()
    assert isinstance(found, dg.SkipReason)
    assert "it cannot be seen what has arrived" in (found.skip_message or "")
