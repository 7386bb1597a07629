from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from fakes.workshop import Workshop


def build(path: Path) -> Path:
    """A database with one table of odd values, and a view that reads a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = path.parent / "secret.csv"
    secret.write_text("word\nhunter2\n", encoding="utf-8")
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA serving")
        connection.execute(
            "CREATE TABLE serving.fct_crop AS SELECT * FROM (VALUES "
            "('0410000', 12.50::DECIMAL(18,2), DATE '2025-05-01', 'a,\"b\"', 1.5::DOUBLE), "
            "('0440000', 99999999999999.99, NULL, '=1+1', 'NaN'::DOUBLE)"
            ") AS rows_of_crops (code, tonnes, day_of_sale, remark, share) ORDER BY code"
        )
        connection.execute(
            f"CREATE VIEW serving.spy AS SELECT * FROM read_csv('{secret}', header = true)"
        )
        connection.execute("CREATE TABLE serving.large AS SELECT range AS number FROM range(50)")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return build(tmp_path / "data/published.duckdb")


@pytest.fixture
def desk(folders: Workshop) -> Workshop:
    """A workshop whose sink has published that database."""
    build(folders.directory / "out/published.duckdb")
    return folders
