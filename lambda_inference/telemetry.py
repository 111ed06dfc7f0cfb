"""What the Lambda says of itself: structured logs without personal data, and metrics."""

from collections.abc import Sequence

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from lambda_inference.records import Answered
from lambda_inference.settings import metrics_namespace

logger = Logger(service="lambda_inference")
metrics = Metrics(namespace=metrics_namespace(), service="lambda_inference")


def report(answered: Sequence[Answered]) -> None:
    """Counts what became of a batch, and says why records were rejected."""
    events = [event for one in answered for event in one.events]
    rejected = [one for one in answered if one.rejection is not None]
    for one in rejected:
        logger.warning("rejected", extra={"record": one.record.key, "reason": one.rejection})
    metrics.add_metric("Events", MetricUnit.Count, len(events))
    metrics.add_metric("RejectedRecords", MetricUnit.Count, len(rejected))
    metrics.add_metric("Degraded", MetricUnit.Count, sum(event.degraded for event in events))
