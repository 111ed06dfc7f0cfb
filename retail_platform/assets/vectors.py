"""The vector store as an asset: published from the embeddings, unless they are clearly worse."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import dagster as dg

from retail_platform.assets.layers import asset_key, failure
from retail_platform.errors import RetailError
from retail_platform.lake.lake import Lake
from retail_platform.publication import NotBetter, publish, published_tables

if TYPE_CHECKING:
    from retail_platform.recommender.vector_store import VectorStore

OpenVectorStore = Callable[[], "AbstractContextManager[VectorStore]"]
"""Gives the vector store while it is needed."""

VECTOR_STORE = "vector_store"

VECTOR_STORE_KEY = dg.AssetKey(["ml", VECTOR_STORE])

NOT_WORSE = "not_worse_than_live"


def vector_store_asset(lake: Lake, open_store: OpenVectorStore) -> dg.AssetsDefinition:
    """The asset that publishes the newest embeddings of the lake.

    Args:
        lake: Where they are.
        open_store: Where they go.
    """
    contracts = lake.contracts

    @dg.asset(
        key=VECTOR_STORE_KEY,
        deps=[asset_key(contracts.table(name)) for name in published_tables(contracts)],
        group_name="ml",
        kinds={"postgres", "pgvector"},
        description=(
            "What recommendations are served from: the embeddings of one training, with purchases, "
            "names and lines, in PostgreSQL with pgvector. Loaded beside the live version, tested, "
            "and made live by one row; the last three versions stay for `retail vectors rollback`."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                NOT_WORSE,
                asset=VECTOR_STORE_KEY,
                description="The model is not clearly worse than the one that is live.",
                blocking=True,
            )
        ],
        output_required=False,
    )
    def vector_store(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckEvaluation]:
        try:
            with open_store() as store:
                published = publish(lake, store)
        except NotBetter as worse:
            yield dg.AssetCheckEvaluation(
                asset_key=VECTOR_STORE_KEY,
                check_name=NOT_WORSE,
                passed=False,
                severity=dg.AssetCheckSeverity.ERROR,
                description=str(worse),
            )
            raise failure(worse) from None
        except RetailError as error:
            raise failure(error) from None
        version = published.version
        yield dg.MaterializeResult(
            metadata={
                "version": version.version,
                "model_version": version.model_version,
                "products": version.products,
                "customers": version.customers,
                "ef_search": version.ef_search or "exact, without an index",
                "index recall@10": round(published.recall, 4),
                "seconds": round(published.seconds, 3),
                "flip_milliseconds": round(1000 * published.flip_seconds, 1),
                "snapshots": version.description["snapshots"],
            },
            data_version=dg.DataVersion(version.model_version),
            check_results=[dg.AssetCheckResult(passed=True, check_name=NOT_WORSE)],
        )

    return vector_store
