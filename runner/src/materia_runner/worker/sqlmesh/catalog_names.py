"""Names of the catalog in views: SQLMesh writes them, and in a file of another name they break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from materia.kit.sql import literal

if TYPE_CHECKING:
    from sqlmesh import Context


def detach_from_catalog(context: Context) -> dict[str, str]:
    """Remove the catalog from the names in the database's views; returns the SQL of these.

    SQLMesh writes the catalog into every view. DuckDB names the catalog after the file, so the
    views would break in a file of another name; without the catalog they work in any file.
    """
    from materia_sqlmesh.duckdb_settings import CATALOG
    from sqlglot import exp, parse_one

    adapter = context.engine_adapter
    views = adapter.fetchall(
        "SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal "
        f"AND database_name = current_database() AND contains(sql, {literal(CATALOG)})"
    )
    comments = _column_comments(context)
    made = {}
    for schema, view, sql, comment in views:
        statement = parse_one(sql, dialect="duckdb")
        qualified = [table for table in statement.find_all(exp.Table) if table.catalog]
        if not qualified:
            continue
        for table in qualified:
            table.set("catalog", None)
        statement.set(arg_key="replace", value=True)
        name = exp.table_(view, db=schema, quoted=True).sql("duckdb")
        columns = comments.get((schema, view), {})
        made[f"{schema}.{view}"] = statement.sql("duckdb")
        adapter.execute(statement)
        if comment:
            adapter.execute(f"COMMENT ON VIEW {name} IS {literal(comment)}")
        for column, text in columns.items():
            quoted = exp.to_identifier(column, quoted=True).sql("duckdb")
            adapter.execute(f"COMMENT ON COLUMN {name}.{quoted} IS {literal(text)}")
    return made


def _column_comments(context: Context) -> dict[tuple[str, str], dict[str, str]]:
    """The comments on columns, by schema and view or table."""
    rows = context.engine_adapter.fetchall(
        "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() "
        "WHERE comment IS NOT NULL AND database_name = current_database()"
    )
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, comment in rows:
        found.setdefault((schema, table), {})[column] = comment
    return found
