"""`materia report`: what the page holds, what it never lets in, and how it is written."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from fakes.html_page import Element, parsed, table_of
from fakes.many_runs import write_history
from fakes.rows import MINUTE, NOON, OFFER, machine_row, run_row, write_machine
from materia.compute import Money
from materia.data import Known, RawFile
from materia_runner.cli.output.report.lineage import in_layers
from materia_runner.cli.output.report.page import Report, page
from materia_runner.cli.output.report.tables import Findings
from materia_runner.cli.output.runs.show import show_values
from materia_runner.cli.output.runs.table import cost_values, list_values
from materia_runner.ledger.state import State
from materia_runner.tables.catalog import (
    Audit,
    Catalog,
    CatalogTable,
    Column,
    Model,
)
from materia_runner.tables.report_queries import Answer, ReportQuery

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b]0;title\x07\u202e"
SHOWN = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
QUERY = ReportQuery(file="q.sql", title="Question", explanation="", sql="")


def made(state: State, catalog: Catalog | None = None, **more: object) -> Element:
    return parsed(text_of(state, catalog, **more))


def text_of(state: State, catalog: Catalog | None = None, **more: object) -> str:
    now = NOON + timedelta(days=1)
    with state.ledger() as ledger:
        rows = ledger.runs()
        values: dict[str, object] = {
            "made_at": now,
            "version": "0.1.0",
            "source": "beans",
            "sink": "folder",
            "runs": list_values(rows, state, ledger, now),
            "details": (show_values(row, state, ledger, now) for row in rows),
            "costs": cost_values(ledger.costs(now=now), None),
            "catalog": catalog,
        }
        return page(Report(**{**values, **more}))  # type: ignore[arg-type]  # by name


def table(name: str, *, columns: int = 2, comment: str = "What it means") -> CatalogTable:
    return CatalogTable(
        name=name,
        is_view=False,
        rows=1234,
        description=f"{name} as it is. {comment}",
        columns=tuple(
            Column(name=f"c{place}", type="TEXT", comment=comment) for place in range(columns)
        ),
    )


def catalog(*names: str, run: str = "one", comment: str = "What it means") -> Catalog:
    audit = Audit(name="not_null", arguments="columns (c0)", blocking=True)
    return Catalog(
        run=run,
        published_at=NOON,
        tables=tuple(table(name, comment=comment) for name in names),
        models={
            name: Model(kind="FULL", reads=names[place + 1 : place + 2], audits=(audit,))
            for place, name in enumerate(names)
        },
    )


def releases(count: int) -> dict[str, Known]:
    found = {}
    for place in range(count):
        key = f"{2006 + place // 12}-{1 + place % 12:02}"
        raw = RawFile(
            partition=key,
            file="all.zip",
            url=f"https://beans.example/{key}/all.zip",
            sha256="0" * 64,
            content="0" * 64,
            size=9_000_000,
            etag=None,
            last_modified=None,
            fetched_at=NOON,
        )
        refused = "its rows are damaged" if place == 3 else None
        found[key] = Known(url=raw.url, checked_at=NOON, raw=raw, refused=refused)
    return found


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of 300 runs, 229 releases and two dozen tables."""
    state = State(tmp_path_factory.mktemp("full"))
    last = write_history(state, 300)[-1]
    names = [f"serving.fct_{place}" for place in range(24)]
    answer = Answer(
        query=QUERY,
        columns=("commodity", "market_year", "change", "forecast"),
        rows=tuple(("Corn", 2018, place - 100, list(range(40))) for place in range(229)),
    )
    return text_of(
        state,
        Catalog(
            run=last,
            published_at=NOON,
            tables=tuple(table(name, columns=40) for name in names),
            models=catalog(*names).models,
        ),
        findings=Findings(audits=65, warnings=("serving.fct_3: audit found 2 rows",)),
        known=releases(229),
        answers=(answer,),
    )


@pytest.fixture(scope="module")
def tree(full: str) -> Element:
    return parsed(full)


def test_the_page_of_229_releases_and_300_runs_is_under_two_megabytes(
    full: str, tree: Element
) -> None:
    assert len(full.encode()) < 2_000_000
    assert len(table_of(tree, "Runs of this pipeline in the ledger, newest first")) == 300
    assert len(table_of(tree, "Raw files by partition")) == 229
    assert "229 partitions" in tree.text


