"""Security of the SQLMesh state: replace stored model definitions by the project's own.

The state is in the database, which may come from a rented machine or a bucket, and SQLMesh runs the
code in it: it renders the old definition of a changed model, with its macros. So only the record of
built model versions is kept, and the definitions come from the project.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.intervals import forget
from materia_runner.worker.sqlmesh.reach import Affected, reached
from materia_runner.worker.sqlmesh.state import STATE, is_there, reason

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.snapshot import Node, Snapshot

Id = tuple[str, str]  # name and identifier, which is a hash of the definition


class UnusableStateError(Exception):
    """The SQLMesh state cannot be used; the message says why."""


def keep_own(context: Context, affected: Affected = (), state: str = STATE) -> None:
    """Replace the model definitions in the state by the project's own.

    Older versions of a model become ones that select nothing. So SQLMesh treats every change as
    breaking, and also rebuilds the downstream models. Then mark what was built from the *affected*
    releases as not built, see `intervals`. What SQLMesh then reads it keeps in memory for the plan.

    Raises:
        UnusableStateError: the state cannot be used and must be dropped.
    """
    nodes: dict[str, Node] = {**context.models, **context.standalone_audits}
    now = list(_versions(nodes))  # an error here is the project's fault
    try:
        if is_there(context.engine_adapter.fetchall, state):
            _put(context, nodes, now, state)
            for days, names in reached(context, affected):
                forget(context, days, names)
            _read(context)
    except Exception as error:  # any error, because the state may come from anywhere
        raise UnusableStateError(reason(error)) from error


def _put(context: Context, nodes: dict[str, Node], now: list[Snapshot], state: str) -> None:
    adapter, snapshots = context.engine_adapter, f"{state}._snapshots"
    rows = adapter.fetchall(f"SELECT name, identifier, snapshot, unrestorable FROM {snapshots}")
    spent = {(name, identifier) for name, identifier, _, unrestorable in rows if unrestorable}
    own = {(one.name, one.identifier): one for one in [*now, *_again(nodes, now, spent)]}
    for name, identifier, text, _ in rows:
        snapshot = own.get((name, identifier))
        node = _other(context, name) if snapshot is None else _stored(snapshot.node)
        values = {**json.loads(text), "name": name, "node": json.loads(node.json())}
        adapter.execute(
            f"UPDATE {snapshots} SET snapshot = {literal(json.dumps(values))} "
            f"WHERE name = {literal(name)} AND identifier = {literal(identifier)}"
        )
    adapter.execute(f"DELETE FROM {state}._environment_statements")


def _again(nodes: dict[str, Node], now: Iterable[Snapshot], spent: set[Id]) -> Iterable[Snapshot]:
    """Versions with a new stamp for models that go back to a *spent* version, as SQLMesh does."""
    again = [one for one in now if (one.name, one.identifier) in spent]
    marks = {one.name: {"stamp": f"revert to {one.identifier}"} for one in again}
    marked = {name: nodes[name].copy(update=mark) for name, mark in marks.items()}
    return _versions({**nodes, **marked}) if marked else ()


def _versions(nodes: dict[str, Node]) -> Iterator[Snapshot]:
    from sqlmesh.core.snapshot import Snapshot

    hashes: dict[str, Any] = {}
    for node in nodes.values():
        yield Snapshot.from_node(node, nodes=nodes, cache=hashes)


def _stored(node: Node) -> Node:
    """The node in the form that SQLMesh stores, without the rows of a seed."""
    from sqlmesh.core.model import SeedModel

    return node.to_dehydrated() if isinstance(node, SeedModel) else node


def _other(context: Context, name: str) -> Node:
    """A harmless replacement for a version that the project does not have."""
    from sqlglot import exp
    from sqlmesh.core.audit import StandaloneAudit
    from sqlmesh.core.model import SqlModel, create_sql_model

    # It differs from the query of every model, so that a changed model is rebuilt.
    query = exp.select(exp.null().as_("nothing"))
    if (audit := context.standalone_audits.get(name)) is not None:
        values = {"name": audit.name, "dialect": "duckdb", "query": query}
        return StandaloneAudit.model_validate(values)
    nothing = create_sql_model(name, query, dialect="duckdb")
    now = context.models.get(name)
    if not isinstance(now, SqlModel) or not isinstance(nothing, SqlModel):
        return nothing
    # It keeps the model's kind, because SQLMesh never reuses a table of another kind.
    return now.copy(update={"query_": nothing.query_, "audits": []})


def _read(context: Context) -> None:
    """Read the state as a plan will, so that its errors appear here."""
    state = context.state_sync
    environments: Iterable[Any] = state.get_environments()
    ids = [one.snapshot_id for environment in environments for one in environment.snapshots]
    if missing := set(ids).difference(state.get_snapshots(ids)):
        raise ValueError(f"{len(missing)} versions of models are missing")
