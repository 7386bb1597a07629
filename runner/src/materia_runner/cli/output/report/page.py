"""The whole HTML page: head, navigation, sections, style and script, in one self-contained file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any

from materia.data import Known

from materia_runner.cli.output.report.answers import answers_section
from materia_runner.cli.output.report.costs import costs_section
from materia_runner.cli.output.report.markup import Html, facts, link, tag
from materia_runner.cli.output.report.runs import runs_section
from materia_runner.cli.output.report.tables import Findings, tables_section
from materia_runner.cli.output.runs.table import amounts, ended_word
from materia_runner.figures import elapsed_text, moment_text
from materia_runner.tables.catalog import Catalog
from materia_runner.tables.report_queries import Answer

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the page shows.

    Attributes:
        made_at: When the page was made, in UTC.
        version: Version of materia-runner.
        source: Name of the pipeline's source.
        sink: Name of its sink.
        runs: Runs in the form of `run_values`, newest first.
        details: The same runs in the form of `show_values`; read only as far as they are shown.
        folder: Name of its folder.
        older_runs: Number of older runs of this pipeline that are left out.
        other_runs: Number of runs in the ledger that are of other folders or pipelines.
        costs: In the form of `cost_values`.
        catalog: What the published database contains; None when nothing is published.
        findings: What the run that published it reported; None when the ledger has no such run.
        known: The partitions in the sink.
        answers: Answers to the report queries.
    """

    made_at: datetime
    version: str
    source: str
    sink: str
    runs: Sequence[Values]
    details: Iterator[Values]
    costs: Values
    folder: str = ""
    older_runs: int = 0
    other_runs: int = 0
    catalog: Catalog | None = None
    findings: Findings | None = None
    known: Mapping[str, Known] = field(default_factory=dict)
    answers: Sequence[Answer] = ()


def page(report: Report) -> str:
    """The page as the text of an HTML file.

    Its content security policy allows its own style and script, by their hashes, and nothing else.
    """
    style, script = _own("style.css"), _own("script.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = f"{report.source} -> {report.sink}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=f"materia {report.version}"),
        tag("title", f"{title}: materia report"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(style)),
    )
    runs = runs_section(
        report.runs, report.details, left_out=report.older_runs, others=report.other_runs
    )
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag(
            "header",
            tag("h1", title),
            tag("p", f"materia report of {moment_text(report.made_at)} UTC{_place(report)}"),
        ),
        _navigation(report),
        tag(
            "main",
            _summary(report),
            answers_section(report.answers),
            tables_section(report.catalog, report.findings, report.known, runs),
            runs,
            costs_section(report.costs, report.runs),
            id="content",
        ),
        tag(
            "footer",
            tag(
                "p",
                f"Made by materia {report.version}. Times are in UTC, costs net of VAT; a cost is "
                "computed from prices and lifetimes, and is not the provider's invoice.",
            ),
        ),
        tag("script", Html(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en').text}\n"


def _place(report: Report) -> str:
    return f", folder {report.folder}" if report.folder else ""


def _own(name: str) -> str:
    """A file of this package; it holds no `</`, so it cannot end its element."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _navigation(report: Report) -> Html:
    places = [
        *([("What is new", "new")] if report.answers else []),
        ("Tables", "tables"),
        ("Runs", "runs"),
        ("Costs", "costs"),
    ]
    items = [tag("li", link(name, place)) for name, place in places]
    return tag("nav", tag("ul", *items), aria_label="Parts of the page")


def _summary(report: Report) -> Html:
    newest = report.runs[0] if report.runs else None
    in_use = sorted(key for key, one in report.known.items() if one.raw is not None)
    ran = ""
    if newest is not None:
        took = "" if newest["seconds"] is None else f", took {elapsed_text(newest['seconds'])}"
        ran = f"{newest['started_at'][:16].replace('T', ' ')}: {ended_word(dict(newest))}{took}"
    published = report.catalog.published_at if report.catalog else None
    warnings = "" if report.findings is None else f"{len(report.findings.warnings):,}"
    found = facts(
        [
            ("Last run", ran or "none yet"),
            ("Published", moment_text(published) if published else "nothing yet"),
            ("Newest raw file", in_use[-1] if in_use else "none"),
            ("Warnings of audits", warnings),
            ("Runs", f"{len(report.runs) + report.older_runs:,}"),
            ("Cost of all machines", amounts(report.costs["cost"]) or "nothing was rented"),
        ]
    )
    return tag("section", found, aria_label="Summary", class_="summary")
