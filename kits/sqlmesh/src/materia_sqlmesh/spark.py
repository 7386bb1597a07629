"""The SQLMesh gateway `spark`: the same models on Apache Spark, in Iceberg tables.

Nothing of Spark is imported or started before `sqlmesh --gateway spark` asks for it.
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
# Spark's own variable: a folder with a spark-defaults.conf, in place of all that is said here.
CONFIGURATION_VARIABLE = "SPARK_CONF_DIR"
# Spark fetches them from Maven Central when it starts for the first time. The first is built for
# one minor version of Spark and of Scala.
JARS = (
    "org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.11.0",
    "org.xerial:sqlite-jdbc:3.50.3.0",
)
CATALOG = "spark.sql.catalog.materia"


def spark_gateway(folder: Path) -> GatewayConfig:
    """A gateway whose tables, their catalog and SQLMesh's state lie in *folder*."""
    return GatewayConfig(
        connection=SparkConnectionConfig.model_validate(
            {"check_import": False, "config": spark_settings(folder)}
        ),
        state_connection=DuckDBConnectionConfig(database=str(folder / "state.duckdb")),
    )


def spark_session(folder: Path) -> SparkSession:
    """The Spark of the gateway in *folder*, for questions and for bringing the raw tables."""
    from pyspark.conf import SparkConf
    from pyspark.sql import SparkSession

    settings = SparkConf().setAll(list(spark_settings(folder.absolute()).items()))
    return SparkSession.builder.config(conf=settings).getOrCreate()


def spark_settings(folder: Path) -> dict[str, str]:
    """A Spark inside this process with an Iceberg catalog in *folder*; none with SPARK_CONF_DIR."""
    if os.environ.get(CONFIGURATION_VARIABLE):
        return {}
    return {
        "spark.master": "local[*]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        # SQLMesh asks for Hive, which would write its empty metastore into the working folder.
        "spark.driver.extraJavaOptions": f'"-Dderby.system.home={folder}"',
        # Of 200, the default, nearly all would be empty: a task each, for nothing.
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
