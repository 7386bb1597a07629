"""SQLMesh gateway `spark`: run the models on Apache Spark, with Iceberg tables.

Only `sqlmesh --gateway spark` or `spark_session` imports and starts Spark.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlmesh.core.config import DuckDBConnectionConfig, GatewayConfig, SparkConnectionConfig

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GATEWAY = "spark"
PACKAGE = "pyspark"
# Spark's own variable: a folder with a spark-defaults.conf, which replaces all settings below.
CONFIGURATION_VARIABLE = "SPARK_CONF_DIR"
# Spark downloads these from Maven Central at its first start. The first jar is built for one minor
# version of Spark and of Scala.
JARS = (
    "org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.11.0",
    "org.xerial:sqlite-jdbc:3.50.3.0",
)
CATALOG = "spark.sql.catalog.materia"


def spark_gateway(folder: Path) -> GatewayConfig:
    """A gateway with its tables, their catalog and SQLMesh's state in *folder*."""
    return GatewayConfig(
        connection=SparkConnectionConfig.model_validate(
            {"check_import": False, "config": spark_settings(folder)}
        ),
        state_connection=DuckDBConnectionConfig(database=str(folder / "state.duckdb")),
    )


def spark_session(folder: Path) -> SparkSession:
    """A Spark session of the gateway in *folder*, to run queries and to copy the raw tables."""
    from pyspark.conf import SparkConf
    from pyspark.sql import SparkSession

    settings = SparkConf().setAll(list(spark_settings(folder.absolute()).items()))
    return SparkSession.builder.config(conf=settings).getOrCreate()


def spark_settings(folder: Path) -> dict[str, str]:
    """Local Spark with an Iceberg catalog in *folder*; empty if SPARK_CONF_DIR is set."""
    if os.environ.get(CONFIGURATION_VARIABLE):
        return {}
    return {
        "spark.master": "local[*]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        # SQLMesh enables Hive, which would write its empty metastore to the working directory.
        "spark.driver.extraJavaOptions": f'"-Dderby.system.home={folder}"',
        # Of the default 200 partitions nearly all would be empty, each with a task.
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.jars.packages": ",".join(JARS),
        "spark.sql.extensions": (
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        ),
        "spark.sql.defaultCatalog": CATALOG.rpartition(".")[2],
        CATALOG: "org.apache.iceberg.spark.SparkCatalog",
        f"{CATALOG}.type": "jdbc",
        f"{CATALOG}.uri": f"jdbc:sqlite:{folder / 'catalog.sqlite'}",
        f"{CATALOG}.jdbc.schema-version": "V1",  # the first that has views
        f"{CATALOG}.warehouse": str(folder / "tables"),
    }
