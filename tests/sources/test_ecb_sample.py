"""The sample of `ecb` through SQLMesh, and the query of its README beside the balances of PSD."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from fakes.samples import load_sample
from materia_ecb import materia_sources as ecb_sources
from materia_psdonline import materia_sources as psd_sources
from materia_runner.worker.sqlmesh.build import TransformRequest, transform

README = Path(__file__).resolve().parents[2] / "plugins/sources/ecb/README.md"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both samples in one database, with the generated model of `ecb`."""
    folder = tmp_path_factory.mktemp("samples")
    database = folder / "materia.duckdb"
    load_sample(psd_sources()[0], database, folder)
    source, report = load_sample(ecb_sources()[0], database, folder)
    assert report.loaded == ("2018", "2019")
    models = source.models()
    assert models is not None
    built = transform(
        TransformRequest(database=database, projects=(models,), affected=report.affected)
    )
    assert "staging.stg_ecb" in built.tables
    assert built.audits >= 2
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
    assert list(comments) == ["partition", "period", "currency", "rate_on", "rate"]
    assert comments["currency"] == "ISO 4217 code, such as USD"
    assert comments["period"] == "First day of the period of the row's file"


def test_the_query_of_the_readme_joins_rates_to_balances(database: Path) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(query).fetchall()

    assert [f"{row[0]:%Y-%m}" for row in rows] == sorted(f"{row[0]:%Y-%m}" for row in rows)
    assert {f"{row[0]:%Y-%m}" for row in rows} == {"2018-12", "2019-02", "2019-05"}
    assert all(exports > 0 and 3 < rate < 6 for _, _, exports, rate in rows)
