"""What a database that is published may say of the world outside: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest
from fakes.examples import of_each_kind
from materia.data import PublishRequest
from materia.errors import SinkError
from materia_duckdb.sink import DuckDBSink
from materia_runner.tables.counts import tables_in
from materia_store.connection import opened

SECRET = "-----BEGIN OPENSSH KEY s3cr3t"  # noqa: S105 -- made up here


def publish(folder: Path, statements: Sequence[str], *tables: str) -> list[int]:
    """Publish what *statements* make of an empty database; the rows of *tables*."""
    sink = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    copy = sink.checkout()
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT i, i * 2 AS j FROM range(4) r(i)"
        )
        for statement in statements:
            connection.execute(statement)
    request = PublishRequest(run="r", database=copy, tables=tables or ("s.t",), fingerprint="x")
    return [table.rows for table in sink.publish(request)]


INSIDE = [
    "SELECT * FROM s.t",
    "SELECT i FROM t",
    "WITH q AS (SELECT * FROM s.t), p AS (SELECT i FROM q) SELECT p.i FROM p JOIN q USING (i)",
    "WITH RECURSIVE q AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM q WHERE a < 4) FROM q",
    "SELECT unnest([1, 2, 3]) AS a, r.* FROM range(3) r(b)",
    "SELECT * FROM (VALUES (1), (2)) x(a), generate_series(1, 3)",
    "SELECT i, row_number() OVER (ORDER BY j) FROM s.t WHERE i IN (SELECT j FROM s.t)",
    "SELECT list_transform([i], x -> x + 1), {'a': i}, '/etc/passwd' AS path FROM s.t",
    "SELECT * FROM s.tm(2)",
    "SELECT s.m(i) FROM s.t",
    'SELECT * FROM s.t UNION ALL BY NAME SELECT * FROM s."odd AS name"',
    "SELECT date_trunc('month', TIMESTAMPTZ '2026-11-29 12:00:00+00') AT TIME ZONE 'Asia/Tokyo'",
]
OWN = [
    "CREATE SCHEMA IF NOT EXISTS main; CREATE TABLE main.t AS SELECT 1 AS i",
    'CREATE TABLE s."odd AS name" AS SELECT 1 AS i, 2 AS j',
    "CREATE MACRO s.m(x) AS x + 1, (x, y) AS x + y",
    "CREATE MACRO s.tm(x) AS TABLE SELECT * FROM s.t WHERE i = x",
]


@pytest.mark.parametrize("sql", INSIDE)
def test_a_view_of_its_own_database_is_published_with_its_rows(tmp_path: Path, sql: str) -> None:
    (rows,) = publish(
        tmp_path,
        [
            *OWN,
            f'CREATE VIEW s."a view (AS x)" ("b AS c") AS {sql}'
            if sql == "SELECT i FROM t"
            else f"CREATE VIEW s.v AS {sql}",
        ],
        "s.a view (AS x)" if sql == "SELECT i FROM t" else "s.v",
    )

    assert rows >= 1


OUTSIDE = [
    ("CREATE VIEW s.v AS FROM read_text('{file}')", "read_text()"),
    ("CREATE VIEW s.v AS FROM read_blob('{file}')", "read_blob()"),
    ("CREATE VIEW s.v AS FROM read_csv('{csv}')", "read_csv()"),
    ("CREATE VIEW s.v AS FROM '{csv}'", ".csv'"),
    ("CREATE VIEW s.v AS FROM glob('{file}*')", "glob()"),
    ("CREATE VIEW s.v AS FROM sniff_csv('{csv}')", "sniff_csv()"),
    ("CREATE VIEW s.v AS FROM duckdb_settings()", "duckdb_settings()"),
    ("CREATE VIEW s.v AS FROM duckdb_secrets()", "duckdb_secrets()"),
    ("CREATE VIEW s.v AS FROM duckdb_databases", "'duckdb_databases'"),
    ("CREATE VIEW s.v AS FROM information_schema.tables", "'information_schema'.'tables'"),
    ("CREATE VIEW s.v AS FROM pg_catalog.pg_settings", "'pg_catalog'.'pg_settings'"),
    ("CREATE VIEW s.v AS FROM system.main.duckdb_databases", "'system'"),
    ("CREATE VIEW s.v AS SELECT current_setting('home_directory')", "current_setting()"),
    ("CREATE VIEW s.v AS FROM query('FROM read_text(''{file}'')')", "query()"),
    ("CREATE VIEW s.v AS FROM query_table('s.t')", "query_table()"),
    ("CREATE VIEW s.v AS FROM (SUMMARIZE s.t)", "a description of tables"),
    ("CREATE VIEW s.v AS SELECT (SELECT content FROM read_text('{file}')) FROM s.t", "read_text()"),
    (
        (
            "CREATE VIEW s.v AS SELECT * FROM s.t WHERE i IN "
            "(SELECT size FROM (SELECT * FROM read_text('{file}')))"
        ),
        "read_text()",
    ),
    (
        "CREATE VIEW s.v AS WITH q AS (SELECT 1), r AS (SELECT * FROM read_text('{file}')) FROM r",
        "read_text()",
    ),
    (
        (
            "CREATE VIEW s.v AS SELECT 1 FROM "
            "range((SELECT ascii(substr(content, 1, 1)) FROM read_text('{file}'))::BIGINT)"
        ),
        "read_text()",
    ),
    ("CREATE MACRO s.v() AS TABLE FROM read_text('{file}')", "read_text()"),
    ("CREATE MACRO s.v(p) AS TABLE FROM read_text(p)", "read_text()"),
    ("CREATE MACRO s.v() AS (SELECT content FROM read_text('{file}'))", "read_text()"),
    (
        "CREATE MACRO s.v(x) AS x, (x, y) AS (SELECT content FROM read_text('{file}'))",
        "read_text()",
    ),
    (
        (
            "CREATE MACRO s.read_text(p) AS TABLE SELECT 1; "
            "CREATE VIEW s.v AS FROM read_text('{file}')"
        ),
        "read_text()",
    ),
    (
        'CREATE VIEW s.v AS SELECT * FROM (WITH "{csv}" AS (SELECT 1) FROM "{csv}"), "{csv}"',
        ".csv'",
    ),
    (
        (
            "CREATE VIEW s.v AS SELECT * FROM "
            "(WITH duckdb_databases AS (SELECT 1) FROM duckdb_databases), duckdb_databases"
        ),
        "'duckdb_databases'",
    ),
    ("CREATE TABLE s.v (a TEXT DEFAULT current_setting('home_directory'))", "current_setting()"),
    (
        "CREATE TABLE s.v (a INT, b TEXT GENERATED ALWAYS AS (getvariable('a')))",
        "getvariable()",
    ),
    ("CREATE TABLE s.v (a TEXT CHECK (a <> current_setting('threads')))", "current_setting()"),
]


@pytest.mark.parametrize(
    ("statement", "reached"), of_each_kind(OUTSIDE, *[one for one, _ in OUTSIDE[::3]])
)
def test_what_reaches_out_is_not_published(tmp_path: Path, statement: str, reached: str) -> None:
    (tmp_path / "id_ed25519").write_text(SECRET)
    (tmp_path / "planted.csv").write_text("a,b\n1,2\n")
    made = statement.format(file=tmp_path / "id_ed25519", csv=tmp_path / "planted.csv")
    assert publish(tmp_path, []) == [4]

    with pytest.raises(
        SinkError,
        match=r"(the (view|macro|column)|a check of) s\.[\w.]+ reads outside the database: ",
    ) as raised:
        publish_again(tmp_path, made)

    assert reached in str(raised.value)
    assert SECRET not in str(raised.value)
    with duckdb.connect(str(tmp_path / "materia.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT run FROM publication.run").fetchall() == [("r",)]


def publish_again(folder: Path, statement: str) -> None:
    sink = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    copy = sink.checkout()
    with duckdb.connect(str(copy)) as connection:
        connection.execute(statement)
    sink.publish(PublishRequest(run="again", database=copy, tables=("s.t",), fingerprint="y"))


LOCKED_OUT = [
    "FROM read_text('{file}')",
    "FROM '{csv}'",
    "ATTACH '{folder}/other.duckdb'",
    "COPY s.t TO '{folder}/out.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "EXPORT DATABASE '{folder}/exported'",
    "FROM in_python",
]


@pytest.mark.parametrize("statement", LOCKED_OUT)
def test_an_opened_database_reads_and_writes_no_other_file(tmp_path: Path, statement: str) -> None:
    in_python = duckdb.sql("SELECT 1")
    assert in_python is not None
    (tmp_path / "id_ed25519").write_text(SECRET)
    (tmp_path / "planted.csv").write_text("a,b\n1,2\n")
    path = tmp_path / "materia.duckdb"
    text = statement.format(
        file=tmp_path / "id_ed25519", csv=tmp_path / "planted.csv", folder=tmp_path
    )
    with opened(path, read_only=False) as connection:
        connection.execute("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS i")

    with pytest.raises(SinkError), opened(path, read_only=False) as connection:
        connection.execute(text)

    assert {one.name for one in tmp_path.iterdir()} <= {
        *("id_ed25519", "planted.csv", "materia.duckdb", "materia.duckdb.tmp"),
    }


def test_what_is_looked_at_reads_no_file_whatever_its_views_say(tmp_path: Path) -> None:
    path = tmp_path / "materia.duckdb"
    (tmp_path / "id_ed25519").write_text(SECRET)
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA serving; CREATE TABLE serving.t AS SELECT 1")
        connection.execute(f"CREATE VIEW serving.v AS FROM read_text('{tmp_path}/id_ed25519')")

    assert tables_in(path) == {"serving.t": 1, "serving.v": None}
