"""The tables that deliveries fill, as assets: one multi-asset, one ingestion."""

from collections.abc import Iterator

import dagster as dg

from retail_platform.assets.layers import (
    ANY_DELIVERY,
    DELIVERED,
    asset_key,
    check_results,
    check_specs,
    delivered_key,
    failure,
    lineage_of,
    table_spec,
    unpublished_checks,
)
from retail_platform.build import AuditFailed
from retail_platform.errors import RetailError
from retail_platform.streaming.ingestion import Ingestion


def delivery_specs(ingestion: Ingestion) -> list[dg.AssetSpec]:
    """What Firehose lays down, as external assets."""
    folders = sorted({table.delivered for table in ingestion.tables} - {ANY_DELIVERY})
    return [
        dg.AssetSpec(
            delivered_key(folder),
            group_name=DELIVERED,
            kinds={"file"},
            description=f"The objects that a delivery stream lays down in {folder}/.",
            metadata={"dagster/uri": f"{ingestion.arrivals.uri}/{folder}"},
        )
        for folder in folders
    ]


def delivered_assets(ingestion: Ingestion) -> dg.AssetsDefinition:
    """All tables that deliveries fill; whichever of them is selected, all are filled."""
    contracts, tables = ingestion.lake.contracts, ingestion.tables

    @dg.multi_asset(
        name="delivered_events",
        specs=[table_spec(ingestion.lake, table, lineage_of(contracts, table)) for table in tables],
        check_specs=[spec for table in tables for spec in check_specs(table)],
        can_subset=True,
    )
    def take(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckEvaluation]:
        checks = context.selected_asset_check_keys
        try:
            taken = ingestion.run()
        except AuditFailed as failed:
            yield from unpublished_checks(contracts, failed.checks, checks)
            raise failure(failed) from None
        except RetailError as error:
            raise failure(error) from None
        for one in taken:
            version = one.version
            key = asset_key(contracts.table(version.table))
            if key in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=key,
                    metadata={
                        "dagster/row_count": version.row_count,
                        "rows_added": one.rows,
                        "snapshot_id": str(version.snapshot_id),
                        "files": version.file_count,
                    },
                    data_version=dg.DataVersion(str(version.snapshot_id)),
                    check_results=list(check_results(contracts, one.checks, checks)),
                )

    return take
