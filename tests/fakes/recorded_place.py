"""A small SQLMesh project with a database, and a cache for its recorded builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from materia_runner.worker.sqlmesh.build import TransformReport, TransformRequest, transform
from materia_runner.worker.sqlmesh.recorded.find_build import is_recorded

EXTERNAL = """- name: raw.line
  columns: {month: DATE, name: TEXT, value: INT}
"""
BY_MONTH = """MODEL (name cleaned.by_month, kind INCREMENTAL_BY_TIME_RANGE (time_column month),
  grain (month, name), description 'One row a month and name.',
  columns (month DATE, name TEXT, value BIGINT), column_descriptions (value = 'Sum of the lines.'),
  audits (not_null(columns := (name)), few_rows));
SELECT month, name, SUM(value)::BIGINT AS value FROM raw.line
WHERE month BETWEEN @start_date AND @end_date GROUP BY ALL
"""
TOTAL = """MODEL (name serving.total, kind FULL, grain (name), description 'Totals.',
  columns (name TEXT, value BIGINT), column_descriptions (value = 'It''s a sum.'),
  audits (accepted_range(column := value, max_v := 1000), is_small));
SELECT name, SUM(value)::BIGINT AS value FROM cleaned.by_month GROUP BY ALL
"""
NAMES = """MODEL (name serving.names, kind VIEW, columns (name TEXT, label TEXT));
SELECT name, label FROM serving.total JOIN raw.label USING (name)
"""
LABEL = """MODEL (name raw.label, kind SEED (path '../seeds/label.csv'),
  columns (name TEXT, label TEXT));
"""
AUDITS = """AUDIT (name is_small, blocking FALSE);
SELECT * FROM @this_model WHERE value > 10;
"""
FEW_ROWS = """AUDIT (name few_rows, blocking FALSE);
SELECT month, name, value FROM @this_model WHERE value >= 9;
"""
FILES = {
    "external_models.yaml": EXTERNAL,
    "models/by_month.sql": BY_MONTH,
    "models/total.sql": TOTAL,
    "models/names.sql": NAMES,
    "models/label.sql": LABEL,
    "seeds/label.csv": "name,label\napples,Apples\n",
    "audits/is_small.sql": AUDITS,
    "audits/few_rows.sql": FEW_ROWS,
}
SHOWN = (
    "SELECT 'total', name, value::TEXT FROM serving.total UNION ALL "
    "SELECT 'names', name, label FROM serving.names UNION ALL "
    "SELECT month::TEXT, name, value::TEXT FROM cleaned.by_month ORDER BY ALL"
)
COMMENTS = (
    "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal "
    "UNION ALL SELECT schema_name, table_name, '', comment FROM duckdb_tables() ORDER BY ALL"
)
# What SQLMesh makes of the records in its state, in their order, is one span for each model.
BUILT = (
    "SELECT name, min(start_ts), max(end_ts), count(*) FROM sqlmesh._intervals "
    "WHERE NOT is_removed GROUP BY ALL ORDER BY ALL"
)
FORGOTTEN = BUILT.replace("NOT is_removed", "is_removed")


@dataclass(frozen=True)
class Place:
    """A project, a database and a cache."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "somebody's copy.duckdb"

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def recordings(self) -> Path:
        return self.folder / "builds"

    @property
    def is_recorded(self) -> bool:
        return is_recorded(self.database, self.recordings, (self.project,))

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.database)) as connection:
            for statement in statements:
                connection.execute(statement)
            return connection.fetchall()

    def add(self, month: int, value: int = 1, name: str = "apples") -> None:
        self.run(f"INSERT INTO raw.line VALUES ('2024-{month:02}-01', '{name}', {value})")

    def build(
        self,
        *days: int | date,
        recorded: bool = True,
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> TransformReport:
        """Build, after a change in some months of 2024, or on some days."""
        return transform(
            TransformRequest(
                database=self.database,
                projects=(self.project,),
                affected=tuple(
                    one if isinstance(one, date) else date(2024, one, 1) for one in days
                ),
                recordings=self.recordings if recorded else None,
                progress=progress,
            )
        )

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.project / file).read_text()
        assert old in text
        (self.project / file).write_text(text.replace(old, new))


def made(folder: Path, files: dict[str, str]) -> Place:
    place = Place(folder)
    for name, text in files.items():
        path = place.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    place.run("CREATE SCHEMA raw; CREATE TABLE raw.line (month DATE, name TEXT, value INT)")
    place.add(1)
    return place
