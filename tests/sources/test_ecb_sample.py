"""The sample of `ecb` through SQLMesh, and the query of its README beside the balances of PSD."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from fakes.samples import load_sample
from fakes.snapshot_files import PRICES, Shelf, with_
from materia_ecb import materia_sources as ecb_sources
from materia_psdonline import materia_sources as psd_sources
from materia_runner.worker.sqlmesh.build import TransformRequest, transform
from materia_snapshots import Column

ORDERS = with_(
    PRICES,
    name="orders",
    summary='It\'s "odd": a; b',
    key=("order", "group"),
    columns={
        "order": "TEXT",
        "group": Column(type="INTEGER", comment='It\'s a "group"'),
        "select": "DOUBLE",
    },
)
README = Path(__file__).resolve().parents[2] / "plugins/sources/ecb/README.md"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both samples and odd names in one database, with the generated models."""
    folder = tmp_path_factory.mktemp("samples")
    database = folder / "materia.duckdb"
    load_sample(psd_sources()[0], database, folder)
    source, report = load_sample(ecb_sources()[0], database, folder)
    assert report.loaded == ("2018", "2019")
    models = source.models()
    assert models is not None
    (folder / "orders").mkdir()
    orders = Shelf(folder / "orders", ORDERS)
    orders.put("2026-01", "order,group,select\na,1,2\n")
    days = orders.load(database=database).affected
    projects = tuple(filter(None, (models, orders.open().models())))
    built = transform(
        TransformRequest(database=database, projects=projects, affected=(*report.affected, *days))
    )
    assert built.tables == ("staging.stg_ecb", "staging.stg_orders")
    assert built.audits == 4
    return database


def test_the_generated_model_has_the_rows_and_the_comments(database: Path) -> None:
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute("SELECT count(*) FROM staging.stg_ecb").fetchone()
        comments = dict(
            connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() "
                "WHERE schema_name = 'staging' AND table_name = 'stg_ecb'"
            ).fetchall()
        )

    assert rows == (2 * 12 * 2 * 3,)
    assert list(comments) == [
        *("partition", "period", "currency", "rate_on", "rate", "undeclared"),
    ]
    assert comments["currency"] == "ISO 4217 code, such as USD"
    assert comments["period"] == "First day of the period of the row's file"


def test_a_column_may_have_the_name_of_a_keyword_and_a_comment_with_quotes(
    database: Path,
) -> None:
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute('SELECT "order", "group" FROM staging.stg_orders').fetchall()
        comment = connection.execute(
            "SELECT comment FROM duckdb_columns() "
            "WHERE table_name = 'stg_orders' AND column_name = 'group'"
        ).fetchone()

    assert rows == [("a", 1)]
    assert comment == ('It\'s a "group"',)


def test_the_query_of_the_readme_joins_rates_to_balances(database: Path) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(query).fetchall()

    assert [f"{row[0]:%Y-%m}" for row in rows] == sorted(f"{row[0]:%Y-%m}" for row in rows)
    assert {f"{row[0]:%Y-%m}" for row in rows} == {"2018-12", "2019-02", "2019-05"}
    assert all(exports > 0 and 3 < rate < 6 for _, _, exports, rate in rows)
