"""Map DuckDB types to Iceberg types; schema evolution with stable field ids.

Types that Iceberg lacks become others: small integers `int`, integers of more than 64 bits
`decimal(38, 0)`, and enums, intervals and bit strings text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from materia_store.publication import quoted

from materia_iceberg.tables.schema import (
    Field,
    ListOf,
    MapOf,
    Schema,
    StructOf,
    Type,
    decimal,
    decimal_of,
    ids_of,
)

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

TEXT = ("VARCHAR", "string")
# By DuckDB's name of a type: the type to cast it to, and the Iceberg type of that.
PLAIN: dict[str, tuple[str, str]] = {
    "boolean": ("BOOLEAN", "boolean"),
    "tinyint": ("INTEGER", "int"),
    "smallint": ("INTEGER", "int"),
    "integer": ("INTEGER", "int"),
    "utinyint": ("INTEGER", "int"),
    "usmallint": ("INTEGER", "int"),
    "bigint": ("BIGINT", "long"),
    "uinteger": ("BIGINT", "long"),
    "ubigint": ("DECIMAL(20,0)", decimal(20, 0)),
    "hugeint": ("DECIMAL(38,0)", decimal(38, 0)),
    "uhugeint": ("DECIMAL(38,0)", decimal(38, 0)),
    "float": ("FLOAT", "float"),
    "double": ("DOUBLE", "double"),
    "date": ("DATE", "date"),
    "time": ("TIME", "time"),
    "timestamp": ("TIMESTAMP", "timestamp"),
    "timestamp_s": ("TIMESTAMP", "timestamp"),
    "timestamp_ms": ("TIMESTAMP", "timestamp"),
    "timestamp_ns": ("TIMESTAMP", "timestamp"),
    "timestamp with time zone": ("TIMESTAMPTZ", "timestamptz"),
    "blob": ("BLOB", "binary"),
    "uuid": ("UUID", "uuid"),
}
WIDER = {("int", "long"), ("float", "double")}
ENUM = "enum"
NESTED = {"list", "array", "map", "struct"}
Fresh = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column in DuckDB.

    Attributes:
        name: Its name.
        kind: Its type.
        doc: Its description; may be empty.
    """

    name: str
    kind: DuckDBPyType
    doc: str = ""


def schema_for(columns: Sequence[Column], old: Schema = (), last_id: int = 0) -> Schema:
    """The schema of *columns*; columns of *old* that remain keep their field ids.

    A column of the same name is the same column if its type is the same or wider. Any other column
    is new and gets an id above *last_id*, so that readers do not take a column of that name in
    older files for it. A rename is therefore a removed column and a new one.
    """
    fresh = count(last_id + 1).__next__
    before = {field.name: field for field in old}
    fields = []
    for column in columns:
        found = before.get(column.name)
        mine = _type(column.kind, lambda: 0)
        if found is not None and (_same(found.kind, mine) or _wider(found.kind, mine)):
            number, kind = found.number, _type(column.kind, ids_of(found.kind).__next__)
        else:
            number, kind = fresh(), _type(column.kind, fresh)
        fields.append(Field(number, column.name, kind, column.doc))
    return tuple(fields)


def selected(columns: Sequence[Column], table: str) -> str:
    """A query of *table* with its columns cast to types that Iceberg has."""
    casts = ", ".join(
        f"CAST({quoted(one.name)} AS {_sql(one.kind)}) AS {quoted(one.name)}" for one in columns
    )
    return f"SELECT {casts} FROM {table}"


def written(columns: Sequence[Column], table: str) -> str:
    """The same query for DuckDB's COPY, which writes an enum as the text that it means.

    It does so from the numbers of the enum, in half the time that it takes to write the texts.
    """
    enums = {one.name for one in columns if one.kind.id == ENUM}
    named = ", ".join(
        quoted(one.name)
        if one.name in enums
        else f"CAST({quoted(one.name)} AS {_sql(one.kind)}) AS {quoted(one.name)}"
        for one in columns
    )
    return f"SELECT {named} FROM {table}"


