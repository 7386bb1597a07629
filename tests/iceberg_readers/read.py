"""Reads tables with DuckDB's Iceberg extension and with pyiceberg, as people do; one JSON a line.

It runs in the environment of the folder it is in, and answers each question with the rows as texts:
`{"engine": "duckdb", "table": "serving.prices", "filter": "i = 1", "snapshot": null}`.
The first line says where the catalog and the store are.
"""

from __future__ import annotations

import importlib
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

TEXTS = "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM"


class Readers:
    """Both, connected."""

    def __init__(self, where: dict[str, Any]) -> None:
        self._duckdb = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self._duckdb.execute("SET TimeZone = 'UTC'")
        for name in ("httpfs", "avro", "iceberg"):
            package = importlib.import_module(f"duckdb_extension_{name}")
            found = next(Path(str(package.__file__)).parent.rglob("*.duckdb_extension"))
            self._duckdb.execute(f"LOAD '{found}'")
        host = where["endpoint"].removeprefix("http://")
        self._duckdb.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{where['key']}', SECRET '{where['secret']}', "
            f"REGION 'us-east-1', ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path')"
        )
        self._duckdb.execute(f"CREATE SECRET catalog (TYPE iceberg, TOKEN '{where['token']}')")
        self._duckdb.execute(
            f"ATTACH '{where['warehouse']}' AS ice (TYPE iceberg, ENDPOINT '{where['uri']}', "
            "SECRET catalog, ACCESS_DELEGATION_MODE 'none')"
        )
        self._where = where
        self._pyiceberg: Any = None

    def rows(self, question: dict[str, Any]) -> list[list[str | None]]:
        """What is found, sorted."""
        if "sql" in question:
            found = self._duckdb.execute(question["sql"]).fetchall()
            return sorted([[str(one) for one in row] for row in found])
        ask = self._with_duckdb if question["engine"] == "duckdb" else self._with_pyiceberg
        return sorted(
            (list(row) for row in ask(question)), key=lambda row: [str(one) for one in row]
        )

    def _with_duckdb(self, question: dict[str, Any]) -> list[Any]:
        version = question.get("snapshot")
        at = f" AT (VERSION => {version})" if version else ""
        where = f" WHERE {question['filter']}" if question.get("filter") else ""
        return self._duckdb.execute(f"{TEXTS} ice.{question['table']}{at}{where}").fetchall()

    def _with_pyiceberg(self, question: dict[str, Any]) -> list[Any]:
        if self._pyiceberg is None:
            from pyiceberg.catalog.rest import RestCatalog

            where = self._where
            self._pyiceberg = RestCatalog(
                "tests",
                uri=where["uri"],
                warehouse=where["warehouse"],
                token=where["token"],
                **{
                    "s3.endpoint": where["endpoint"],
                    "s3.access-key-id": where["key"],
                    "s3.secret-access-key": where["secret"],
                    "s3.region": "us-east-1",
                },
            )
        table = self._pyiceberg.load_table(question["table"])
        options = {"row_filter": question["filter"]} if question.get("filter") else {}
        if "condition" in question:
            options = {"row_filter": expression(*question["condition"])}
        found = table.scan(snapshot_id=question.get("snapshot"), **options).to_arrow()
        self._duckdb.register("found", found)
        rows = self._duckdb.execute(f"{TEXTS} found").fetchall()
        self._duckdb.unregister("found")
        return rows


def expression(column: str, kind: str, operator: str, text: str | None) -> Any:
    """A condition of pyiceberg, which would read a text in a condition in its own way."""
    # They take a name by its place, which their types do not say.
    made: Any = importlib.import_module("pyiceberg.expressions")
    if text is None:
        return made.IsNull(column)
    values: dict[str, Any] = {
        "BOOLEAN": lambda: text == "true",
        "INTEGER": lambda: int(text),
        "BIGINT": lambda: int(text),
        "DOUBLE": lambda: float(text),
        "DECIMAL(18,3)": lambda: Decimal(text),
    }
    value = values.get(kind, lambda: text)()
    return (made.EqualTo if operator == "=" else made.LessThan)(column, value)


def main() -> None:
    """Answer until the input ends."""
    readers = Readers(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"rows": readers.rows(json.loads(line))}
        except Exception as error:  # noqa: BLE001 -- the test tells of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)  # noqa: T201 -- it is the answer


if __name__ == "__main__":
    main()
