"""Create an Iceberg snapshot: upload a data file and manifests, and build the commit request.

The snapshot contains exactly the new file. The sink neither reads the files that it replaces nor
lists them as deleted: readers do not need that, and `cleaning` deletes the files later.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from materia.errors import SinkError
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record

from materia_iceberg.catalog.client import Change
from materia_iceberg.catalog.table_state import MAIN, TableState
from materia_iceberg.tables.columns import highest_id
from materia_iceberg.tables.export import Exported
from materia_iceberg.tables.files import FilesIO, TableFiles

VERSION: Final = 2  # of the table format
COMMENT = "comment"  # the property that engines show as the description of a table
# These make the catalog remove old metadata files, if it supports that.
PROPERTIES = {
    "format-version": str(VERSION),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
NO_COMPRESSION: Final = "null"  # manifests have only a kilobyte or two


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSnapshot:
    """A snapshot to commit to a table.

    Attributes:
        snapshot: Its id.
        change: The change for the commit request.
    """

    snapshot: int
    change: Change


def current_schema(state: TableState) -> Schema:
    """The current schema of a table.

    Raises:
        SinkError: the table is partitioned, or in a format that materia does not write.
    """
    metadata = state.metadata
    if metadata.get("format-version") != VERSION:
        raise SinkError(
            f"{state.name}: has the format version {metadata.get('format-version')}, and materia "
            f"writes {VERSION}; drop the table, and the next run creates it again"
        )
    specs = {one["spec-id"]: one for one in metadata["partition-specs"]}
    if specs[metadata["default-spec-id"]].get("fields"):
        raise SinkError(
            f"{state.name}: was partitioned by another program, and materia writes no partitions; "
            "drop the table, and the next run creates it again"
        )
    found = {one["schema-id"]: one for one in metadata["schemas"]}
    return Schema.model_validate(found[metadata["current-schema-id"]])


def new_snapshot(
    state: TableState,
    files: TableFiles,
    exported: Exported,
    schema: Schema,
    *,
    run: str,
    description: str,
    summary: Mapping[str, str],
    expired: Sequence[int] = (),
) -> NewSnapshot:
    """Upload a data file and its manifests, and build the change to commit.

    Raises:
        MateriaError: a file cannot be written.
    """
    snapshot = secrets.randbits(62) + 1
    unique = uuid.uuid4()
    manifests = f"{state.location}/metadata"
    output = FilesIO(files)
    sequence = int(state.metadata.get("last-sequence-number") or 0) + 1
    written = []
    if exported.rows:
        location = f"{state.location}/data/{quote(run, safe='')}-{unique}.parquet"
        files.upload(location, exported.path)
        entry = ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED,
            snapshot_id=snapshot,
            sequence_number=None,
            file_sequence_number=None,
            data_file=_data_file(location, exported, state),
        )
        with write_manifest(
            VERSION,
            UNPARTITIONED_PARTITION_SPEC,
            schema,
            output.new_output(f"{manifests}/{unique}-m0.avro"),
            snapshot,
            NO_COMPRESSION,
        ) as writer:
            writer.add_entry(entry)
        written.append(writer.to_manifest_file())
    listed = f"{manifests}/snap-{snapshot}-0-{unique}.avro"
    with write_manifest_list(
        VERSION, output.new_output(listed), snapshot, state.head, sequence, NO_COMPRESSION
    ) as writer_of_list:
        writer_of_list.add_manifests(written)
    now = int(datetime.now(UTC).timestamp() * 1000)
    made: dict[str, Any] = {
        "snapshot-id": snapshot,
        "sequence-number": sequence,
        "timestamp-ms": max(now, int(state.metadata.get("last-updated-ms") or 0)),
        "manifest-list": listed,
        "summary": {**_counts(state, exported), **summary},
    }
    if state.head is not None:
        made["parent-snapshot-id"] = state.head
    updates = [*_schema_updates(state, schema, made)]
    if (state.metadata.get("properties") or {}).get(COMMENT, "") != description:
        updates.append({"action": "set-properties", "updates": {COMMENT: description}})
    updates += [
        {"action": "add-snapshot", "snapshot": made},
        {
            "action": "set-snapshot-ref",
            "ref-name": MAIN,
            "type": "branch",
            "snapshot-id": snapshot,
        },
    ]
    if expired:
        updates.append({"action": "remove-snapshots", "snapshot-ids": list(expired)})
    return NewSnapshot(snapshot=snapshot, change=_change(state, updates))


def _change(state: TableState, updates: Sequence[Mapping[str, Any]]) -> Change:
    metadata = state.metadata
    return {
        "identifier": {"namespace": [state.name.namespace], "name": state.name.table},
        "requirements": [
            {"type": "assert-table-uuid", "uuid": metadata["table-uuid"]},
            {"type": "assert-ref-snapshot-id", "ref": MAIN, "snapshot-id": state.head},
            {
                "type": "assert-current-schema-id",
                "current-schema-id": metadata["current-schema-id"],
            },
            {
                "type": "assert-last-assigned-field-id",
                "last-assigned-field-id": metadata["last-column-id"],
            },
        ],
        "updates": list(updates),
    }


def _schema_updates(
    state: TableState, schema: Schema, made: dict[str, Any]
) -> list[Mapping[str, Any]]:
    """The updates that make *schema* current; this sets its id in the snapshot *made*."""
    metadata = state.metadata
    schemas = {one["schema-id"]: Schema.model_validate(one) for one in metadata["schemas"]}
    same = next((number for number, one in schemas.items() if one.fields == schema.fields), None)
    if same == metadata["current-schema-id"]:
        made["schema-id"] = same
        return []
    if same is not None:
        made["schema-id"] = same
        return [{"action": "set-current-schema", "schema-id": same}]
    made["schema-id"] = max(schemas) + 1
    text = Schema(*schema.fields, schema_id=made["schema-id"]).model_dump(mode="json")
    return [
        {
            "action": "add-schema",
            "schema": text,
            "last-column-id": max(highest_id(schema), int(metadata["last-column-id"])),
        },
        {"action": "set-current-schema", "schema-id": -1},
    ]


def _data_file(location: str, exported: Exported, state: TableState) -> DataFile:
    statistics = exported.statistics
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=exported.rows,
        file_size_in_bytes=exported.size,
        column_sizes=statistics.sizes,
        value_counts=statistics.values,
        null_value_counts=statistics.nulls,
        nan_value_counts={},
        lower_bounds=statistics.lower,
        upper_bounds=statistics.upper,
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
        spec_id=int(state.metadata["default-spec-id"]),
    )


def _counts(state: TableState, exported: Exported) -> dict[str, str]:
    """Counts that engines expect in a summary: added, deleted and total."""
    head = state.snapshots.get(state.head or 0) or {}
    before: Mapping[str, str] = head.get("summary") or {}
    files = int(exported.rows > 0)
    size = exported.size * files
    return {
        "operation": "overwrite",
        "added-data-files": str(files),
        "added-records": str(exported.rows),
        "added-files-size": str(size),
        "deleted-data-files": before.get("total-data-files", "0"),
        "deleted-records": before.get("total-records", "0"),
        "removed-files-size": before.get("total-files-size", "0"),
        "total-data-files": str(files),
        "total-records": str(exported.rows),
        "total-files-size": str(size),
        "total-delete-files": "0",
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    }
