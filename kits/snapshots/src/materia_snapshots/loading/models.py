"""Generate the SQLMesh project of a declared source: a staging model with column comments."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from materia.kit.files import write_whole
from materia.kit.sql import literal
from materia.kit.text import on_one_line
from materia.kit.user_folders import user_cache

from materia_snapshots.declaration import UNDECLARED

if TYPE_CHECKING:
    from materia_snapshots.declaration import Snapshots

CONFIG = """from pathlib import Path

from materia_sqlmesh.project import project_config

config = project_config(Path(__file__).parent)
"""
FIRST = "Release since which the row is unchanged"
PERIOD = "First day of the period of the row's file"
PARTITION = "Partition of the row's file"
MORE = "Columns and values of the row's file that are not declared, as a JSON object of texts"


def generated(source: Snapshots) -> Path:
    """The folder with the generated project, in the user's cache; written when it is missing."""
    files = project_files(source)
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]
    folder = user_cache(os.environ) / "sources" / f"{source.name}-{digest}"
    for name, text in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
    return folder


def project_files(source: Snapshots) -> dict[str, str]:
    """The text of each file of the project, by its path."""
    return {
        "config.py": CONFIG,
        "external_models.yaml": _external(source),
        f"models/staging/stg_{source.name}.sql": _staging(source),
    }


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _columns(source: Snapshots) -> dict[str, tuple[str, str]]:
    """Type and comment of each column of the model."""
    placed = {"partition": ("TEXT", PARTITION), "period": ("DATE", PERIOD)}
    own = {name: (one.type, one.comment) for name, one in source.table.items()}
    more = {UNDECLARED: ("TEXT", MORE)} if source.grows else {}
    return {**({} if source.each == "release" else placed), **own, **more}


def _read_from(source: Snapshots) -> str:
    return f"raw.{source.name}_{'undeclared' if source.grows else 'row'}"


def _external(source: Snapshots) -> str:
    lines = [
        f"- name: {_read_from(source)}",
        "  description: Rows of the files in use, written by the source.",
        "  columns:",
        *(f'    "{name}": {kind}' for name, (kind, _) in _columns(source).items()),
    ]
    return "\n".join(lines) + "\n"


def _staging(source: Snapshots) -> str:
    columns = _columns(source)
    key = source.key if source.each == "release" else ("partition", *source.key)
    comments = [
        f'    "{name}" = {literal(on_one_line(comment))}'
        for name, (_, comment) in columns.items()
        if comment
    ]
    held = "of the newest release" if source.each == "release" else "of all files"
    described = literal(f"{on_one_line(source.summary)}: the rows {held}.")
    parts = [
        f"  name staging.stg_{source.name}",
        "  kind VIEW",
        f"  description {described}",
        f"  grain ({_quoted(key)})",
        "  columns (\n"
        + ",\n".join(f'    "{name}" {kind}' for name, (kind, _) in columns.items())
        + "\n  )",
    ]
    if comments:
        parts.append("  column_descriptions (\n" + ",\n".join(comments) + "\n  )")
    parts.append(
        f"  audits (\n    NOT_NULL(columns := ({_quoted(key)})),\n"
        f"    UNIQUE_COMBINATION_OF_COLUMNS(columns := ({_quoted(key)}))\n  )"
    )
    selected = ",\n".join(f'  "{name}"' for name in columns)
    return (
        "MODEL (\n" + ",\n".join(parts) + f"\n);\n\nSELECT\n{selected}\nFROM {_read_from(source)}\n"
    )
