"""Record a build: the statements that SQLMesh would run for each model, without running them.

SQLMesh itself writes them, for two made-up intervals of time. Where the texts differ by more than
the days of these, or where code of the project takes part, the build is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlmesh.core.dialect import MacroFunc
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.model import SeedModel, SqlModel
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotEvaluator

from materia_runner.worker.sqlmesh.audit_rows import columns_of_conditions
from materia_runner.worker.sqlmesh.recorded.earlier_builds import (
    EarlierModels,
    Version,
)
from materia_runner.worker.sqlmesh.recorded.recorded_build import (
    BY_TIME,
    FIRST_DAY,
    FULL,
    LAST_DAY,
    SEED,
    VIEW,
    NotRecordedError,
    RecordedAudit,
    RecordedBuild,
    RecordedModel,
    made_with,
)

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.plan import Plan

# First and last day of intervals that no project names. They are far apart: a text that depends on
# how a day compares with one of the project differs.
INTERVALS = (("1811-05-17", "1823-08-28"), ("2134-01-26", "2145-10-13"))
# Times of execution, one for each interval.
CLOCKS = ("1851-02-03", "2162-11-19")
TIME = re.compile(r"@\W*(start|end|execution|latest)_", re.IGNORECASE)
OF_TIME = re.compile(rf"{TIME.pattern}|@(eval|sql|def|macro)\b", re.IGNORECASE)
WRITES = re.compile(
    r"(/\*.*?\*/\s*)?(CREATE|INSERT|DELETE|COMMENT|ALTER|DROP|UPDATE|MERGE)\b", re.DOTALL
)
DIALECT = "duckdb"


class DryAdapter(DuckDBEngineAdapter):
    """An adapter that keeps the statements that write, and answers audits with no rows."""

    def _execute(self, sql: str, *settings: Any, **options: Any) -> None:
        if WRITES.match(sql):
            self._extra_config["written"].append(sql)
        else:
            super()._execute(sql, *settings, **options)

    def columns(self, table_name: Any, *settings: Any, **options: Any) -> dict[str, Any]:
        """The columns of a table, which each of its audits asks for."""
        known: dict[str, dict[str, Any]] = self._extra_config["known"]
        if str(table_name) not in known:
            known[str(table_name)] = super().columns(table_name, *settings, **options)
        return known[str(table_name)]

    def fetchone(self, query: Any, *settings: Any, **options: Any) -> tuple[Any, ...] | None:
        """No rows for the count of an audit."""
        counts = isinstance(query, exp.Select) and isinstance(query.selects[0], exp.Count)
        return (0,) if counts else super().fetchone(query, *settings, **options)


def record(
    context: Context,
    plan: Plan,
    made_in: Mapping[str, int],
    as_made: Mapping[str, str],
    earlier: EarlierModels,
) -> RecordedBuild | None:
    """The build of *context*, whose tables are built; None if it cannot be recorded.

    Args:
        context: The context.
        plan: The plan that built the tables.
        made_in: Place of the project of each model, by its name.
        as_made: SQL that made the views, by their names.
        earlier: Models that were recorded before.
    """
    with suppress(Exception):  # the build is done, and the next one does without
        return _Recorder(context, plan, earlier).build(made_in, as_made)
    return None


class _Recorder:
    def __init__(self, context: Context, plan: Plan, earlier: EarlierModels) -> None:
        adapter = context.engine_adapter
        self._context = context
        self._written: list[str] = []
        dry = DryAdapter(
            adapter._connection_pool,  # noqa: SLF001 -- as its own copies with other settings do
            dialect=DIALECT,
            default_catalog=context.default_catalog,
            null_connection=True,
            written=self._written,
            known={},
        )
        self._evaluator = SnapshotEvaluator({"": dry})
        self._snapshots = {one.name: one for one in plan.snapshots.values()}
        self._earlier = earlier

    def build(self, made_in: Mapping[str, int], as_made: Mapping[str, str]) -> RecordedBuild:
        models, names, definitions = [], [], []
        for node in self._context.dag.sorted:
            snapshot = self._snapshots.get(node)
            if snapshot is None or snapshot.is_external:
                continue
            if not snapshot.is_model:
                raise NotRecordedError(node)
            names.append(snapshot.model.name)
            models.append(self._model(snapshot))
            definitions += [_plain(snapshot.table_name()), _plain(snapshot.name)]
        return RecordedBuild(
            models=tuple(models),
            tables=tuple(sorted(names)),
            made_in={name: made_in[name] for name in sorted(names)},
            definitions=dict.fromkeys(definitions, ""),
            as_made={name: as_made[name] for name in definitions if name in as_made},
            made_with=made_with(),
        )

    def _model(self, snapshot: Snapshot) -> RecordedModel:
        model = snapshot.model
        if not isinstance(model, (SeedModel, SqlModel)) or not _is_plain(snapshot):
            raise NotRecordedError(model.name)
        above = [self._snapshots[one.name] for one in snapshot.parents]
        parents = [_version(one) for one in above if not one.is_external]
        if (known := self._earlier.find(_version(snapshot), parents)) is not None:
            return known
        queries = [] if isinstance(model, SeedModel) else [model.query]
        if not all(map(_is_open, (*queries, *(one.query for one, _ in model.audits_with_args)))):
            raise NotRecordedError(model.name)
        by_time = str(model.kind.name) == BY_TIME
        texts = [
            *map(str, queries),
            *(f"{audit.query} {args}" for audit, args in model.audits_with_args),
        ]
        statements, audits = self._texts(snapshot, 0)
        if by_time or any(map(OF_TIME.search, texts)):
            again = self._texts(snapshot, 1)
            opened = _open((statements, audits), 0)
            if opened != _open(again, 1) or (not by_time and again != (statements, audits)):
                raise NotRecordedError(model.name)
            statements, audits = opened
        return RecordedModel(
            name=model.name,
            node=snapshot.name,
            identifier=snapshot.identifier,
            version=str(snapshot.version),
            kind=str(model.kind.name),
            statements=tuple(statements),
            audits=tuple(audits),
            grain=tuple(
                column.name for grain in model.grains for column in grain.find_all(exp.Column)
            ),
        )

    def _texts(self, snapshot: Snapshot, number: int) -> tuple[list[str], list[RecordedAudit]]:
        """The statements that build a version of a model, and its audits."""
        first, last = map(_midnight, INTERVALS[number])
        parents = {one.name: self._snapshots[one.name] for one in snapshot.parents}
        options: dict[str, Any] = {
            "start": first,
            "end": last + timedelta(days=1),
            "execution_time": _midnight(CLOCKS[number]),
            "snapshots": {**parents, snapshot.name: snapshot},
            "deployability_index": DeployabilityIndex.all_deployable(),
        }
        self._written.clear()
        if not (snapshot.is_view or snapshot.is_seed):
            self._evaluator.evaluate(snapshot, target_table_exists=True, **options)
        results = self._evaluator.audit(snapshot, **options)
        audits = []
        for result in results:
            if result.query is None:  # an audit that the project skips
                continue
            query = result.query.sql(DIALECT)
            audits.append(
                RecordedAudit(
                    name=result.audit.name,
                    blocking=result.blocking,
                    query=query,
                    columns=tuple(sorted(columns_of_conditions(result.query))),
                )
            )
        return list(self._written), audits


def _version(snapshot: Snapshot) -> Version:
    return snapshot.name, snapshot.identifier, str(snapshot.version)


def _is_plain(snapshot: Snapshot) -> bool:
    """Whether nothing but its query makes a model, and its intervals are days."""
    model: Any = snapshot.model
    kind = model.kind
    spread = {"lookback", "batch_size", "auto_restatement_cron", "forward_only"}
    if snapshot.is_seed:
        spread.remove("batch_size")  # rows that SQLMesh inserts at once
    usual_times = (
        model.cron == "@daily"
        and not model.interval_unit_
        and not any(getattr(kind, name, None) for name in spread)
    )
    of_code = model.python_env
    more = (
        model.pre_statements
        or model.post_statements
        or model.on_virtual_update
        or model.signals
        or model.depends_on_self
        or model.jinja_macros.root_macros
        or model.gateway
        or model.end
        or model.allow_partials
        or model.session_properties_
        or model.physical_properties_
        or not model.enabled
    )
    return (
        str(kind.name) in {FULL, VIEW, BY_TIME, SEED}
        and not getattr(kind, "materialized", False)
        and usual_times
        and not of_code
        and not more
    )


def _is_open(query: Any) -> bool:
    """Whether days stay as they are in the SQL of a query: no macro decides by them."""
    macros = query.find_all(MacroFunc) if isinstance(query, exp.Query) else [None]
    return not any(one is None or TIME.search(str(one)) for one in macros)


def _open(
    texts: tuple[Sequence[str], Sequence[RecordedAudit]], number: int
) -> tuple[list[str], list[RecordedAudit]]:
    """The texts with places for the days of the interval that they were written for."""
    first, last = INTERVALS[number]

    def opened(text: str) -> str:
        return text.replace(first, FIRST_DAY).replace(last, LAST_DAY)

    statements, audits = texts
    return (
        [opened(text) for text in statements],
        [
            RecordedAudit(
                name=one.name,
                blocking=one.blocking,
                query=opened(one.query),
                columns=one.columns,
            )
            for one in audits
        ],
    )


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def _plain(name: str) -> str:
    """`schema.table` of a name that may be quoted and have a catalog."""
    table = exp.to_table(name, dialect=DIALECT)
    return f"{table.db}.{table.name}"
