"""The Glue engine as any other, for the suite that holds for every engine."""

from dataclasses import dataclass
from typing import ClassVar

import dagster as dg

from retail_platform.engines.protocol import RowReader, RunRequest, TableResult
from retail_platform.glue.runner import GlueEngine
from retail_platform_tests.aws import PIPES_BUCKET
from retail_platform_tests.glue.stand_in import JOB

LAKE = "file:///lake"


@dataclass(frozen=True)
class GlueInAStep:
    """The engine, each of whose runs is here a Dagster run of one step."""

    source_connections: ClassVar[int] = GlueEngine.source_connections

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`."""
        found: list[TableResult] = []
        raised: list[Exception] = []

        @dg.op
        def step(context: dg.OpExecutionContext) -> None:
            try:
                found.extend(GlueEngine(JOB, PIPES_BUCKET, LAKE, context).run(request, source))
            except Exception as error:
                raised.append(error)

        @dg.job
        def build() -> None:
            step()

        build.execute_in_process()
        if raised:
            raise raised[0]
        return found
