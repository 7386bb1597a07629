"""Recorded build: the SQL statements that SQLMesh ran for unchanged models, in the user's cache.

A file is found by the fingerprint of the projects and packages together with the definitions in the
SQLMesh state of a database. So its statements are only for a database whose definitions this
computer itself wrote before: what came with a database from elsewhere is compared and never run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from materia.kit.files import write_whole

from materia_runner.worker.sqlmesh.state import STATE

FORMAT = 3
# What a recording depends on, beside the projects and the code here.
LIBRARIES = ("duckdb", "sqlglot", "sqlmesh")
# The first and the last day of an interval in the statements of a model that is built by time.
FIRST_DAY, LAST_DAY = "{first day}", "{last day}"
FULL, VIEW, BY_TIME = "FULL", "VIEW", "INCREMENTAL_BY_TIME_RANGE"
SEED = "SEED"
# Kinds whose rows come from files of the project, or that SQLMesh does not build at all.
KEPT = frozenset({SEED, "EXTERNAL"})
# Builds in the folder of a user: a few pipelines, each with the models before an edit.
KEPT_BUILDS = 16

FetchAll = Callable[[str], list[tuple[Any, ...]]]


class NotRecordedError(Exception):
    """Part of a build is of a form that only SQLMesh can build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAudit:
    """An audit of a model.

    Attributes:
        name: Name of the audit.
        blocking: Whether a found row stops the build.
        query: SQL that selects the rows that are wrong.
        columns: Columns that its conditions name, shown with those rows.
    """

    name: str
    blocking: bool
    query: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedModel:
    """A model that SQLMesh builds.

    Attributes:
        name: Name with its schema.
        node: Name in the SQLMesh state, quoted and with the catalog.
        identifier: Hash of its definition.
        version: Version of its table.
        kind: FULL, VIEW, BY_TIME or SEED.
        statements: SQL that builds it; none for a view, whose definition is compared instead, and
            for a seed, which SQLMesh builds once.
        audits: Its audits, in their order.
        grain: Columns of its key.
    """

    name: str
    node: str
    identifier: str
    version: str
    kind: str
    statements: tuple[str, ...]
    audits: tuple[RecordedAudit, ...]
    grain: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBuild:
    """All models of the projects in the order in which SQLMesh builds them.

    Attributes:
        models: Models, parents before children.
        tables: Names of all finished tables and views, sorted.
        made_in: Place of the project that has the model, in the order of the request, by table.
        definitions: SQL of the tables and views that the statements write to, by name; parents
            before children.
        as_made: SQL that made the views among them. What DuckDB writes in its place is nested more
            deeply each time, and for some joins it is not what DuckDB reads.
        made_with: Hash of the libraries and the code that wrote it; empty when no build after an
            edit may take models from it.
    """

    models: tuple[RecordedModel, ...]
    tables: tuple[str, ...]
    made_in: dict[str, int]
    definitions: dict[str, str]
    as_made: dict[str, str]
    made_with: str


def path_of(folder: Path, fingerprint: str, definitions: str) -> Path:
    """The file of the build for *fingerprint* and the *definitions* in a database's state."""
    return folder / f"{_hash([FORMAT, fingerprint, definitions])}.json"


def hash_of_state(fetchall: FetchAll) -> str:
    """Hash of the definitions in the SQLMesh state of a database, in hex."""
    rows = fetchall(
        "SELECT name, identifier, version, dev_version, kind_name, snapshot "
        f"FROM {STATE}._snapshots"
    )
    nodes = sorted([*map(str, row[:5]), _node_text(json.loads(row[5])["node"])] for row in rows)
    versions = fetchall(f"SELECT * FROM {STATE}._versions")
    return _hash([nodes, [list(map(str, row)) for row in versions]])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _node_text(node: dict[str, Any]) -> str:
    """A definition as text; SQLMesh writes its sets in an order that changes from run to run."""
    ordered = {**node, "depends_on": sorted(node.get("depends_on") or ())}
    return json.dumps(ordered, sort_keys=True)


def definitions_of(fetchall: FetchAll) -> dict[str, str]:
    """SQL of the tables and views in a database, by schema and name, when it was just opened.

    DuckDB writes some views differently in the connection that made them.
    """
    rows = fetchall(
        "SELECT schema_name, table_name, sql FROM duckdb_tables() "
        "WHERE database_name = current_database() UNION ALL "
        "SELECT schema_name, view_name, sql FROM duckdb_views() "
        "WHERE NOT internal AND database_name = current_database()"
    )
    return {f"{schema}.{name}": str(sql) for schema, name, sql in rows}


def made_with() -> str:
    """Hash of the libraries and the code that write a recorded build, in hex."""
    from importlib.metadata import version

    import materia_sqlmesh

    code = [
        *Path(materia_sqlmesh.__file__).parent.glob("*.py"),
        *Path(__file__).parent.parent.rglob("*.py"),
    ]
    parts = [
        *(f"{name} {version(name)}" for name in LIBRARIES),
        *sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in code),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def save(path: Path, build: RecordedBuild) -> None:
    """Write *build* for later runs of this user; without a writable cache, do nothing.

    It takes the place of a build that no longer fits. Of many builds the latest are kept.
    """
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(build)), mode=0o600)
        builds = [(one.stat().st_mtime_ns, one) for one in path.parent.glob("*.json")]
        for _, old in sorted(builds, reverse=True)[KEPT_BUILDS:]:
            old.unlink(missing_ok=True)


def load(path: Path) -> RecordedBuild | None:
    """The build in a file; None without a file that can be read."""
    try:
        build = build_from(json.loads(path.read_text()))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    with suppress(OSError):
        os.utime(path)  # in use
    return build


def build_from(values: dict[str, Any]) -> RecordedBuild:
    """The build of which *values* are the fields, read from JSON.

    Raises:
        ValueError, LookupError, TypeError: they are not.
    """
    tables = tuple(values["tables"])
    return RecordedBuild(
        models=tuple(_model(model) for model in values["models"]),
        tables=tables,
        made_in={table: int(values["made_in"][table]) for table in tables},
        definitions=dict(values["definitions"]),
        as_made=dict(values["as_made"]),
        made_with=str(values["made_with"]),
    )


def _model(values: dict[str, Any]) -> RecordedModel:
    audits = tuple(
        RecordedAudit(**{**audit, "columns": tuple(audit["columns"])}) for audit in values["audits"]
    )
    lists = {name: tuple(values[name]) for name in ("statements", "grain")}
    return RecordedModel(**{**values, **lists, "audits": audits})
