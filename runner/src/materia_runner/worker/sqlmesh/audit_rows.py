"""Failed rows of a SQLMesh audit: show up to three of them, with keys and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot.expressions import Expr
    from sqlmesh import Context

SHOWN_ROWS = 3
# Show all columns of a result up to this width; of a wider one the key and the audited columns.
NARROW = 8
LONGEST_VALUE = 40
Run = Callable[[str], tuple[Sequence[str], Sequence[Sequence[object]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A failed audit.

    Attributes:
        model: Name of the model, with its schema.
        sentence: Sentence with the audit and the number of rows, without a full stop.
        rows: Number of rows.
        query: SQL in DuckDB's dialect that selects these rows.
    """

    model: str
    sentence: str
    rows: int
    query: str


def sentences_of(context: Context, findings: Sequence[Finding]) -> tuple[str, ...]:
    """A sentence for each finding, with its first rows, without duplicates.

    The tables must be unchanged since the audits ran.
    """

    def run(sql: str) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        adapter = context.engine_adapter
        adapter.execute(sql, quote_identifiers=False)
        names = [str(column[0]) for column in adapter.cursor.description]
        return names, adapter.cursor.fetchall()

    sentences = [with_rows(one, _grain(context, one.model), run) for one in findings]
    return tuple(dict.fromkeys(sentences))


def found_sentence(model: str, audit: str, rows: int) -> str:
    """The sentence about an audit that only warns."""
    return f"{model}: audit {audit} found {rows} {'row' if rows == 1 else 'rows'}"


def with_rows(
    finding: Finding, grain: Sequence[str], run: Run, *, conditions: Collection[str] | None = None
) -> str:
    """The sentence of a finding and its first rows, ordered by the *grain* of the model.

    Args:
        finding: The failed audit.
        grain: Columns of the model's key.
        run: Runs a query.
        conditions: Columns that the conditions of the audit name; None to look for them.
    """
    import duckdb

    try:
        names, _ = run(f"SELECT * FROM ({finding.query}) AS found LIMIT 0")
        if conditions is None:
            conditions = _parsed_conditions(finding.query) if len(names) > NARROW else ()
        columns = chosen_columns(names, grain, conditions)
        listed = ", ".join(f'"{name}"' for name in columns)
        _, rows = run(
            f"SELECT DISTINCT {listed} FROM ({finding.query}) AS found "
            f"ORDER BY {listed} LIMIT {SHOWN_ROWS}"
        )
    # Without its rows the finding is still worth showing.
    except duckdb.Error:
        return finding.sentence
    shown = [
        ", ".join(f"{name} {value_text(value)}" for name, value in zip(columns, row, strict=True))
        for row in rows
    ]
    more = [f"and {finding.rows - len(shown)} more"] if finding.rows > len(shown) else []
    return f"{finding.sentence}: {'; '.join([*shown, *more])}"


def columns_of_conditions(query: Expr) -> set[str]:
    """The columns that the conditions of a query name."""
    from sqlglot import exp

    conditions = query.find_all(exp.Where)
    return {column.name for one in conditions for column in one.find_all(exp.Column)}


def _parsed_conditions(query: str) -> set[str]:
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError

    try:
        return columns_of_conditions(parse_one(query, dialect="duckdb"))
    except SqlglotError:
        return set()


def chosen_columns(
    names: Sequence[str], grain: Sequence[str], conditions: Collection[str]
) -> list[str]:
    """The columns to show: the key first, then the columns that the audit checks."""
    key = [name for name in grain if name in names]
    others = [name for name in names if name not in key]
    if len(names) > NARROW:
        others = [name for name in others if name in conditions]
    return [*key, *others] or list(names[:NARROW])


def value_text(value: object) -> str:
    """Format a value for people, without control characters."""
    match value:
        case None:
            return "null"
        case Decimal():
            text = f"{value.normalize():f}"
        case float():
            text = f"{value:.6g}"
        case _:
            text = "".join(
                one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(value)
            )
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _grain(context: Context, model: str) -> list[str]:
    from sqlglot import exp

    found = context.get_model(model, raise_if_missing=False)
    grains = [] if found is None else found.grains
    return [column.name for grain in grains for column in grain.find_all(exp.Column)]
