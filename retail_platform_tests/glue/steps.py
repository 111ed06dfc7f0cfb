"""The Glue engine as any other, for the suite that holds for every engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from retail_platform.engines.duckdb import DuckDBEngine
from retail_platform.engines.protocol import (
    Audit,
    InputTable,
    RowReader,
    RunRequest,
    TableResult,
)
from retail_platform.glue.runner import GlueEngine
from retail_platform_tests.aws import PIPES_BUCKET
from retail_platform_tests.glue.stand_in import JOB

LAKE = "file:///lake"


def glue_engine(duckdb: DuckDBEngine) -> GlueEngine:
    """The engine outside a step; it audits with DuckDB."""
    return GlueEngine(JOB, PIPES_BUCKET, LAKE, duckdb)


@dataclass(frozen=True)
class InAStep:
    """An engine each of whose runs is a Dagster run of one step.

    Attributes:
        engine: What runs in it.
    """

    engine: GlueEngine

    def run(self, request: RunRequest, source: RowReader | None = None) -> list[TableResult]:
        """See `engines.protocol.Engine.run`."""
        found: list[TableResult] = []
        raised: list[Exception] = []

        @dg.op
        def step(context: dg.OpExecutionContext) -> None:
            try:
                found.extend(self.engine.within(context).run(request, source))
            except Exception as error:
                raised.append(error)

        @dg.job
        def build() -> None:
            step()

        build.execute_in_process()
        if raised:
            raise raised[0]
        return found

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        """See `engines.protocol.Auditor.audit`."""
        return self.engine.audit(tables, references)
