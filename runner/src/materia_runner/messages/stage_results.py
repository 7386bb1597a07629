"""What a worker says its stage did: the fields that are shown and summed up, checked.

A stage may say more than these: that is kept as the JSON it is, within the bounds of `codec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from materia.data import Table
from materia.forms import Count, PartitionKey
from materia.printable import printable_all

from materia_runner import codec
from materia_runner.codec import MalformedError
from materia_runner.messages.partition_problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What an extract did; the fields are those of `extract_stage`."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate:
    """What a transform did that found nothing new."""

    published: bool
    files: Count
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a transform did; the fields are those of `transform_stage`."""

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
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def checked(stage: str, values: Mapping[str, object]) -> dict[str, object]:
    """The result of a stage, ready to be shown, summed up and written down.

    Raises:
        MalformedError: a field that is needed is missing, or is not what it should be.
    """
    kind = _kind(stage, values)
    if kind is None:
        return dict(printable_all(dict(values)))
    names = {field.name for field in fields(kind)}
    found = codec.decode(kind, {name: value for name, value in values.items() if name in names})
    # Who sums up need not ask whether a stage said nothing of it.
    unsaid = {name: codec.encode(getattr(found, name)) for name in names - values.keys()}
    return dict(printable_all({**values, **unsaid}))


def at_home(
    values: Mapping[str, object], tables: tuple[Table, ...] | None, database: Path | None
) -> dict[str, object]:
    """The result of a transform, with what home itself has published in the place of the claim.

    Raises:
        MalformedError: it claims to have published, and home has seen nothing of it.
    """
    if values.get("published") is not True:
        return dict(values)
    if tables is None:
        raise MalformedError("it says that it published, and nothing came")
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
