"""Time travel: the macro `<name>_as_of(when)`, and a view of all revisions with their times."""

from __future__ import annotations

from collections.abc import Iterator

from materia.kit.sql import literal

from materia_snapshots.declaration import UNDECLARED
from materia_snapshots.loading.tables import Tables, quoted

# The newest release whose date begins at or before the asked text: '2025', '2025-06', a date. A
# quarter is its last month.
_RELEASE = """
    SELECT CASE
        WHEN oldest IS NULL THEN error({none})
        WHEN NOT coalesce(regexp_full_match(text, '[0-9]{{4}}(-[0-9]{{2}}){{0,2}}( .*)?'), FALSE)
            THEN error({form} || coalesce(text, 'NULL'))
        WHEN newest IS NULL THEN error({early} || oldest::VARCHAR)
        ELSE newest::VARCHAR
    END::DATE AS _day
    FROM (
        SELECT
            any_value(text) AS text, min(first_day) AS oldest,
            max(first_day) FILTER (
                left(first_day::VARCHAR, length(text)) <= left(text, 10)
            ) AS newest
        FROM (
            SELECT CASE
                WHEN regexp_full_match(_wanted::VARCHAR, '[0-9]{{4}}-Q[1-4]')
                    THEN left(_wanted::VARCHAR, 5) || CASE right(_wanted::VARCHAR, 1)
                        WHEN '1' THEN '03' WHEN '2' THEN '06' WHEN '3' THEN '09' ELSE '12' END
                ELSE _wanted::VARCHAR
            END AS text
        ) AS given LEFT JOIN {file} ON TRUE
    ) AS known
"""


def history_views(tables: Tables) -> Iterator[str]:
    """Statements that create the macro and the views of a source."""
    yield from _of_releases(tables) if tables.source.each == "release" else _of_slices(tables)
    yield from _undeclared(tables)


def _undeclared(tables: Tables) -> Iterator[str]:
    """The rows with one column more, whatever columns the files bring: what the model reads."""
    source = tables.source
    view = f"raw.{source.name}_undeclared"
    if not source.grows:
        yield f"DROP VIEW IF EXISTS {view}"
        return
    names = tables.extras()
    texts = ", ".join(f'{literal(name)}: "{name}"' for name in names)
    some = f"coalesce({quoted(names)}) IS NOT NULL" if names else "FALSE"
    found = f"to_json({{{texts}}})::VARCHAR" if names else "NULL::VARCHAR"
    columns = quoted([*tables.placed, *source.table])
    yield (
        f"CREATE OR REPLACE VIEW {view} AS "
        f"SELECT {columns}, CASE WHEN {some} THEN {found} END AS {UNDECLARED} FROM {tables.row}"
    )
    yield (
        f"COMMENT ON VIEW {view} IS 'The rows of {tables.row}, with all columns that are not "
        f"declared in {UNDECLARED}, as JSON.'"
    )


def _of_releases(tables: Tables) -> Iterator[str]:
    name, columns = tables.source.name, quoted(tables.columns())
    yield f"""
        CREATE OR REPLACE VIEW raw.{name}_history AS
        SELECT {columns}, release AS first_release, end_release
        FROM (
            SELECT *, lead(release) OVER (
                PARTITION BY {columns} ORDER BY release
            ) AS end_release
            FROM {tables.change}
        ) WHERE change = 1
    """
    yield (
        f"COMMENT ON VIEW raw.{name}_history IS 'Each row as it stood in all releases from "
        "first_release up to, not including, end_release; NULL for rows of the newest release.'"
    )
    asked = _RELEASE.format(
        file=tables.file,
        none=literal(f"{name}_as_of: no release is loaded"),
        form=literal(
            f"{name}_as_of: give a release such as 2024, 2024-Q2, 2024-05 or 2024-05-31, not "
        ),
        early=literal(f"{name}_as_of: the oldest release is "),
    )
    yield f"""
        CREATE OR REPLACE MACRO {name}_as_of(_wanted) AS TABLE
        WITH asked AS ({asked})
        SELECT {columns} FROM raw.{name}_history, asked
        WHERE first_release <= _day AND (end_release IS NULL OR end_release > _day)
    """


def _of_slices(tables: Tables) -> Iterator[str]:
    name, columns = tables.source.name, quoted(tables.columns())
    yield f"""
        CREATE OR REPLACE VIEW raw.{name}_history AS
        SELECT seen, change, {columns} FROM {tables.change}
    """
    yield (
        f"COMMENT ON VIEW raw.{name}_history IS 'Rows that came (1) and went (-1) when a file was "
        "replaced, with the time in UTC at which materia loaded the new one.'"
    )
    yield f"""
        CREATE OR REPLACE MACRO {name}_as_of(_wanted) AS TABLE
        WITH known AS (
            SELECT partition FROM (
                SELECT partition, min(seen) AS began FROM (
                    SELECT partition, seen FROM {tables.file}
                    UNION ALL SELECT partition, seen FROM {tables.change}
                ) GROUP BY partition
            ) WHERE began <= _wanted::TIMESTAMP
        )
        SELECT {columns} FROM (
            SELECT {columns}, 1 AS change FROM {tables.row} SEMI JOIN known USING (partition)
            UNION ALL
            SELECT {columns}, -change AS change
            FROM {tables.change} SEMI JOIN known USING (partition)
            WHERE seen > _wanted::TIMESTAMP
        ) GROUP BY {columns} HAVING sum(change) > 0
    """
