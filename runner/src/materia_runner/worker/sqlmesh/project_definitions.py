"""Let SQLMesh find no model in its state but the project's own.

The state lies in the database, which may come from a rented machine or a bucket, and SQLMesh runs
what it finds there: it renders the old definition of a model that has changed, with its macros.
What is kept of the state is which versions of a model are built; the models are taken from the
project.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from materia.kit.sql import literal

from materia_runner.worker.sqlmesh.state import STATE, is_there, reason

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.snapshot import Node, Snapshot

Id = tuple[str, str]  # name and identifier, which is a hash of the definition
SNAPSHOTS = f"{STATE}._snapshots"


class UnusableStateError(Exception):
    """The state is not one of SQLMesh's; the message says what is wrong with it."""


def keep_own(context: Context) -> None:
    """Put the project's own models into the state, in the place of what it says of them.

    Older versions of a model become ones that select nothing. So SQLMesh takes every change for a
    breaking one, and builds the models behind it anew too.

    Raises:
        UnusableStateError: it is to be dropped.
    """
    nodes: dict[str, Node] = {**context.models, **context.standalone_audits}
    now = list(_versions(nodes))  # what fails here is the project's fault
    try:
        if is_there(context.engine_adapter.fetchall):
            _put(context, nodes, now)
            _read(context)
    except Exception as error:  # whatever it is: anybody may have made what is in there
        raise UnusableStateError(reason(error)) from error


def _put(context: Context, nodes: dict[str, Node], now: list[Snapshot]) -> None:
    adapter = context.engine_adapter
    rows = adapter.fetchall(f"SELECT name, identifier, snapshot, unrestorable FROM {SNAPSHOTS}")
    spent = {(name, identifier) for name, identifier, _, unrestorable in rows if unrestorable}
    own = {(one.name, one.identifier): one for one in [*now, *_again(nodes, now, spent)]}
    for name, identifier, text, _ in rows:
        snapshot = own.get((name, identifier))
        node = _other(context, name) if snapshot is None else _stored(snapshot.node)
        values = {**json.loads(text), "name": name, "node": json.loads(node.json())}
        adapter.execute(
            f"UPDATE {SNAPSHOTS} SET snapshot = {literal(json.dumps(values))} "
            f"WHERE name = {literal(name)} AND identifier = {literal(identifier)}"
        )
    adapter.execute(f"DELETE FROM {STATE}._environment_statements")


def _again(nodes: dict[str, Node], now: Iterable[Snapshot], spent: set[Id]) -> Iterable[Snapshot]:
    """SQLMesh does not go back to a version that is *spent*: it marks the model for another one."""
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
    """As SQLMesh stores it: the rows of a seed are not part of it."""
    from sqlmesh.core.model import SeedModel

    return node.to_dehydrated() if isinstance(node, SeedModel) else node


def _other(context: Context, name: str) -> Node:
    """Something harmless in the place of a version that the project does not have."""
    from sqlglot import exp
    from sqlmesh.core.audit import StandaloneAudit
    from sqlmesh.core.model import SqlModel, create_sql_model

    # Differs from the query of every model: a model whose definition has changed is built anew.
    query = exp.select(exp.null().as_("nothing"))
    if (audit := context.standalone_audits.get(name)) is not None:
        values = {"name": audit.name, "dialect": "duckdb", "query": query}
        return StandaloneAudit.model_validate(values)
    nothing = create_sql_model(name, query, dialect="duckdb")
    now = context.models.get(name)
    if not isinstance(now, SqlModel) or not isinstance(nothing, SqlModel):
        return nothing
    # Its kind is needed: for SQLMesh a table of another kind is never the same.
    return now.copy(update={"query_": nothing.query_, "audits": []})


def _read(context: Context) -> None:
    """Read what a plan will, so that what is wrong with it shows here."""
    state = context.state_sync
    environments: Iterable[Any] = state.get_environments()
    ids = [one.snapshot_id for environment in environments for one in environment.snapshots]
    if missing := set(ids).difference(state.get_snapshots(ids)):
        raise ValueError(f"{len(missing)} versions of models are missing")
