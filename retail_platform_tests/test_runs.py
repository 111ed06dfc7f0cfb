"""A build as the command line sees it: Dagster's folder, and what became of a run."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import EventLogStorage, SqliteEventLogStorage

from retail_platform.assets.layers import ERROR_KIND
from retail_platform.automation.schedules import range_tags
from retail_platform.contracts.months import MonthRange
from retail_platform.errors import ConfigurationError, LakeError, RetailError, SourceError
from retail_platform.event_log import PooledEventLogStorage
from retail_platform.runs import CheckOutcome, Outcome, outcome_of, prepare_dagster_home
from retail_platform.settings import load_settings


def test_dagsters_configuration_is_only_written_where_it_differs(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    folder = prepare_dagster_home(settings)
    file = folder / "dagster.yaml"
    text, written = file.read_text(), file.stat()
    prepare_dagster_home(settings)
    assert os.path.samestat(file.stat(), written), "a rewritten file is another one"
    file.write_text("telemetry: {enabled: true}")
    prepare_dagster_home(settings)
    assert file.read_text() == text
    assert [path.name for path in folder.iterdir()] == ["dagster.yaml"]


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeError, match=r"cannot be written: .*; check that the disk"):
        prepare_dagster_home(load_settings(tmp_path / "file"))


def failed_with(error: RetailError) -> Outcome:
    """The outcome of a run whose asset's check fails with its step."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("primary_key", asset="offices")])
    def offices() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=False, check_name="primary_key", description="1 twice")
        raise dg.Failure(str(error), metadata={ERROR_KIND: type(error).__name__})

    return outcome_of(dg.materialize([offices], raise_on_error=False))


def test_wrong_configuration_is_told_from_failure() -> None:
    assert failed_with(ConfigurationError("edit sql/raw/offices.sql")).misconfigured
    assert not failed_with(SourceError("the source is down")).misconfigured


def test_what_failed_is_told_once() -> None:
    outcome = failed_with(
        LakeError("the audit failed\noffices.primary_key: keys are unique: 1 twice\nmore")
    )
    assert not outcome.success
    assert outcome.failures == (CheckOutcome("offices", "primary_key", "1 twice"),)
    assert outcome.error == "the audit failed\nmore"


def test_the_event_log_still_replaces_what_dagster_has() -> None:
    """It overrides parts that Dagster does not promise; a new version may call them otherwise."""
    for name in ("_connect", "has_table", "store_event", "dispose", "from_config_value"):
        assert callable(getattr(SqliteEventLogStorage, name)), name
    planned = "supports_partition_subset_in_asset_materialization_planned_events"
    assert isinstance(vars(EventLogStorage)[planned], property)


def test_events_are_written_and_read_again(tmp_path: Path) -> None:
    folder = str(prepare_dagster_home(load_settings(tmp_path)))
    with dg.DagsterInstance.from_config(folder) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)

        @dg.asset
        def offices() -> None: ...

        run_id = dg.materialize([offices], instance=instance).run_id
        assert instance.get_latest_materialization_event(dg.AssetKey("offices")) is not None
    with dg.DagsterInstance.from_config(folder) as instance:
        kinds = [
            log.dagster_event.event_type_value
            for log in instance.all_logs(run_id)
            if log.dagster_event
        ]
        assert kinds[-1] == dg.DagsterEventType.RUN_SUCCESS.value
        assert "ASSET_MATERIALIZATION" in kinds


def test_a_check_of_a_table_is_planned_once_for_all_months_of_a_run(tmp_path: Path) -> None:
    folder = str(prepare_dagster_home(load_settings(tmp_path)))
    key = dg.AssetCheckKey(dg.AssetKey("orders"), "grain")

    @dg.asset(
        partitions_def=dg.MonthlyPartitionsDefinition(start_date="2005-01-01"),
        check_specs=[dg.AssetCheckSpec(key.name, asset="orders")],
    )
    def orders() -> Iterator[dg.MaterializeResult[None]]:
        yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    job = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("monthly", "orders")])
    with dg.DagsterInstance.from_config(folder) as instance:
        months = MonthRange(date(2005, 1, 1), date(2005, 4, 1))
        assert (
            job.resolve_job_def("monthly")
            .execute_in_process(instance=instance, tags=range_tags(months))
            .success
        )
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert [record.status.value for record in history] == ["SUCCEEDED"]
