"""The raw tables that files feed, as assets: one multi-asset, one merge; and the ledger of the files."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from retail_platform.assets.layers import (
    BuilderOf,
    asset_key,
    check_results,
    check_specs,
    failure,
    landing_key,
    lineage_of,
    table_spec,
    unpublished_checks,
)
from retail_platform.build import AuditFailed, PublicationStopped, never_built
from retail_platform.contracts.model import Feed
from retail_platform.errors import LakeError, RetailError
from retail_platform.landing.feed import Landing
from retail_platform.landing.looking import Place

LOOK_TAG = "retail/look"
"""The run tag with the place of the look that asked for the run."""


def landing_specs(landing: Landing) -> list[dg.AssetSpec]:
    """Where files land, as external assets."""
    return [
        dg.AssetSpec(
            landing_key(table),
            group_name=Feed.LANDING.value,
            kinds={"file"},
            description=(
                f"Exports of {table.name} that land: csv, json or parquet, with the columns of its "
                "contract."
            ),
            metadata={"dagster/uri": f"{landing.arrivals.uri}/{table.name}"},
        )
        for table in landing.tables
    ]


def landed_assets(landing: Landing, building: BuilderOf) -> dg.AssetsDefinition:
    """All tables that files feed, and the ledger, which is written whichever of them is selected.

    Args:
        landing: What takes the files.
        building: Gives what merges in a step.
    """
    contracts = landing.contracts
    tables = (*landing.tables, landing.ledger)

    @dg.multi_asset(
        name="landed_tables",
        specs=[
            table_spec(landing.builder.lake, table, lineage_of(contracts, table))
            for table in tables
        ],
        check_specs=[spec for table in tables for spec in check_specs(table)],
        can_subset=True,
    )
    def take(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckEvaluation]:
        selected = [t for t in landing.tables if asset_key(t) in context.selected_asset_keys]
        checks = context.selected_asset_check_keys
        tag = context.run.tags.get(LOOK_TAG)
        here = replace(landing, builder=building(context))
        try:
            taken = here.run(selected, Place.load(tag) if tag is not None else None)
        except AuditFailed as failed:
            yield from unpublished_checks(contracts, failed.checks, checks)
            raise failure(failed) from None
        except PublicationStopped as stopped:
            for built in stopped.built:
                table = contracts.table(built.version.table)
                context.log_event(dg.AssetMaterialization(asset_key(table)))
            raise failure(stopped) from None
        except RetailError as error:
            raise failure(error) from None
        for one in taken:
            key = asset_key(contracts.table(one.version.table))
            if key in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=key,
                    metadata={
                        "dagster/row_count": one.version.row_count,
                        "files_taken": one.files,
                        "files_set_aside": one.set_aside,
                        "rows_landed": one.rows,
                        "snapshot_id": str(one.version.snapshot_id),
                        "files": one.version.file_count,
                    },
                    data_version=dg.DataVersion(str(one.version.snapshot_id)),
                    check_results=list(check_results(contracts, one.checks, checks)),
                )
        there = {one.version.table for one in taken}
        if missing := [table for table in selected if table.name not in there]:
            raise failure(LakeError("\n".join(str(never_built(table)) for table in missing)))

    return take
