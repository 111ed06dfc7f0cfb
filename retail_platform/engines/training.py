"""Tables that are trained: within an engine run, from what SQL says of sales.

The only part of an engine that needs SciPy, and imported only where something is trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import Table
from retail_platform.errors import TrainingError
from retail_platform.recommender.evaluation import compare
from retail_platform.recommender.history import History
from retail_platform.recommender.model import train
from retail_platform.recommender.report import Report
from retail_platform.recommender.tables import as_tables, model_version
from retail_platform.recommender.training_set import TrainingSet


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        tables: The rows of every trained table, by its name.
        report: What is known of them.
    """

    tables: Mapping[str, pa.Table]
    report: Report


def train_tables(ask: Callable[[str], pa.Table], training_set: Table) -> Trained:
    """Trains on all sales, and judges the same training as of four weeks before the last.

    Args:
        ask: Answers a statement of the portable subset over the tables of the run.
        training_set: The contract of the training set, whose model can be asked for earlier days.

    Raises:
        TrainingError: There are no sales to learn from, or they are not what can be learnt from.
    """
    history = History(ask, training_set.sql)
    seen = TrainingSet.from_arrow(ask(f"SELECT * FROM {qualified(training_set)}"))
    recommender = train(seen, history.baskets)
    comparison, unjudged = None, ""
    try:
        comparison = compare(history)
    except TrainingError as error:
        unjudged = str(error)
    version = model_version(recommender)
    return Trained(
        as_tables(recommender, version),
        Report(version, recommender.training, comparison, unjudged),
    )