def test_the_page_loads_nothing_and_allows_only_its_own_script(full: str, tree: Element) -> None:
    outside = [
        value
        for element in tree.all()
        for name, value in element.attributes.items()
        if name in {"src", "href", "action", "srcset", "data", "poster"}
        and not str(value).startswith(("#", "data:,"))
    ]
    assert outside == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML", full)
    assert not [one for one in tree.all() if "style" in one.attributes]
    assert len(list(tree.all("script"))) == len(list(tree.all("style"))) == 1
    [policy] = [one for one in tree.all("meta") if "http-equiv" in one.attributes]
    assert str(policy.attributes["content"]).startswith("default-src 'none'; style-src 'sha256-")


def test_the_page_can_be_read_without_seeing_it(tree: Element) -> None:
    [html] = tree.all("html")
    assert html.attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(list(tree.all(landmark))) == 1, landmark
    assert next(next(tree.all("head")).all("title")).text == "beans -> folder: materia report"
    levels = [int(one.name[1]) for one in tree.all() if re.fullmatch(r"h[1-6]", one.name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for one in tree.all("table"):
        assert next(one.all("caption")).text
        assert all(head.attributes["scope"] in {"col", "row"} for head in one.all("th"))
    for drawing in tree.all("svg"):
        named = drawing.attributes.get("role") == "img" and drawing.attributes.get("aria-label")
        hidden = drawing.attributes.get("aria-hidden") == "true"
        assert named or hidden or drawing.attributes["class"] == "lineage"
    names = [one.attributes["id"] for one in tree.all() if "id" in one.attributes]
    assert len(names) == len(set(names))
    for link in tree.all("a"):
        assert str(link.attributes["href"])[1:] in names


def test_a_run_is_shown_with_its_offers_choice_bill_and_timeline(state: State) -> None:
    [run] = write_history(state, 1)
    tree = made(state)

    offers = table_of(tree, "Offers considered for extract and transform, cheapest first")
    assert [row[:3] for row in offers[:2]] == [["acme", "a2", "north"], ["bolt", "b13", "north"]]
    assert [row[-1] for row in offers] == ["chosen", *[""] * 9]
    assert "1 of acme: sold out" in tree.text
    bars = table_of(tree, "Timeline of machines and stages")
    assert [row[:3] for row in bars] == [
        ["acme a2", "0 s", "9 min"],
        ["stage extract", "1 min", "2 min"],
        ["stage transform", "3 min", "5 min"],
    ]
    assert "acme a2 in north: estimated 0.0021 EUR, cost 0.0019 EUR" in tree.text
    assert run in tree.text


def test_estimate_and_cost_stand_side_by_side(state: State) -> None:
    write_history(state, 20)
    tree = made(state)

    by_provider = table_of(tree, "Cost by provider")
    assert [row[0] for row in by_provider] == ["acme", "bolt"]
    assert all(row[2].endswith(" EUR") and row[3].endswith(" EUR") for row in by_provider)
    assert [row[0] for row in table_of(tree, "Cost by stage")] == ["extract", "transform"]
    assert len(table_of(tree, "Cost by month")) >= 1
    captions = [one.text for one in tree.all("figcaption")]
    assert any(words.startswith("Estimate beside cost of 20 runs from ") for words in captions)


def test_amounts_of_two_currencies_are_never_added(state: State) -> None:
    with state.ledger() as ledger:
        for run, currency in (("one", "EUR"), ("two", "USD")):
            ledger.begin_run(run_row(run))
            offer = replace(OFFER, hourly=Money(Decimal(1), currency), extras=())
            money = Money(Decimal("0.5"), currency)
            row = replace(machine_row(run, run=run, offer=offer), estimate=money)
            write_machine(ledger, row, lengths=(4 * MINUTE,))
            ledger.end_run(run, "ok", at=NOON + 15 * MINUTE)
    tree = made(state)

    captions = [one.text for one in tree.all("figcaption") if "beside" in one.text]
    assert [words.rpartition(" ")[2] for words in captions] == ["EUR", "USD"]
    [stage] = table_of(tree, "Cost by stage")
    assert stage[2] == "0.5000 EUR, 0.5000 USD"


def test_names_from_outside_stay_text(state: State) -> None:
    with state.ledger() as ledger:
        ledger.begin_run(run_row("one"))
        ledger.note("one", at=NOON, stage=EVIL, text=EVIL)
        offer = {"provider": EVIL, "instance_type": EVIL, "zone": EVIL, "availability": EVIL}
        quote = {"offer": offer, "cost": {"amount": "1", "currency": "EUR"}}
        passed = [{"provider": EVIL, "reason": EVIL, "count": 1}]
        placement = {"stages": [{"name": EVIL}], "quotes": [quote], "passed_over": passed}
        ledger.save_plan("one", {"why": EVIL, "placements": [placement]})
        ledger.end_run("one", "failed", at=NOON + MINUTE, error=EVIL)
    hostile = catalog(f"serving.{EVIL}", "raw.lines", comment=EVIL)
    answer = Answer(
        query=ReportQuery(file=EVIL, title=EVIL, explanation=EVIL, sql=""),
        columns=(EVIL, "line"),
        rows=((EVIL, [1, 2]),),
    )
    broken = Answer(query=QUERY, problem=EVIL)

    tree = made(
        state,
        hostile,
        findings=Findings(audits=1, warnings=(f"serving.{EVIL}: {EVIL}", EVIL)),
        answers=(answer, broken),
        source=EVIL,
        known={EVIL: Known(url=EVIL, checked_at=NOON, refused=EVIL)},
    )

    assert len(list(tree.all("script"))) == 1
    assert list(tree.all("img")) == []
    assert not [one for one in tree.all() if any(key.startswith("on") for key in one.attributes)]
    everything = tree.text + "".join(
        str(value) for one in tree.all() for value in one.attributes.values()
    )
    assert not set(everything) & {"\x1b", "\x07", "\u202e"}
    assert tree.text.count(SHOWN) > 15
    assert [row[0] for row in table_of(tree, SHOWN)] == [SHOWN]


def test_lineage_is_drawn_from_left_to_right() -> None:
    reads = {"serving.c": ("cleaned.b", "raw.a"), "cleaned.b": ("raw.a",), "serving.d": ()}

    assert in_layers(reads) == [["raw.a", "serving.d"], ["cleaned.b"], ["serving.c"]]
    assert in_layers({"a": ("b",), "b": ("a",)})
    assert in_layers({}) == []


def test_each_table_has_its_columns_and_both_directions_of_its_lineage(state: State) -> None:
    tree = made(state, catalog("serving.fct", "raw.lines"))

    assert table_of(tree, "Columns of serving.fct") == [
        ["c0", "TEXT", "What it means"],
        ["c1", "TEXT", "What it means"],
    ]
    [facts, raw] = [
        one.text for one in tree.all("details") if one.attributes["id"] in
        {"table-serving.fct", "table-raw.lines"}
    ]  # fmt: skip
    assert "Readsraw.lines" in facts
    assert "not_null columns (c0)" in facts
    assert "Read byserving.fct" in raw


def test_what_is_not_recorded_is_said_and_not_guessed(state: State) -> None:
    bare = Catalog(run="", published_at=None, tables=(table("main.mine"),), models=None)

    words = made(state, bare).text

    assert "has no record of what each model reads" in words
    assert "the run that published these tables is not in the ledger of this machine" in words
    assert words.count("not recorded in the database") == 2


def test_warnings_of_audits_lead_to_their_table(state: State) -> None:
    findings = Findings(audits=3, warnings=("serving.fct: audit x found 1 row: code 7",))

    tree = made(state, catalog("serving.fct"), findings=findings)

    [warning] = [one for one in tree.all("ul") if one.attributes.get("class") == "warnings"]
    assert warning.text == "serving.fct: audit x found 1 row: code 7"
    assert next(warning.all("a")).attributes["href"] == "#table-serving.fct"
    assert "3 audits ran, with 1 warning:" in tree.text


def test_the_run_of_the_tables_is_a_link_where_the_page_shows_it(state: State) -> None:
    findings = Findings(audits=1, warnings=())

    tree = made(state, catalog("serving.fct"), findings=findings)

    assert "By run" in tree.text
    assert "#run-one" not in {one.attributes.get("href") for one in tree.all("a")}


# The command.


def test_the_time_of_a_page_is_in_utc(state: State) -> None:
    words = made(state, made_at=datetime(2026, 11, 30, 8, 5, tzinfo=UTC)).text

    assert "materia report of 2026-11-30 08:05 UTC" in words
