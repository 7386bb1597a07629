"""What in a SQL text only DuckDB knows: Spark would refuse it or, worse, read it otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from warnings import catch_warnings

from sqlglot import Expr, exp
from sqlglot.errors import ErrorLevel, UnsupportedError

# What SQLMesh's libraries have to say to its developers, on every import.
with catch_warnings(action="ignore"):
    from sqlmesh.core.dialect import Audit, Model, parse

Sign = Callable[[Expr], bool]

# Of two DECIMALs Spark makes a longer one than DuckDB does: a view would have another type there.
COMPUTING = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Sum)
# Not types of Iceberg, or none that Spark has.
TYPES = {
    exp.DataType.Type[name]
    for name in (
        *("BIT", "ENUM", "INT128", "INTERVAL", "LIST", "MAP", "STRUCT", "TIME", "TIMETZ", "UNION"),
        *("UUID", "UTINYINT", "USMALLINT", "UINT", "UBIGINT", "UINT128"),
    )
}
SIGNS: dict[str, Sign] = {
    # sqlglot moves the index of a list by one for Spark, and that of a map with it: cells[4] would
    # be the cell 3.
    "an index of a list or a map": lambda node: isinstance(node, exp.Bracket),
    "a map": lambda node: isinstance(node, exp.Map | exp.VarMap | exp.ToMap | exp.MapFromEntries),
    "BY NAME": lambda node: isinstance(node, exp.SetOperation) and bool(node.args.get("by_name")),
    "SIMILAR TO": lambda node: isinstance(node, exp.SimilarTo),
    "GLOB": lambda node: isinstance(node, exp.Glob),
    # Spark makes a view with it and fails when the view is read.
    "a named WINDOW": lambda node: isinstance(node, exp.Select) and bool(node.args.get("windows")),
    "* EXCLUDE, REPLACE or RENAME": lambda node: (
        isinstance(node, exp.Star) and any(node.args.values())
    ),
    "COLUMNS": lambda node: isinstance(node, exp.Columns),
    "PIVOT": lambda node: isinstance(node, exp.Pivot),
    "a list comprehension or a lambda": lambda node: isinstance(
        node, exp.Comprehension | exp.Lambda
    ),
    "an ASOF or POSITIONAL join": lambda node: (
        isinstance(node, exp.Join) and {node.kind, node.method} & {"ASOF", "POSITIONAL"} != set()
    ),
    "ORDER BY ALL": lambda node: isinstance(node, exp.Ordered) and node.this.sql().upper() == "ALL",
    "a type": lambda node: isinstance(node, exp.DataType) and node.this in TYPES,
    # It would reach Spark under the name that DuckDB has for it.
    "a function that sqlglot does not know": lambda node: isinstance(node, exp.Anonymous),
}


def only_duckdb(text: str) -> list[str]:
    """What is wrong in the text of a model, an audit or a query; empty when Spark reads it."""
    statements = parse(text, "duckdb")
    found = {found for statement in statements for found in _found(statement)}
    match statements:
        case [Model() as head, *rest]:
            found.update(_of_the_whole(head, rest))
    return sorted(found)


def _of_the_whole(head: Model, rest: list[Expr]) -> Iterator[str]:
    """What a model says in its head that Spark does not make of its query."""
    said = {part.name: part.args["value"] for part in head.expressions}
    decimals = {
        column.name
        for column in (said["columns"].expressions if "columns" in said else ())
        if column.args["kind"].this is exp.DataType.Type.DECIMAL
    }
    if said["kind"].name == "SEED":
        # SQLMesh reads the file with pandas: a number is a float, which is no DECIMAL for Spark.
        yield from (f"a DECIMAL of a file: {name}" for name in decimals)
    if said["kind"].name == "VIEW":
        # A table has the types of its head.
        parts = [_computed(part) & decimals for query in rest for part in _parts(query)]
        yield from (f"a computed DECIMAL: {name}" for name in set.intersection(*parts or [set()]))


def _parts(query: Expr) -> list[exp.Select]:
    """The queries of a union, which has the longest type of them."""
    if isinstance(query, exp.SetOperation):
        return [part for side in (query.left, query.right) for part in _parts(side)]
    return [query] if isinstance(query, exp.Select) else []


def _computed(query: exp.Select) -> set[str]:
    """The columns that are a sum, a difference and so on, and not cast afterwards."""
    return {
        column.alias_or_name
        for column in query.selects
        if any(
            isinstance(node, COMPUTING)
            for node in column.walk(prune=lambda node: isinstance(node, exp.Cast))
        )
    }


def _found(statement: Expr) -> Iterator[str]:
    for part in _sql(statement):
        for node in part.walk():
            for name, sign in SIGNS.items():
                if sign(node):
                    yield f"{name}: {node.sql('duckdb')}"
    if isinstance(statement, exp.Query):
        try:
            statement.sql("spark", unsupported_level=ErrorLevel.RAISE)
        except UnsupportedError as error:
            yield f"{error}"


def _sql(statement: Expr) -> list[Expr]:
    """The parts of a statement that an engine is given: of the head of a model its columns."""
    if isinstance(statement, Audit):
        return []
    if isinstance(statement, Model):
        return [part for part in statement.expressions if part.name == "columns"]
    return [statement]
