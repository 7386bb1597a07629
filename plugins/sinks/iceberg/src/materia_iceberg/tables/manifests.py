"""Iceberg manifests: write and read the Avro files that list data files and manifests.

The forms are those of "Manifests" and "Manifest Lists" in the specification of version 2, without
the optional fields that materia leaves empty.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro

from materia_iceberg.tables.schema import Schema, schema_to_json
from materia_iceberg.tables.statistics import Statistics

ADDED, DELETED = 1, 2  # states of an entry
DATA = 0  # content of a manifest and of a file: rows, not deletes
CODEC = "null"  # manifests have only a kilobyte or two


def _field(number: int, name: str, kind: object) -> dict[str, object]:
    return {"name": name, "type": kind, "field-id": number}


def _optional(number: int, name: str, kind: object) -> dict[str, object]:
    return {**_field(number, name, ["null", kind]), "default": None}


def _map(number: int, name: str, value: str, *, key_id: int, value_id: int) -> dict[str, object]:
    """A map with keys that are no text: in Avro an array of pairs."""
    pair = {
        "type": "record",
        "name": f"k{key_id}_v{value_id}",
        "fields": [_field(key_id, "key", "int"), _field(value_id, "value", value)],
    }
    return _optional(number, name, {"type": "array", "logicalType": "map", "items": pair})


DATA_FILE = {
    "type": "record",
    "name": "r2",
    "fields": [
        _field(134, "content", "int"),
        _field(100, "file_path", "string"),
        _field(101, "file_format", "string"),
        _field(102, "partition", {"type": "record", "name": "r102", "fields": []}),
        _field(103, "record_count", "long"),
        _field(104, "file_size_in_bytes", "long"),
        _map(108, "column_sizes", "long", key_id=117, value_id=118),
        _map(109, "value_counts", "long", key_id=119, value_id=120),
        _map(110, "null_value_counts", "long", key_id=121, value_id=122),
        _map(125, "lower_bounds", "bytes", key_id=126, value_id=127),
        _map(128, "upper_bounds", "bytes", key_id=129, value_id=130),
    ],
}
# Of partitions, which materia does not write; Spark's metadata tables need the empty list.
SUMMARIES = {
    "type": "array",
    "element-id": 508,
    "items": {
        "type": "record",
        "name": "r508",
        "fields": [
            _field(509, "contains_null", "boolean"),
            _optional(518, "contains_nan", "boolean"),
            _optional(510, "lower_bound", "bytes"),
            _optional(511, "upper_bound", "bytes"),
        ],
    },
}
ENTRY = fastavro.parse_schema(
    {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            _field(0, "status", "int"),
            _optional(1, "snapshot_id", "long"),
            _optional(3, "sequence_number", "long"),
            _optional(4, "file_sequence_number", "long"),
            _field(2, "data_file", DATA_FILE),
        ],
    }
)
MANIFEST = fastavro.parse_schema(
    {
        "type": "record",
        "name": "manifest_file",
        "fields": [
            _field(500, "manifest_path", "string"),
            _field(501, "manifest_length", "long"),
            _field(502, "partition_spec_id", "int"),
            _field(517, "content", "int"),
            _field(515, "sequence_number", "long"),
            _field(516, "min_sequence_number", "long"),
            _field(503, "added_snapshot_id", "long"),
            _field(504, "added_files_count", "int"),
            _field(505, "existing_files_count", "int"),
            _field(506, "deleted_files_count", "int"),
            _field(512, "added_rows_count", "long"),
            _field(513, "existing_rows_count", "long"),
            _field(514, "deleted_rows_count", "long"),
            _optional(507, "partitions", SUMMARIES),
        ],
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A data file that a snapshot adds.

    Attributes:
        location: Its address.
        rows: Number of rows.
        size: Size in bytes.
        statistics: Column statistics.
    """

    location: str
    rows: int
    size: int
    statistics: Statistics


def manifest(file: NewFile, schema: Schema, *, snapshot: int, schema_id: int, spec: int) -> bytes:
    """A manifest that adds one file; the file gets the sequence number of the manifest."""
    statistics = file.statistics
    entry = {
        "status": ADDED,
        "snapshot_id": snapshot,
        "data_file": {
            "content": DATA,
            "file_path": file.location,
            "file_format": "PARQUET",
            "partition": {},
            "record_count": file.rows,
            "file_size_in_bytes": file.size,
            "column_sizes": _pairs(statistics.sizes),
            "value_counts": _pairs(statistics.values),
            "null_value_counts": _pairs(statistics.nulls),
            "lower_bounds": _pairs(statistics.lower),
            "upper_bounds": _pairs(statistics.upper),
        },
    }
    metadata = {
        "schema": json.dumps(schema_to_json(schema, number=schema_id)),
        "schema-id": str(schema_id),
        "partition-spec": "[]",
        "partition-spec-id": str(spec),
        "format-version": "2",
        "content": "data",
    }
    return _written(ENTRY, [entry], metadata)


def manifest_list(
    manifests: Mapping[str, int],
    *,
    rows: int,
    snapshot: int,
    parent: int | None,
    sequence: int,
    spec: int,
) -> bytes:
    """The list of the *manifests* of a snapshot, each with one added file, by their size."""
    records = [
        {
            "manifest_path": location,
            "manifest_length": size,
            "partition_spec_id": spec,
            "content": DATA,
            "sequence_number": sequence,
            "min_sequence_number": sequence,
            "added_snapshot_id": snapshot,
            "added_files_count": 1,
            "existing_files_count": 0,
            "deleted_files_count": 0,
            "added_rows_count": rows,
            "existing_rows_count": 0,
            "deleted_rows_count": 0,
            "partitions": [],
        }
        for location, size in manifests.items()
    ]
    metadata = {
        "snapshot-id": str(snapshot),
        "parent-snapshot-id": "null" if parent is None else str(parent),
        "sequence-number": str(sequence),
        "format-version": "2",
    }
    return _written(MANIFEST, records, metadata)


def manifests_in(content: bytes) -> list[str]:
    """The addresses of the manifests that a manifest list names.

    Raises:
        Exception: it is damaged.
    """
    return [str(one["manifest_path"]) for one in _records(content)]


def files_in(content: bytes) -> list[str]:
    """The addresses of the files that a manifest adds or keeps.

    Raises:
        Exception: it is damaged.
    """
    return [
        str(one["data_file"]["file_path"]) for one in _records(content) if one["status"] != DELETED
    ]


def _pairs(values: Mapping[int, object]) -> list[dict[str, object]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _written(
    schema: Any, records: Sequence[Mapping[str, object]], metadata: Mapping[str, str]
) -> bytes:
    output = io.BytesIO()
    fastavro.writer(output, schema, records, codec=CODEC, metadata=dict(metadata))
    return output.getvalue()


def _records(content: bytes) -> Any:
    return fastavro.reader(io.BytesIO(content))
