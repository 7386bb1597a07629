"""docs/iceberg.md on Trino: each type with filters, old snapshots, each release of the sample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from fakes.apache_catalog import ApacheCatalog
from fakes.iceberg_catalog import TOKEN
from fakes.iceberg_runs import Machine, machines, run, settings_of
from fakes.published_sample import MONTHS, as_of_query, publish_sample
from fakes.s3 import KEY, SECRET, S3Server
from fakes.shown import shown
from fakes.trino import Trino
from fakes.typed_tables import FILTERS, TABLE, VALUES, as_stored, table_sql
from fakes.workshop import Workshop

pytestmark = pytest.mark.campaign
PAGE = (Path(__file__).resolve().parents[2] / "docs/iceberg.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lake(
    s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Trino, Machine]]:
    """Trino on Apache's catalog, and sinks of it: Trino takes half a minute to start."""
    folder = tmp_path_factory.mktemp("trino")
    bucket = s3_server.new_bucket()
    apache = ApacheCatalog(s3_server, bucket, folder)
    [properties] = re.findall(r"^```properties\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for said, here in (
        ("https://catalog.cloudflarestorage.com/ACCOUNT/BUCKET", apache.uri),
        ("ACCOUNT_BUCKET", "lake"),
        ("https://ACCOUNT.r2.cloudflarestorage.com", s3_server.endpoint),
        ("=auto", "=us-east-1"),
        ("=KEY_ID", f"={KEY}"),
    ):
        assert said in properties
        properties = properties.replace(said, here)
    secrets = {"ICEBERG_TOKEN": TOKEN, "ICEBERG_BUCKET_SECRET": SECRET}
    trino = Trino(folder / "etc", properties, secrets)
    yield trino, machines(settings_of(s3_server, bucket, apache.uri, ""), folder / "machines")
    trino.close()
    apache.close()


def in_trino(condition: str, kind: str) -> str:
    """A condition with times as literals of their own type: no text is compared with them."""
    return re.sub(
        r"'(\d{4}-[^']*)'", lambda found: f"{kind} '{found[1].replace('T', ' ')}'", condition
    )


def test_trino_reads_each_type_and_filters_find_each_value(lake: tuple[Trino, Machine]) -> None:
    trino, on = lake
    kinds = list(VALUES)
    longest = max(map(len, VALUES.values()))
    rows: list[list[str | None]] = [
        [VALUES[kind][at % len(VALUES[kind])] for kind in kinds] for at in range(longest)
    ]
    rows.append([None] * len(kinds))
    sql = table_sql(kinds, rows)
    tables = {f"serving.f{at}": case for at, case in enumerate(FILTERS)}
    filtered = "; ".join(
        table_sql([kind], [[value] for value in values]).replace(TABLE, name)
        for name, (kind, values, _) in tables.items()
    )
    run(on("one"), "1", f"{sql}; {filtered}", TABLE, *tables)
    found, expected = trino.rows(f"SELECT * FROM {TABLE}"), as_stored(sql, kinds)
    counts = trino.rows(
        " UNION ALL ".join(
            f"SELECT '{name}', count(*) FROM {name} WHERE {in_trino(only, kind)}"
            for name, (kind, _, only) in tables.items()
        )
    )
    read, stored = (
        {(kind, str(row[at])) for row in some for at, kind in enumerate(kinds)}
        for some in (found, expected)
    )

    assert read ^ stored == set()
    assert len(found) == len(rows)
    assert [tables[str(name)] for name, count in counts if count != "1"] == []
    assert len(counts) == len(tables)


def test_trino_reads_all_tables_and_each_release_of_the_published_sample(
    lake: tuple[Trino, Machine], sample_run: Workshop
) -> None:
    trino, on = lake
    tables = publish_sample(sample_run, on)
    ask = "SELECT table_name, snapshot_id FROM publication.run WHERE state = 'published'"
    assert {name for name, _ in trino.rows(ask)} == set(tables)
    database = sample_run.directory / "materia.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        for table in tables:
            [[rows]] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert trino.rows(f"SELECT count(*) FROM {table}") == [[str(rows)]], table
        for month in MONTHS:
            release = connection.execute(f"FROM as_of('{month}')").fetchall()
            found = trino.rows(as_of_query(month, "lake"))
            assert len(found) > 100
            expected = [[shown(one) for one in row] for row in release]
            assert sorted(map(str, found)) == sorted(map(str, expected)), month


def test_the_queries_of_the_page_read_the_published_and_an_old_snapshot(
    lake: tuple[Trino, Machine],
) -> None:
    trino, on = lake
    some = "CREATE OR REPLACE TABLE serving.prices AS SELECT range AS price FROM range({})"
    run(on("one"), "page 1", some.format(7), "serving.prices")
    old = 'SELECT min_by(snapshot_id, committed_at) FROM serving."prices$snapshots"'
    [[first]] = trino.rows(old)
    run(on("one"), "page 2", some.format(5), "serving.prices")
    text = PAGE.partition("### Trino")[2].partition("###")[0]
    [block] = re.findall(r"^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    published, few, older = (
        trino.rows(sql.replace("123", str(first))) for sql in block.strip().rstrip(";").split(";")
    )

    assert ["serving.prices", "5"] in [row[:2] for row in published]
    assert sorted(few) == [["0"], ["1"], ["2"]]
    assert len(older) == 7
