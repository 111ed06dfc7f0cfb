"""What runs inside the Glue job, for all layers: an order in, files and results out.

Dagster starts it, gives it the order through Pipes, and commits what it wrote. It knows no catalog.
"""

import json
import logging
import sys
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from dagster_pipes import (
    PipesCliArgsParamsLoader,
    PipesS3ContextLoader,
    PipesS3MessageWriter,
    open_dagster_pipes,
)

from retail_platform.engines.jdbc import JdbcSource
from retail_platform.engines.spark import SparkEngine
from retail_platform.errors import ConfigurationError, RetailError
from retail_platform.glue.order import JobSource, as_message, from_extras

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_REPORT_SECONDS = 1.0
"""How long a message may wait to be sent."""


def main() -> None:
    """Runs one order.

    Raises:
        RetailError: It was reported too; raised, so that Glue sees the job fail.
    """
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("retail_platform").setLevel(logging.INFO)
    parameters = PipesCliArgsParamsLoader()  # type: ignore[no-untyped-call]
    if not parameters.is_dagster_pipes_process():
        # Outside Pipes its context is a mock, which takes anything and does nothing.
        raise ConfigurationError(
            "this job was not started by Dagster: run `retail build`, or materialize an asset"
        )
    s3 = boto3.client("s3")
    with open_dagster_pipes(
        params_loader=parameters,
        context_loader=PipesS3ContextLoader(client=s3),
        message_writer=PipesS3MessageWriter(client=s3, interval=_REPORT_SECONDS),
    ) as pipes:
        try:
            order = from_extras(dict(pipes.extras))
            source = _source(order.source) if order.source else None
            for result in SparkEngine(_session).run(order.request, source):
                pipes.report_custom_message(as_message(result))
        except RetailError as error:
            pipes.report_custom_message(as_message(error))
            raise


def _session() -> "SparkSession":
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _source(source: JobSource) -> JdbcSource:
    """The source with its login, which comes from Secrets Manager and goes nowhere else.

    Raises:
        ConfigurationError: The job may not read the secret, or cannot reach it.
    """
    try:
        secret = boto3.client("secretsmanager").get_secret_value(SecretId=source.secret)
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError(
            f"the Glue job cannot read the secret {source.secret}: {error}: grant its role "
            "secretsmanager:GetSecretValue on it, and let its network reach Secrets Manager"
        ) from error
    login = json.loads(secret["SecretString"])
    return JdbcSource(
        source.product,
        source.host,
        source.port,
        source.database,
        str(login["username"]),
        str(login["password"]),
        source.session,
        source.tls,
    )
