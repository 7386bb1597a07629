"""A DuckDB file is opened where its path leads to now."""

from __future__ import annotations

from pathlib import Path

import duckdb
from materia_store.connection import opened


def test_a_database_behind_a_link_is_opened_also_after_the_link_moved_on(tmp_path: Path) -> None:
    link = tmp_path / "current"
    found = []
    for number in (1, 2):
        folder = tmp_path / f"run {number}"
        folder.mkdir()
        with duckdb.connect(str(folder / "materia.duckdb")) as made:
            made.execute(f"CREATE TABLE run AS SELECT {number} AS number")
        link.unlink(missing_ok=True)
        link.symlink_to(folder)

        with opened(link / "materia.duckdb", read_only=True) as connection:
            found += connection.execute("SELECT number FROM run").fetchall()

    assert found == [(1,), (2,)]
