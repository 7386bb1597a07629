"""Map DuckDB types to Iceberg types; schema evolution with stable field ids.

Types that Iceberg lacks become others: small integers `int`, integers of more than 64 bits
`decimal(38, 0)`, and enums, intervals and bit strings text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from materia_store.publication import quoted
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

TEXT = ("VARCHAR", StringType())
# By DuckDB's name of a type: the type to cast it to, and the Iceberg type of that.
PLAIN: dict[str, tuple[str, IcebergType]] = {
    "boolean": ("BOOLEAN", BooleanType()),
    "tinyint": ("INTEGER", IntegerType()),
    "smallint": ("INTEGER", IntegerType()),
    "integer": ("INTEGER", IntegerType()),
    "utinyint": ("INTEGER", IntegerType()),
    "usmallint": ("INTEGER", IntegerType()),
    "bigint": ("BIGINT", LongType()),
    "uinteger": ("BIGINT", LongType()),
    "ubigint": ("DECIMAL(20,0)", DecimalType(20, 0)),
    "hugeint": ("DECIMAL(38,0)", DecimalType(38, 0)),
    "uhugeint": ("DECIMAL(38,0)", DecimalType(38, 0)),
    "float": ("FLOAT", FloatType()),
    "double": ("DOUBLE", DoubleType()),
    "date": ("DATE", DateType()),
    "time": ("TIME", TimeType()),
    "timestamp": ("TIMESTAMP", TimestampType()),
    "timestamp_s": ("TIMESTAMP", TimestampType()),
    "timestamp_ms": ("TIMESTAMP", TimestampType()),
    "timestamp_ns": ("TIMESTAMP", TimestampType()),
    "timestamp with time zone": ("TIMESTAMPTZ", TimestamptzType()),
    "blob": ("BLOB", BinaryType()),
    "uuid": ("UUID", UUIDType()),
}
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


def schema_for(columns: Sequence[Column], old: Schema | None = None, last_id: int = 0) -> Schema:
    """The schema of *columns*; columns of *old* that remain keep their field ids.

    A column of the same name is the same column if its type is the same or wider. Any other column
    is new and gets an id above *last_id*, so that readers do not take a column of that name in
    older files for it. A rename is therefore a removed column and a new one.
    """
    ids = count(last_id + 1)
    before = {field.name: field for field in old.fields} if old is not None else {}
    fields = []
    for column in columns:
        found = before.get(column.name)
        mine = _type(column.kind, lambda: 0)
        if found is not None and _same(found.field_type, mine):
            number, kind = found.field_id, found.field_type
        elif found is not None and _wider(found.field_type, mine):
            number, kind = found.field_id, mine
        else:
            number, kind = next(ids), _type(column.kind, ids.__next__)
        fields.append(
            NestedField(number, column.name, kind, required=False, doc=column.doc or None)
        )
    return Schema(*fields)


def highest_id(schema: Schema) -> int:
    """The highest id of any field, nested ones included."""
    return max((number for field in schema.fields for number in _ids(field)), default=0)


def selected(columns: Sequence[Column], table: str) -> str:
    """A query of *table* with its columns cast to types that Iceberg has."""
    casts = ", ".join(
        f"CAST({quoted(one.name)} AS {_sql(one.kind)}) AS {quoted(one.name)}" for one in columns
    )
    return f"SELECT {casts} FROM {table}"


def field_ids(schema: Schema) -> str:
    """The ids of *schema* for DuckDB's COPY, which writes them into the file."""
    return "{" + ", ".join(f"{quoted(one.name)}: {_id(one)}" for one in schema.fields) + "}"


def _type(kind: DuckDBPyType, fresh: Fresh) -> IcebergType:
    match kind.id:
        case "decimal":
            parts = dict(kind.children)
            return DecimalType(int(str(parts["precision"])), int(str(parts["scale"])))
        case "list" | "array":
            return ListType(fresh(), _type(_child(kind, 0), fresh), element_required=False)
        case "map":
            key, value = fresh(), fresh()
            return MapType(
                key,
                _type(_child(kind, 0), fresh),
                value,
                _type(_child(kind, 1), fresh),
                value_required=False,
            )
        case "struct":
            return StructType(
                *(
                    NestedField(fresh(), name, _type(_child(kind, at), fresh), required=False)
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


def _same(one: IcebergType, other: IcebergType) -> bool:
    """Whether two types are equal, ignoring field ids."""
    match one, other:
        case ListType(), ListType():
            return _same(one.element_type, other.element_type)
        case MapType(), MapType():
            return _same(one.key_type, other.key_type) and _same(one.value_type, other.value_type)
        case StructType(), StructType():
            return [field.name for field in one.fields] == [
                field.name for field in other.fields
            ] and all(
                _same(mine.field_type, theirs.field_type)
                for mine, theirs in zip(one.fields, other.fields, strict=True)
            )
    return one == other


def _wider(old: IcebergType, new: IcebergType) -> bool:
    """Whether files with *old* can be read as *new* ("schema evolution" in the specification)."""
    match old, new:
        case (IntegerType(), LongType()) | (FloatType(), DoubleType()):
            return True
        case DecimalType(), DecimalType():
            return old.scale == new.scale and old.precision < new.precision
    return False


def _ids(field: NestedField) -> Iterator[int]:
    yield field.field_id
    match field.field_type:
        case ListType() as kind:
            yield from _ids(kind.element_field)
        case MapType() as kind:
            yield from _ids(kind.key_field)
            yield from _ids(kind.value_field)
        case StructType() as kind:
            for one in kind.fields:
                yield from _ids(one)


def _id(field: NestedField) -> str:
    match field.field_type:
        case ListType() as kind:
            inner = [("element", kind.element_field)]
        case MapType() as kind:
            inner = [("key", kind.key_field), ("value", kind.value_field)]
        case StructType() as kind:
            inner = [(quoted(one.name), one) for one in kind.fields]
        case _:
            return str(field.field_id)
    parts = "".join(f", {name}: {_id(one)}" for name, one in inner)
    return f"{{__duckdb_field_id: {field.field_id}{parts}}}"
