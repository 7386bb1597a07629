"""SQLMesh console that collects progress, warnings and failures instead of printing them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlmesh.core.console import NoopConsole, get_console, set_console
from sqlmesh.utils.errors import NodeAuditsErrors

from materia_runner.worker.sqlmesh.audit_rows import Finding, found_sentence

# SQLMesh's message for a failed audit that does not stop the plan.
AUDIT = re.compile(r"(?P<model>[^:]+): '(?P<audit>\w+)' audit error: (?P<rows>\d+) rows? failed")
QUERY = "Audit query:\n"


class QuietConsole(NoopConsole):
    """Console that collects warnings and failures, and reports each finished model."""

    def __init__(self, progress: Callable[[str, int, int], None]) -> None:
        self._progress = progress
        self._total = 0
        self._done: set[str] = set()
        self.audits = 0
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.found: list[Finding] = []
        self.failed: list[Finding] = []

    def start_evaluation_progress(
        self, batched_intervals: dict[Any, Any], *args: Any, **options: Any
    ) -> None:
        """Note the number of models."""
        self._total = len(batched_intervals)
        self._done = set()

    def update_snapshot_evaluation_progress(
        self,
        snapshot: Any,
        interval: Any,
        batch_idx: int,
        *counts: Any,
        **options: Any,
    ) -> None:
        """Note a model that was built and audited; a failed one has no duration."""
        duration_ms, passed, failed = counts[:3]
        self.audits += passed + failed
        if duration_ms is not None and snapshot.is_model:
            self._done.add(snapshot.model.name)
            self._progress(snapshot.model.name, len(self._done), self._total)

    def log_warning(self, short_message: str, long_message: str | None = None) -> None:
        """Note a failed audit that does not stop the plan, or another warning of SQLMesh."""
        message = " ".join(short_message.split()).removesuffix(".")
        audit = AUDIT.fullmatch(message)
        _, asked, query = (long_message or "").partition(QUERY)
        if audit is None or not asked:
            self.warnings.append(message)
            return
        model, name, rows = audit["model"], audit["audit"], int(audit["rows"])
        sentence = found_sentence(model, name, rows)
        self.found.append(Finding(model=model, sentence=sentence, rows=rows, query=query))

    def log_error(self, message: str) -> None:
        """Note an error of SQLMesh."""
        self.failures.append(message.strip())

    def log_failed_models(self, errors: list[Any]) -> None:
        """Note models that could not be built, and failed blocking audits."""
        for error in errors:
            cause = error.__cause__
            if isinstance(cause, NodeAuditsErrors):
                self.failed += [_audit(audit) for audit in cause.errors]
            else:
                self.failures.append(f"{_name(error.node)}: {cause or error}")


@contextmanager
def console(progress: Callable[[str, int, int], None]) -> Iterator[QuietConsole]:
    """Replace SQLMesh's console, a setting of the whole process, for this block."""
    before = get_console()
    quiet = QuietConsole(progress)
    set_console(quiet)
    try:
        yield quiet
    finally:
        set_console(before)


def _audit(error: Any) -> Finding:
    columns = error.audit_args.get("columns") or error.audit_args.get("column")
    on = f" on {columns.sql(dialect='duckdb')}" if columns is not None else ""
    return Finding(
        model=error.model_name,
        sentence=(
            f"{error.model_name}: audit {error.audit_name}{on} failed for {_many(error.count)}"
        ),
        rows=error.count,
        query=error.sql("duckdb"),
    )


def _many(rows: int) -> str:
    return f"{rows} {'row' if rows == 1 else 'rows'}"


def _name(node: Any) -> str:
    name = getattr(node, "snapshot_name", None) or str(node)
    return ".".join(part.strip('"') for part in str(name).split(".")[-2:])
