"""The published tables on the page: freshness, lineage, columns, audits and their warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from materia.data import Known

from materia_runner.cli.output.report.lineage import lineage_drawing
from materia_runner.cli.output.report.markup import (
    Cell,
    Child,
    Head,
    Html,
    facts,
    folded,
    identity,
    join,
    link,
    section,
    state,
    table,
    tag,
)
from materia_runner.cli.output.text import many, size
from materia_runner.figures import moment_text
from materia_runner.tables.catalog import Catalog, CatalogTable, Model

MOST_PARTITIONS = 300
LONGEST_TYPE = 60  # a type may list a thousand values


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the run that published the tables reported of them.

    Attributes:
        audits: Number of audits that ran, or None.
        warnings: Warnings of audits and others, one sentence each.
    """

    audits: int | None
    warnings: tuple[str, ...]


def tables_section(
    catalog: Catalog | None,
    findings: Findings | None,
    known: Mapping[str, Known],
    runs: Html,
) -> Html:
    """All about the published tables and their files; *runs* are what the page has of runs."""
    if catalog is None:
        nothing = tag("p", "Nothing is published yet; run ", tag("code", "materia run"), ".")
        return section("tables", "Tables", nothing, *_files(known))
    shown = frozenset(table.name for table in catalog.tables)
    readers = _readers(catalog)
    return section(
        "tables",
        "Tables",
        facts(
            [
                ("Published", _moment(catalog.published_at)),
                ("By run", _run(catalog.run, runs)),
                ("Tables and views", f"{len(catalog.tables):,}"),
            ]
        ),
        *_findings(catalog, findings),
        _overview(catalog),
        *_lineage(catalog, shown),
        tag(
            "div",
            tag("h3", "Columns"),
            *(_described(one, catalog, readers, shown) for one in catalog.tables),
            class_="folds",
        ),
        *_files(known),
    )


def _moment(moment: datetime | None) -> str:
    return f"{moment_text(moment)} UTC" if moment else "not recorded in the database"


def _run(run: str, runs: Html) -> Child:
    if not run:
        return "not recorded in the database"
    place = identity("run", run)
    return link(run, place) if f'id="{place}"' in runs.text else run


def _findings(catalog: Catalog, findings: Findings | None) -> Iterator[Html]:
    yield tag("h3", "Audits")
    if findings is None:
        words = (
            "What the audits found is recorded with the run, and the run that published these "
            "tables is not in the ledger of this machine."
        )
        yield tag("p", words, class_="note")
        return
    audits = "" if findings.audits is None else f"{many(findings.audits, 'audit')} ran"
    if not findings.warnings:
        yield tag("p", join([state("ok"), f" {audits or 'audits ran'}, without a warning."]))
        return
    yield tag("p", f"{audits or 'Audits ran'}, with {many(len(findings.warnings), 'warning')}:")
    names = sorted((one.name for one in catalog.tables), key=len, reverse=True)
    yield tag("ul", *(_warning(words, names) for words in findings.warnings), class_="warnings")


def _warning(words: str, names: Sequence[str]) -> Html:
    """A warning; the table it begins with becomes a link."""
    for name in names:
        if words.startswith(f"{name}:"):
            rest = words.removeprefix(name)
            return tag("li", link(name, identity("table", name)), rest)
    return tag("li", words)


def _overview(catalog: Catalog) -> Html:
    heads = [
        Head(name="table"),
        Head(name="kind"),
        *([Head(name="source")] if catalog.sources else []),
        Head(name="rows", number=True),
        Head(name="columns", number=True),
        Head(name="audits", number=True),
        Head(name="what it is", sorts=False),
    ]
    rows: list[list[Cell | Child]] = [
        [
            Cell(shown=link(one.name, identity("table", one.name)), sort=one.name),
            _kind(one, catalog),
            *([catalog.sources.get(one.name, "")] if catalog.sources else []),
            Cell(
                shown="not counted" if one.rows is None else f"{one.rows:,}",
                sort=-1 if one.rows is None else one.rows,
                number=True,
            ),
            Cell(shown=f"{len(one.columns)}", number=True),
            Cell(shown=_audits(_model(catalog, one.name)), number=True),
            one.description.partition(". ")[0].removesuffix("."),
        ]
        for one in catalog.tables
    ]
    return table("Published tables and views", heads, rows, filter_words="Filter tables")


def _model(catalog: Catalog, name: str) -> Model | None:
    return (catalog.models or {}).get(name)


