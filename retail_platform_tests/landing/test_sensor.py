"""The sensor asks for a run when something has landed, of the tables that it landed for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from retail_platform.assets.landing import LOOK_TAG
from retail_platform.automation import sensors
from retail_platform.definitions import LANDING_JOB, build_definitions
from retail_platform.landing import looking
from retail_platform.landing.looking import Place
from retail_platform.platform import Platform
from retail_platform.settings import Settings, load_settings
from retail_platform_tests.aws import LAKE_BUCKET
from retail_platform_tests.landing.exports import Rows, export, landed_in
from retail_platform_tests.streaming.deliveries import upload
from retail_platform_tests.streaming.test_sensor import settings_of


@dataclass
class Watched:
    """A platform with its sensor, and where its files land."""

    settings: Settings
    instance: dg.DagsterInstance
    put: Callable[[str, bytes], None]
    cursor: str | None = None
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = build_definitions(self.settings)

    def land(self, key: str, rows: Rows) -> None:
        self.put(key, export(key.partition("/")[0], rows))

    def look(self) -> dg.RunRequest | dg.SkipReason:
        """A tick, from where the last one ended."""
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, definitions=self.definitions
        )
        found = self.definitions.resolve_sensor_def("landing")(context)
        self.cursor = context.cursor
        assert isinstance(found, dg.RunRequest | dg.SkipReason)
        return found

    def look_for_run(self) -> dg.RunRequest:
        """A tick that asks for a run."""
        asked = self.look()
        assert isinstance(asked, dg.RunRequest), asked
        return asked

    def run(self, asked: dg.RunRequest | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(LANDING_JOB)
        return job.execute_in_process(
            instance=self.instance,
            tags=dict(asked.tags) if asked else {},
            asset_selection=list(asked.asset_selection or ()) if asked else None,
            raise_on_error=False,
        )


@pytest.fixture(params=["folder", "bucket"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    if request.param == "folder":
        settings = load_settings(tmp_path)
        put = landed_in(tmp_path).put
    else:
        request.getfixturevalue("aws")
        settings = settings_of("bucket", tmp_path)
        put = lambda key, data: upload(LAKE_BUCKET, f"landing/{key}", data)  # noqa: E731
    settings = settings.model_copy(update={"landed": "payments, orders"})
    with dg.instance_for_test() as instance:
        yield Watched(settings, instance, put)


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    return {
        event.asset_key.to_user_string(): {
            name: value.value
            for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def test_what_lands_is_taken_by_one_run_of_its_tables(watched: Watched) -> None:
    assert watched.look() == dg.SkipReason("nothing has landed")
    watched.put("payments/a.csv", b"no ratings")
    watched.put("payments/b.csv", b"nor these")
    asked = watched.look()
    assert isinstance(asked, dg.RunRequest)
    assert [key.to_user_string() for key in asked.asset_selection or ()] == [
        "raw/payments",
        "raw/landed_files",
    ]
    # Asked for again before that run has ended, Dagster knows it by its key, and starts no other.
    again = watched.look()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == asked.run_key
    result = watched.run(asked)
    # Set aside: on AWS there is no engine in this process, and none is needed where nothing is merged.
    assert materialized(result)["raw/landed_files"]["files_set_aside"] == 2
    (told,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert told.check_name == "none_set_aside"
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert watched.look() == dg.SkipReason("nothing has landed")
    # Within the same second, under a key before those that were taken.
    watched.put("payments/0.csv", b"no ratings")
    assert isinstance(watched.look(), dg.RunRequest)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Watched]:
    settings = load_settings(tmp_path).model_copy(update={"landed": "ratings, orders"})
    with dg.instance_for_test() as instance:
        yield Watched(settings, instance, landed_in(tmp_path).put)


def test_a_run_tells_what_it_merged(laptop: Watched) -> None:
    laptop.land("ratings/a.csv", [(1, "A", 5), (1, "B", 5)])
    asked = laptop.look()
    assert isinstance(asked, dg.RunRequest)
    result = laptop.run(asked)
    assert result.success
    made = materialized(result)
    assert set(made) == {"raw/ratings", "raw/landed_files"}
    assert made["raw/ratings"]["dagster/row_count"] == 2
    assert made["raw/ratings"]["rows_landed"] == 2
    assert made["raw/landed_files"]["files_taken"] == 1
    assert {one.check_name for one in result.get_asset_check_evaluations()} >= {
        "reconciles",
        "primary_key",
        "none_set_aside",
    }
    laptop.land("ratings/b.csv", [(1, "A", 6)])
    assert laptop.run(laptop.look_for_run()).success
    assert laptop.look() == dg.SkipReason("nothing has landed")


def test_a_run_of_all_says_which_tables_nothing_has_landed_of(laptop: Watched) -> None:
    laptop.land("ratings/a.csv", [(1, "A", 5)])
    result = laptop.run()
    assert not result.success
    assert set(materialized(result)) == {"raw/ratings", "raw/landed_files"}
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told
    assert "nothing has landed of orders yet that could be taken: lay an export" in str(
        told.description
    )
    assert "ratings" not in str(told.description)


def test_the_sensor_goes_on_where_it_ended_and_stays_where_something_is(
    laptop: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_OBJECTS", 2)
    for number in range(5):
        laptop.land(f"ratings/{number}.csv", [(1, "A", number)])
    seen = []
    for _ in range(3):
        asked = laptop.look_for_run()
        seen.append(Place.load(asked.tags[LOOK_TAG]).behind)
        assert laptop.look() == asked, "until it is taken"
        assert laptop.run(asked).success
        assert isinstance(laptop.look(), dg.SkipReason)
    assert seen == ["", "ratings/1.csv", "ratings/3.csv"]
    assert Platform(laptop.settings).lake.rows("ratings").to_pylist() == [
        {"customer_number": 1, "product_code": "A", "product_rating": 4}
    ]


def test_without_landed_tables_nothing_is_looked_for(tmp_path: Path) -> None:
    with dg.instance_for_test() as instance:
        watched = Watched(load_settings(tmp_path), instance, print)
        assert watched.look() == dg.SkipReason("no table is fed by files (RETAIL_LANDED)")


def test_a_run_that_failed_is_asked_for_again_later(
    laptop: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop.land("ratings/a.csv", [(1, "A", 5)])
    now = 1_000_000.0
    monkeypatch.setattr("retail_platform.automation.sensors.time.time", lambda: now)
    first = laptop.look_for_run()
    now += sensors.RETRY_SECONDS
    assert laptop.look_for_run().run_key != first.run_key


def test_a_bucket_that_cannot_be_listed_is_told(aws: str, tmp_path: Path) -> None:
    settings = settings_of("bucket", tmp_path).model_copy(
        update={"lake_bucket": "nowhere-retail", "landed": "ratings"}
    )
    with dg.instance_for_test() as instance:
        found = Watched(settings, instance, print).look()
    assert isinstance(found, dg.SkipReason)
    assert "it cannot be seen what has landed" in (found.skip_message or "")


def test_landed_tables_come_of_their_files_and_others_of_the_source(laptop: Watched) -> None:
    deps = {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps}
        for spec in laptop.definitions.resolve_all_asset_specs()
    }
    assert deps["raw/ratings"] == {"landing/ratings"}
    assert deps["raw/orders"] == {"landing/orders"}
    assert deps["raw/landed_files"] == {"landing/ratings", "landing/orders"}
    assert deps["raw/customers"] == {"source/customers"}
    assert "source/ratings" not in deps
    assert deps["raw/quarantine"] == {"source/orderdetails", "source/orders", "source/payments"}
