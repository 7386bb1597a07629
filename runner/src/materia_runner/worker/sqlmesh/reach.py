"""Models that a change in one source reaches: its own models, and what reads from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlmesh import Context

Affected = Sequence[date] | Mapping[Path, Sequence[date]]


def all_days(affected: Affected) -> tuple[date, ...]:
    """The affected releases of all sources."""
    if not isinstance(affected, Mapping):
        return tuple(affected)
    return tuple(sorted({day for days in affected.values() for day in days}))


def reached(context: Context, affected: Affected) -> list[tuple[Sequence[date], list[str]]]:
    """The affected releases with the models to rebuild for them; nothing without releases.

    A model that reads a table without a model, such as a raw table, is reached by every source:
    nothing says whose table that is.
    """
    if not isinstance(affected, Mapping):
        return [(affected, list(context.models))] if affected else []
    unclear = _unclear(context, affected)
    return [
        (days, _downstream(context, unclear | set(made_in(context, folder))))
        for folder, days in affected.items()
        if days
    ]


def made_in(context: Context, folder: Path) -> list[str]:
    """The models of one project folder."""
    inside = folder.resolve()
    return [
        name
        for name, model in context.models.items()
        if model._path is not None and Path(model._path).resolve().is_relative_to(inside)  # noqa: SLF001 -- the only place of it
    ]


def _unclear(context: Context, folders: Collection[Path]) -> set[str]:
    from sqlmesh.core.model import ExternalModel

    own = {name for folder in folders for name in made_in(context, folder)}
    known = {name for name, model in context.models.items() if not isinstance(model, ExternalModel)}
    return {
        name
        for name, model in context.models.items()
        if name not in own and not known.issuperset(model.depends_on or ())
    }


def _downstream(context: Context, names: set[str]) -> list[str]:
    found = set(names)
    for name in names:
        found.update(context.dag.downstream(name))
    return [name for name in context.models if name in found]
