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

from materia_iceberg.catalog.client import Change
from materia_iceberg.catalog.table_state import MAIN, TableState
from materia_iceberg.tables.export import Exported
from materia_iceberg.tables.files import TableFiles
from materia_iceberg.tables.manifests import NewFile, manifest, manifest_list
from materia_iceberg.tables.schema import Schema, highest_id, schema_from_json, schema_to_json

VERSION: Final = 2  # of the table format
COMMENT = "comment"  # the property that engines show as the description of a table
# These make the catalog remove old metadata files, if it supports that.
PROPERTIES = {
    "format-version": str(VERSION),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


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
    try:
        specs = {one["spec-id"]: one for one in metadata["partition-specs"]}
        partitions = specs[metadata["default-spec-id"]].get("fields")
        found = {one["schema-id"]: one for one in metadata["schemas"]}
        schema = schema_from_json(found[metadata["current-schema-id"]])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SinkError(
            f"{state.name}: the catalog describes it in a form that materia cannot read "
            f"({type(error).__name__}); drop the table, and the next run creates it again"
        ) from error
    if partitions:
        raise SinkError(
            f"{state.name}: was partitioned by another program, and materia writes no partitions; "
            "drop the table, and the next run creates it again"
        )
    return schema


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
    unique = f"{state.mark}{str(uuid.uuid4())[8:]}"
    folder = f"{state.location}/metadata"
    sequence = int(state.metadata.get("last-sequence-number") or 0) + 1
    spec = int(state.metadata["default-spec-id"])
    schema_id, updates = _schema_updates(state, schema)
    manifests = {}
    if exported.rows:
        location = f"{state.location}/data/{quote(run, safe='')}-{unique}.parquet"
        files.upload(location, exported.path)
        file = NewFile(
            location=location,
            rows=exported.rows,
            size=exported.size,
            statistics=exported.statistics,
        )
        content = manifest(file, schema, snapshot=snapshot, schema_id=schema_id, spec=spec)
        files.write(f"{folder}/{unique}-m0.avro", content)
        manifests = {f"{folder}/{unique}-m0.avro": len(content)}
    listed = f"{folder}/snap-{snapshot}-0-{unique}.avro"
    files.write(
        listed,
        manifest_list(
            manifests,
            rows=exported.rows,
            snapshot=snapshot,
            parent=state.head,
            sequence=sequence,
            spec=spec,
        ),
    )
    now = int(datetime.now(UTC).timestamp() * 1000)
    made: dict[str, Any] = {
        "snapshot-id": snapshot,
        "sequence-number": sequence,
        "timestamp-ms": max(now, int(state.metadata.get("last-updated-ms") or 0)),
        "manifest-list": listed,
        "schema-id": schema_id,
        "summary": {**_counts(state, exported), **summary},
    }
    if state.head is not None:
        made["parent-snapshot-id"] = state.head
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


def _schema_updates(state: TableState, schema: Schema) -> tuple[int, list[Mapping[str, Any]]]:
    """The id that *schema* has or gets, and the updates that make it current."""
    metadata = state.metadata
    current = int(metadata["current-schema-id"])
    same = {int(one["schema-id"]) for one in metadata["schemas"] if _fields_of(one) == schema}
    if current in same:
        return current, []
    if same:
        return min(same), [{"action": "set-current-schema", "schema-id": min(same)}]
    number = max(int(one["schema-id"]) for one in metadata["schemas"]) + 1
    return number, [
        {
            "action": "add-schema",
            "schema": schema_to_json(schema, number=number),
            "last-column-id": max(highest_id(schema), int(metadata["last-column-id"])),
        },
        {"action": "set-current-schema", "schema-id": -1},
    ]


def _fields_of(found: Mapping[str, Any]) -> Schema | None:
    """The fields of an older schema; None for one that materia cannot read."""
    try:
        return schema_from_json(found)
    except (LookupError, TypeError, ValueError):
        return None


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
