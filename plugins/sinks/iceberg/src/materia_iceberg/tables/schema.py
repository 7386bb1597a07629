"""Iceberg schemas: fields and types with their ids, from and to the JSON of a catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a field of a struct.

    Attributes:
        number: Its id.
        name: Its name.
        kind: Its type.
        doc: Its description; may be empty.
        required: Whether it is never NULL; materia makes none such.
    """

    number: int
    name: str
    kind: Type
    doc: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; its elements have an id too, and may be NULL unless *required*."""

    number: int
    element: Type
    required: bool = False


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map; keys and values have an id each, and values may be NULL unless *required*."""

    key_number: int
    key: Type
    value_number: int
    value: Type
    required: bool = False


@dataclass(frozen=True, slots=True)
class StructOf:
    """A struct."""

    fields: tuple[Field, ...]


# A type that is not nested is its name in the specification, such as `decimal(9, 2)`.
Type = str | ListOf | MapOf | StructOf
Schema = tuple[Field, ...]


def decimal(precision: int, scale: int) -> str:
    """The name of a decimal type."""
    return f"decimal({precision}, {scale})"


def decimal_of(kind: Type) -> tuple[int, int] | None:
    """Precision and scale of a decimal type; None for another type."""
    found = DECIMAL.fullmatch(kind) if isinstance(kind, str) else None
    return (int(found[1]), int(found[2])) if found else None


def ids_of(kind: Type) -> Iterator[int]:
    """The ids within a type, in the order in which `columns` gives them."""
    match kind:
        case ListOf():
            yield kind.number
            yield from ids_of(kind.element)
        case MapOf():
            yield from (kind.key_number, kind.value_number)
            yield from ids_of(kind.key)
            yield from ids_of(kind.value)
        case StructOf():
            for one in kind.fields:
                yield one.number
                yield from ids_of(one.kind)


def highest_id(schema: Schema) -> int:
    """The highest id of any field, nested ones included; 0 without fields."""
    return max(ids_of(StructOf(schema)), default=0)


def schema_to_json(schema: Schema, *, number: int) -> dict[str, Any]:
    """The JSON of a schema with the id *number*."""
    fields = [_field_to_json(one) for one in schema]
    return {"type": "struct", "schema-id": number, "fields": fields, "identifier-field-ids": []}


def schema_from_json(found: Mapping[str, Any]) -> Schema:
    """The schema in the JSON of a catalog.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    return _fields(found["fields"])


def _field_to_json(field: Field) -> dict[str, Any]:
    return {
        "id": field.number,
        "name": field.name,
        "type": _type_to_json(field.kind),
        "required": field.required,
        **({"doc": field.doc} if field.doc else {}),
    }


def _type_to_json(kind: Type) -> Any:
    match kind:
        case ListOf():
            return {
                "type": "list",
                "element-id": kind.number,
                "element": _type_to_json(kind.element),
                "element-required": kind.required,
            }
        case MapOf():
            return {
                "type": "map",
                "key-id": kind.key_number,
                "key": _type_to_json(kind.key),
                "value-id": kind.value_number,
                "value": _type_to_json(kind.value),
                "value-required": kind.required,
            }
        case StructOf():
            return {"type": "struct", "fields": [_field_to_json(one) for one in kind.fields]}
    return kind


def _fields(found: Sequence[Mapping[str, Any]]) -> tuple[Field, ...]:
    return tuple(
        Field(
            int(one["id"]),
            str(one["name"]),
            _type(one["type"]),
            str(one.get("doc") or ""),
            bool(one.get("required")),
        )
        for one in found
    )


def _type(found: Any) -> Type:
    if isinstance(found, str):
        numbers = decimal_of(found)
        return decimal(*numbers) if numbers else found
    match found["type"]:
        case "list":
            required = bool(found.get("element-required"))
            return ListOf(int(found["element-id"]), _type(found["element"]), required)
        case "map":
            return MapOf(
                int(found["key-id"]),
                _type(found["key"]),
                int(found["value-id"]),
                _type(found["value"]),
                bool(found.get("value-required")),
            )
        case "struct":
            return StructOf(_fields(found["fields"]))
    raise ValueError(f"unknown type {found['type']!r}")