def values_of_enums(columns: Sequence[Column]) -> dict[str, tuple[str, ...]]:
    """The values of each enum, by column, in its own order."""
    return {
        one.name: tuple(map(str, cast("Any", one.kind.children[0][1])))
        for one in columns
        if one.kind.id == ENUM
    }


def hashable(column: Column) -> str:
    """An expression for DuckDB's hash(): nested values as text.

    Their own hashes are equal for different values, such as `[0]` and `[0, 0]`, or `[]` and NULL.
    """
    name = quoted(column.name)
    return f"CAST({name} AS VARCHAR)" if column.kind.id in NESTED else name


def field_ids(schema: Schema) -> str:
    """The ids of *schema* for DuckDB's COPY, which writes them into the file."""
    return (
        "{" + ", ".join(f"{quoted(one.name)}: {_id(one.number, one.kind)}" for one in schema) + "}"
    )


def _type(kind: DuckDBPyType, fresh: Fresh) -> Type:
    match kind.id:
        case "decimal":
            parts = dict(kind.children)
            return decimal(int(str(parts["precision"])), int(str(parts["scale"])))
        case "list" | "array":
            return ListOf(fresh(), _type(_child(kind, 0), fresh))
        case "map":
            key, value = fresh(), fresh()
            return MapOf(key, _type(_child(kind, 0), fresh), value, _type(_child(kind, 1), fresh))
        case "struct":
            return StructOf(
                tuple(
                    Field(fresh(), name, _type(_child(kind, at), fresh))
                    for at, (name, _) in enumerate(kind.children)
                )
            )
    return PLAIN.get(kind.id, TEXT)[1]


def _sql(kind: DuckDBPyType) -> str:
    match kind.id:
        case "decimal":
            return str(kind)
        case "list" | "array":
            return f"{_sql(_child(kind, 0))}[]"
        case "map":
            return f"MAP({_sql(_child(kind, 0))}, {_sql(_child(kind, 1))})"
        case "struct":
            parts = (
                f"{quoted(name)} {_sql(_child(kind, at))}"
                for at, (name, _) in enumerate(kind.children)
            )
            return f"STRUCT({', '.join(parts)})"
    return PLAIN.get(kind.id, TEXT)[0]


def _child(kind: DuckDBPyType, at: int) -> DuckDBPyType:
    child: Any = kind.children[at][1]  # true except for enums, decimals and the size of an array
    return cast("DuckDBPyType", child)


def _same(one: Type, other: Type) -> bool:
    """Whether two types are equal, ignoring field ids."""
    match one, other:
        case ListOf(), ListOf():
            return _same(one.element, other.element)
        case MapOf(), MapOf():
            return _same(one.key, other.key) and _same(one.value, other.value)
        case StructOf(), StructOf():
            return [field.name for field in one.fields] == [
                field.name for field in other.fields
            ] and all(
                _same(mine.kind, theirs.kind)
                for mine, theirs in zip(one.fields, other.fields, strict=True)
            )
    return one == other


def _wider(old: Type, new: Type) -> bool:
    """Whether files with *old* can be read as *new* ("schema evolution" in the specification)."""
    before, after = decimal_of(old), decimal_of(new)
    if before is not None and after is not None:
        return before[1] == after[1] and before[0] < after[0]
    return (old, new) in WIDER


def _id(number: int, kind: Type) -> str:
    inner: list[tuple[str, int, Type]]
    match kind:
        case ListOf():
            inner = [("element", kind.number, kind.element)]
        case MapOf():
            inner = [("key", kind.key_number, kind.key), ("value", kind.value_number, kind.value)]
        case StructOf():
            inner = [(quoted(one.name), one.number, one.kind) for one in kind.fields]
        case _:
            return str(number)
    parts = "".join(f", {name}: {_id(of, within)}" for name, of, within in inner)
    return f"{{__duckdb_field_id: {number}{parts}}}"
