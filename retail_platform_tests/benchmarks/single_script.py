"""The Glue job that one writes in an hour: what `retail build` on Glue is measured against.

One session reads every table by one JDBC connection, keeps it, and writes the star schema by Spark
SQL. No raw layer, no checks, no totals, no commit. `single_script.py ORDER`, a file of JSON.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    spark = SparkSession.builder.appName("star schema").getOrCreate()
    for source in order["sources"]:
        rows = spark.read.format("jdbc").options(
            **order["jdbc"], dbtable=f"({source['sql']}) AS rows_of_{source['name']}"
        )
        table = rows.load()
        if month := source["month"]:
            first_day = f"CAST(date_trunc('month', {source['date']}) AS date) AS {month}"
            table = table.selectExpr("*", first_day)
        table.cache().createOrReplaceTempView(source["name"])
    for model in order["models"]:
        # The last version of a dimension, which its model reads, does not exist yet.
        spark.createDataFrame([], model["columns"]).createOrReplaceTempView(model["name"])
    for model in order["models"]:
        target = f"{order['target']}/{model['name']}"
        write = spark.sql(model["sql"].replace("raw.", "").replace("star.", "")).write
        if month := model["month"]:
            write = write.partitionBy(month)
        write.parquet(target)
        spark.read.parquet(target).createOrReplaceTempView(model["name"])


if __name__ == "__main__":
    main()