def _kind(one: CatalogTable, catalog: Catalog) -> str:
    model = _model(catalog, one.name)
    if model is None:
        return "view" if one.is_view else "table"
    return model.kind.lower().replace("_", " ")


def _audits(model: Model | None) -> str:
    return "" if model is None else f"{len(model.audits)}"


def _readers(catalog: Catalog) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, model in sorted((catalog.models or {}).items()):
        for read in model.reads:
            found.setdefault(read, []).append(name)
    return found


def _lineage(catalog: Catalog, shown: frozenset[str]) -> Iterator[Html]:
    yield tag("h3", "Lineage")
    if not catalog.models:
        words = "The published database has no record of what each model reads."
        yield tag("p", words, class_="note")
        return
    drawing = lineage_drawing({name: one.reads for name, one in catalog.models.items()}, shown)
    words = (
        "Which table reads which, from left to right, as SQLMesh recorded it. Point at a table to "
        "see its own lines; each table below lists them in words."
    )
    yield tag(
        "figure",
        tag("div", drawing, class_="scroll", role="region", aria_label="Lineage", tabindex=0),
        tag("figcaption", words),
    )


def _described(
    one: CatalogTable,
    catalog: Catalog,
    readers: Mapping[str, Sequence[str]],
    shown: frozenset[str],
) -> Html:
    model = _model(catalog, one.name)
    rows: list[list[Cell | Child]] = [
        [column.name, tag("code", _type(column.type)), column.comment] for column in one.columns
    ]
    heads = [Head(name=name, sorts=False) for name in ("column", "type", "what it is")]
    audits = [
        tag(
            "li",
            tag("code", audit.name),
            f" {audit.arguments}" if audit.arguments else "",
            "" if audit.blocking else " (only warns)",
        )
        for audit in (model.audits if model else ())
    ]
    return folded(
        join([tag("code", one.name), f" {many(len(one.columns), 'column')}"]),
        tag("p", one.description or "It has no description."),
        facts(
            [
                ("Reads", _names(model.reads if model else (), shown)),
                ("Read by", _names(readers.get(one.name, ()), shown)),
            ]
        ),
        table(f"Columns of {one.name}", heads, rows),
        *([tag("p", "Audits:"), tag("ul", *audits)] if audits else []),
        name=identity("table", one.name),
    )


def _names(names: Sequence[str], shown: frozenset[str]) -> Html:
    return join(
        [link(name, identity("table", name)) if name in shown else name for name in names], ", "
    )


def _type(words: str) -> str:
    return words if len(words) <= LONGEST_TYPE else f"{words[:LONGEST_TYPE]}..."


def _files(known: Mapping[str, Known]) -> Iterator[Html]:
    """The partitions in the sink: all with a problem, and the newest of the others."""
    yield tag("h3", "Raw files")
    if not known:
        yield tag("p", "The sink has no raw file.", class_="note")
        return
    ordered = sorted(known.items(), reverse=True)
    in_use = [key for key, one in ordered if one.raw is not None]
    odd = {key for key, one in ordered if one.refused is not None or one.denied}
    there = [(key, one) for key, one in ordered if not one.absent]
    kept = {key for key, _ in there[:MOST_PARTITIONS]} | odd
    yield facts(
        [
            ("In use", many(len(in_use), "partition")),
            ("Newest", in_use[0] if in_use else ""),
            ("Last asked", _moment(max(one.checked_at for one in known.values()))),
            ("In quarantine", many(sum(one.refused is not None for _, one in ordered), "file")),
        ]
    )
    heads = [
        Head(name="partition"),
        Head(name="fetched (UTC)"),
        Head(name="size", number=True),
        Head(name="state"),
    ]
    rows: list[list[Cell | Child]] = [
        [
            key,
            moment_text(one.raw.fetched_at) if one.raw else "",
            Cell(
                shown=size(one.raw.size) if one.raw else "",
                sort=one.raw.size if one.raw else -1,
                number=True,
            ),
            _state(one),
        ]
        for key, one in there
        if key in kept
    ]
    left = len(there) - len(rows)
    yield folded(
        f"All {many(len(rows), 'partition')}" if not left else f"The newest {len(rows):,}",
        table("Raw files by partition", heads, rows, filter_words="Filter partitions"),
        *([tag("p", f"{left:,} older ones are left out.", class_="note")] if left else []),
    )


def _state(one: Known) -> str:
    if one.refused is not None:
        return f"in quarantine: {one.refused}"
    return "in use, though the source denies it" if one.denied else "in use"
