"""SQLMesh query optimizer: leave it out where DuckDB runs the query of a model as it is written.

SQLMesh rewrites the query of each model several times in a run, to qualify names and to find out
the types of columns: about a third of the processor time of a small run. DuckDB qualifies names
itself, and a model that declares its columns names their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlmesh.core.model import SqlModel

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

ENGINE = "duckdb"


def as_written(models: Mapping[str, Model]) -> dict[str, Model]:
    """Models of which those that need no rewriting have `optimize_query false`.

    A model keeps its own setting, and so the optimizer, when it has one, when it does not declare
    its columns, when its columns follow from those of another table (`SELECT *`), and when it is
    written for another engine or by a template.
    """
    return {
        name: model.copy(update={"optimize_query": False}) if _needs_nothing(model) else model
        for name, model in models.items()
    }


def _needs_nothing(model: Model) -> bool:
    return (
        isinstance(model, SqlModel)
        and model.optimize_query is None
        and model.columns_to_types_ is not None
        and model.dialect == ENGINE
        and isinstance(model.query, exp.Query)
        and not model.query.is_star
        and not model.depends_on_self
    )
