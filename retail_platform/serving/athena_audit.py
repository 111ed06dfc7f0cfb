"""The audit of published tables on AWS: the contracts' checks, answered by Athena."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from retail_platform.contracts.checks import qualified
from retail_platform.contracts.model import VECTOR, Table
from retail_platform.contracts.sql import to_athena
from retail_platform.engines.audit import audit
from retail_platform.engines.protocol import Audit, InputTable
from retail_platform.errors import RetailError
from retail_platform.serving.athena import Relation, Session, over, pinned, session

_TABLES_AT_ONCE = 8
"""A small query takes Athena seconds, most of it waiting; an account may run twenty at once."""

_TYPES = {
    "int": "integer",
    "string": "varchar",
    "binary": "varbinary",
    "timestamp": "timestamp(6) with time zone",
    VECTOR: "array(real)",
}


@dataclass(frozen=True)
class AthenaAuditor:
    """Implements `engines.protocol.Auditor` over pinned snapshots.

    Attributes:
        workgroup: Athena's; it says where answers are written.
        database_prefix: What stands before a layer's name in that of its Glue database.
    """

    workgroup: str
    database_prefix: str

    def audit(self, tables: Sequence[InputTable], references: Sequence[InputTable]) -> list[Audit]:
        """See `engines.protocol.Auditor.audit`.

        Raises:
            ConfigurationError: The workgroup, region, credentials or a permission are missing, or
                Athena refuses a check.
            LakeError: Athena failed.
        """
        relations = {
            table.contract.name: Relation(table.contract.layer, self._rows(table))
            for table in (*tables, *references)
        }
        with session(self.workgroup) as athena, ThreadPoolExecutor(_TABLES_AT_ONCE) as pool:
            sql = _AthenaSnapshots(athena, relations)
            return list(pool.map(sql.audit, [table.contract for table in tables]))

    def _rows(self, table: InputTable) -> str:
        """A table with the columns of its contract, whatever those of the snapshot are."""
        contract = table.contract
        columns = ", ".join(
            f'CAST(NULL AS {_TYPES.get(column.type, column.type)}) AS "{column.name}"'
            if column.name in table.absent or table.snapshot_id is None
            else f'"{column.name}"'
            for column in contract.columns
        )
        if table.snapshot_id is None:
            return f"(SELECT {columns} WHERE false)"
        database = f"{self.database_prefix}{contract.layer}"
        return f"(SELECT {columns} FROM {pinned(database, contract.name, table.snapshot_id)})"


@dataclass(frozen=True)
class _AthenaSnapshots:
    """Implements `engines.audit.Sql`."""

    athena: Session
    relations: Mapping[str, Relation]

    def audit(self, table: Table) -> Audit:
        """Checks and measures one table."""
        try:
            return audit(self, table)
        except RetailError as error:
            raise type(error)(f"auditing {qualified(table)}: {error}") from error

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by column."""
        rows: list[dict[str, Any]] = self.athena.answer(
            over(to_athena(sql), self.relations)
        ).to_pylist()
        return rows

    def keys_differ(self, table: Table) -> bool:
        """Never certain: to find out is one query, and so is to count the keys that occur twice."""
        return False
