"""From the lake to the vector store: which vectors, and whether they may take the live ones' place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retail_platform.contracts.loader import Contracts
from retail_platform.engines.as_json import dump, load_if_known
from retail_platform.errors import AuditError, LakeError
from retail_platform.lake.lake import Lake, Version
from retail_platform.recommender.gates import worse_than_live
from retail_platform.recommender.history import TRAINING_SET
from retail_platform.recommender.report import Comparison, Report
from retail_platform.recommender.training_set import TrainingSet

if TYPE_CHECKING:
    from retail_platform.recommender.edition import Edition
    from retail_platform.recommender.vector_store import Published, VectorStore

PRODUCTS = "dim_products"
"""The catalogue: names, lines and stock."""


class NotBetter(AuditError):
    """The new vectors are clearly worse than the live ones, which go on serving."""


@dataclass(frozen=True)
class Shelf:
    """The versions of the lake's tables that a publication takes, all of one training.

    Attributes:
        versions: By table.
        report: What is known of the training.
    """

    versions: Mapping[str, Version]
    report: Report


def published_tables(contracts: Contracts) -> list[str]:
    """The tables of the lake that the vector store is made of."""
    trained = [table.name for table in contracts.tables.values() if table.trained_from]
    return [*trained, TRAINING_SET, PRODUCTS]


def newest(lake: Lake) -> Shelf:
    """The versions that would be published now.

    Raises:
        LakeError: A table was never built, or the embeddings are of different trainings.
    """
    versions: dict[str, Version] = {}
    for name in published_tables(lake.contracts):
        version = lake.version(name)
        if version is None:
            raise LakeError(f"{name} was never built: run `retail build ml` first")
        versions[name] = version
    reports = {name: v.report for name, v in versions.items() if v.report}
    trained = {name for name in versions if lake.contracts.table(name).trained_from}
    models = {report.model_version for report in reports.values()}
    if len(models) != 1 or set(reports) != trained:
        told = ", ".join(f"{name} {report.model_version}" for name, report in reports.items())
        raise LakeError(
            f"the embeddings are not of one training ({told or 'none says of which'}): run "
            "`retail build ml`, which trains all of them together"
        )
    return Shelf(versions, next(iter(reports.values())))


def publish(lake: Lake, store: "VectorStore", *, even_if_worse: bool = False) -> "Published":
    """Publishes the newest embeddings of the lake, unless they are clearly worse than the live ones.

    Args:
        lake: Where they are.
        store: Where they go.
        even_if_worse: Whether somebody has decided that they shall be published all the same.

    Raises:
        NotBetter: They are; the live version goes on serving.
        LakeError: There are none, or they cannot be read.
        VectorStoreError: The store cannot take them; the live version goes on serving.
    """
    shelf = newest(lake)
    if live := None if even_if_worse else store.live_version():
        theirs = load_if_known(Comparison, live.description.get("evaluation"))
        if told := worse_than_live(shelf.report.comparison, theirs):
            raise NotBetter(
                f"{told}: version {live.version} stays live. Look for what is missing in "
                "fact_orders, or take the new one all the same with "
                "`retail vectors publish --even-if-worse`"
            )
    return store.publish(edition(lake, shelf))


def edition(lake: Lake, shelf: Shelf) -> "Edition":
    """What the vector store takes, read from the lake."""
    from retail_platform.recommender.edition import edition_of

    rows = {name: lake.rows(name, version.snapshot_id) for name, version in shelf.versions.items()}
    training = shelf.report.training
    return edition_of(
        rows,
        rows[PRODUCTS],
        TrainingSet.from_arrow(rows[TRAINING_SET]),
        shelf.report.model_version,
        {
            "method": f"{training.method}: {training.reason}",
            "as_of": str(training.as_of),
            "snapshots": {name: v.snapshot_id for name, v in shelf.versions.items()},
            "evaluation": dump(shelf.report.comparison),
        },
    )
