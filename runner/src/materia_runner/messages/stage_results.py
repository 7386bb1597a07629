"""Stage results: validate the fields of a worker's result that the runner shows and sums up.

A result may have more fields: they are kept as JSON, within the limits of `codec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from materia.data import Table
from materia.forms import Count, PartitionKey, SourceName
from materia.printable import printable_all

from materia_runner import codec
from materia_runner.codec import MalformedError
from materia_runner.messages.partition_problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """Counts of the partitions of one source, in the result of an extract of several."""

    source: SourceName
    asked: Count
    fetched: Count
    unchanged: Count
    absent: Count
    denied: Count
    refused: Count
    failed: Count
    not_asked: Count
    in_use: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Result of an extract; the fields are those of `worker/extract.py`."""

    asked: Count
    fetched: Count
    unchanged: Count
    absent: Count
    refused: Count
    failed: Count
    bytes: Count
    not_asked: Count = 0
    in_use: Count = 0
    denied: Count = 0
    problems: tuple[Problem, ...] = ()
    quarantined: tuple[Problem, ...] = ()
    denials: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    sources: tuple[SourceCounts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPipeline:
    """A pipeline that publishes in the same database, with its sources."""

    pipeline: SourceName
    sources: tuple[SourceName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate:
    """Result of a transform that found nothing new."""

    published: bool
    files: Count
    tables: tuple[Table, ...] = ()
    others: tuple[OtherPipeline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Result of a transform that published; the fields are those of `worker/transform.py`."""

    published: bool
    files: Count
    loaded: tuple[PartitionKey, ...]
    removed: tuple[PartitionKey, ...]
    rows_added: Count
    rows_ended: Count
    models: Count
    audits: Count
    tests: Count
    tables: tuple[Table, ...]
    database: Path | None
    tests_skipped: str = ""
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    others: tuple[OtherPipeline, ...] = ()


def checked(stage: str, values: Mapping[str, object]) -> dict[str, object]:
    """Validate the result of a stage, and add defaults for optional fields.

    Raises:
        MalformedError: a required field is missing, or a field has an invalid value.
    """
    kind = _kind(stage, values)
    if kind is None:
        return dict(printable_all(dict(values)))
    names = {field.name for field in fields(kind)}
    found = codec.decode(kind, {name: value for name, value in values.items() if name in names})
    # Defaults, so that a sum over stages finds every field.
    unsaid = {name: codec.encode(getattr(found, name)) for name in names - values.keys()}
    return dict(printable_all({**values, **unsaid}))


def at_home(
    values: Mapping[str, object], tables: tuple[Table, ...] | None, database: Path | None
) -> dict[str, object]:
    """The result of a transform, with the tables that home published instead of the worker's claim.

    Raises:
        MalformedError: the worker claims to have published, but home published nothing.
    """
    if values.get("published") is not True:
        return dict(values)
    if tables is None:
        raise MalformedError("it claims to have published, but nothing arrived")
    shown = [{"name": one.name, "rows": one.rows, "description": one.description} for one in tables]
    where = None if database is None else str(database)
    return {**values, "tables": printable_all(shown), "database": where}


def _kind(
    stage: str, values: Mapping[str, object]
) -> type[Extracted | UpToDate | Published] | None:
    if stage == "extract":
        return Extracted
    if stage == "transform":
        return Published if values.get("published") is True else UpToDate
    return None
