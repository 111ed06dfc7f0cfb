"""Purchase lines that are in no lake, as a history: a file's, or a test's."""

import duckdb
import pyarrow as pa

from retail_platform.contracts.loader import load_contracts
from retail_platform.contracts.sql import to_duckdb
from retail_platform.engines.duckdb import duckdb_type
from retail_platform.recommender.history import TRAINING_SET, History


def of_lines(lines: pa.Table) -> History:
    """A history of purchase lines alone, of whose customers and products nothing else is known.

    Args:
        lines: The columns of `purchases.COLUMNS`; a line without a customer is a guest's.
    """
    contracts = load_contracts()
    model = contracts.table(TRAINING_SET)
    connection = duckdb.connect()
    connection.register("lines", lines)
    told = {name: f'"{name}"' for name in lines.column_names}
    told |= {"is_sale": "true", "quantity_ordered": "1", "order_amount": "0"}
    for table in map(contracts.table, contracts.inputs(model)):
        known = told if table.name == "fact_orders" else {}
        columns = ", ".join(
            f'CAST({known.get(column.name, "NULL")} AS {duckdb_type(column.type)}) AS "{column.name}"'
            for column in table.columns
        )
        rows = f"SELECT {columns} FROM lines" if known else f"SELECT {columns} WHERE false"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.layer}")
        connection.execute(f"CREATE VIEW {table.layer}.{table.name} AS {rows}")
        connection.execute(f"CREATE VIEW {table.name} AS FROM {table.layer}.{table.name}")

    def ask(sql: str) -> pa.Table:
        rows: pa.Table = connection.sql(to_duckdb(sql)).to_arrow_table()
        return rows

    return History(ask, model.sql)
