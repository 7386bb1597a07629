"""Check the models of a project before they are built: names, columns and seed files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from materia.errors import StageError

from materia_runner.worker.sqlmesh.reach import Affected, reached

if TYPE_CHECKING:
    from sqlmesh import Context


def check_models(context: Context, projects: Sequence[Path], *, taken: frozenset[str]) -> None:
    """Check all models of *projects*; another pipeline publishes the tables *taken*.

    Raises:
        StageError: two pipelines have a table of one name, a model does not declare what it
            selects, or a seed's file lies outside its project.
    """
    _check_taken(context, taken)
    _check_columns(context)
    _check_seeds(context, projects)


def check_starts(context: Context, affected: Affected) -> None:
    """Refuse releases from before the first day of an incremental model that names none.

    SQLMesh builds no such day, so their rows would be missing without a word. A model with a
    `start` of its own leaves them out on purpose.

    Raises:
        StageError: there is one; the message names the models, the day, and what to write.
    """
    from materia_sqlmesh.model_start import START

    first: dict[str, date] = {}
    for days, names in reached(context, affected):
        for model in (context.models[name] for name in names):
            if model.kind.is_incremental_by_time_range and model.start == START.isoformat():
                first[model.name] = min([*days, first.get(model.name, START)])
    if early := [
        f"{name}: it begins on {START}, and would lack the rows of {day}; write "
        f"start '{day}' into its MODEL (...), or another day to leave older rows out"
        for name, day in sorted(first.items())
        if day < START
    ]:
        raise StageError("\n".join(early))


def finished_tables(context: Context) -> tuple[str, ...]:
    """Names of the tables and views that the models of *context* make, sorted."""
    from sqlmesh.core.model import ExternalModel

    return tuple(
        sorted(
            model.name for model in context.models.values() if not isinstance(model, ExternalModel)
        )
    )


def _undeclared(context: Context) -> list[str]:
    """Messages about columns that a model selects but does not declare, or the other way round.

    SQLMesh fails on them in a unit test or during a write, and names neither the model nor the
    reason.
    """
    from sqlglot import exp

    found = []
    for model in context.models.values():
        declared, query = model.columns_to_types_, getattr(model, "query", None)
        if declared is None or not isinstance(query, exp.Query) or query.is_star:
            continue
        selected = [name.lower() for name in query.named_selects]
        if "" in selected:  # a macro that becomes columns later
            continue
        known = {name.lower() for name in declared}
        if more := [name for name in selected if name not in known]:
            found.append(
                f"{model.name}: its SELECT has {', '.join(more)}, which its columns (...) do not "
                "declare; add each there with its type"
            )
        if less := sorted(known.difference(selected)):
            found.append(
                f"{model.name}: its columns (...) declare {', '.join(less)}, which its SELECT does "
                "not have; select each there, or take it out of columns and column_descriptions"
            )
    return found


def _check_taken(context: Context, taken: frozenset[str]) -> None:
    if both := sorted(taken.intersection(finished_tables(context))):
        raise StageError(
            f"{', '.join(both)}: another pipeline publishes a table of this name in the same "
            "database; rename the model, or set another place for one of the pipelines"
        )


def _check_columns(context: Context) -> None:
    if undeclared := _undeclared(context):
        raise StageError("\n".join(undeclared))


def _check_seeds(context: Context, projects: Sequence[Path]) -> None:
    """Refuse a seed whose file is not in the fingerprint, since its changes would have no effect.

    A rented machine would not have such a file either.
    """
    from sqlmesh.core.model import SeedModel

    from materia_runner.worker.sqlmesh.fingerprint import project_files

    own = {file.resolve() for project in projects for file in project_files(project)}
    for model in context.models.values():
        if isinstance(model, SeedModel) and model.seed_path.resolve() not in own:
            raise StageError(
                f"{model.name}: its seed {model.kind.path} must be a .csv file in the project, "
                "outside its folders report and logs"
            )
