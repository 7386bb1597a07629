"""The page of `materia report` in a real browser: it loads alone, sorts, filters and is legible."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.browser import PROGRAM, Browser, browsing
from fakes.many_runs import write_history
from fakes.rows import MINUTE, NOON, run_row
from materia_runner.cli.output.report.page import Report, page
from materia_runner.cli.output.report.tables import Findings
from materia_runner.cli.output.runs.show import show_values
from materia_runner.cli.output.runs.table import cost_values, list_values
from materia_runner.ledger.state import State
from materia_runner.tables.catalog import Catalog, CatalogTable, Column, Model
from materia_runner.tables.report_queries import Answer, ReportQuery

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on PATH; apt-get install chromium"),
]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)><svg onload=alert(3)>"
LONG = "a_long_name_" * 20
RUNS = "[...document.querySelectorAll('#runs table')][0]"
CONTRASTS = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [red, green, blue] = parts(colour).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const element of document.body.querySelectorAll("*:not(script):not(svg *)")) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own) continue;
    const pair = [light(getComputedStyle(element).color), light(behind(element))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (contrast < 4.5) faint.push(`${element.tagName} ${element.className} ${contrast}`);
  }
  return [...new Set(faint)];
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with 120 runs, one of them with a hostile name in each place."""
    folder = tmp_path_factory.mktemp("page")
    state = State(folder / "state")
    write_history(state, 120)
    now = NOON + timedelta(days=1)
    columns = tuple(Column(name=EVIL, type="TEXT", comment=EVIL) for _ in range(30))
    names = (*(f"serving.fct_{place}" for place in range(12)), f"serving.{EVIL}")
    tables = tuple(
        CatalogTable(name=name, is_view=False, rows=place, description=EVIL, columns=columns)
        for place, name in enumerate(names)
    )
    reads = dict(zip(names, (names[1:2], *([name] for name in names)), strict=False))
    answer = Answer(
        query=ReportQuery(file="q.sql", title="Revisions", explanation=LONG, sql=""),
        columns=("commodity", "change", "forecast"),
        rows=tuple((f"{EVIL}{n}", (n * 37) % 100 - 50, [1, n, None, 3]) for n in range(40)),
    )
    with state.ledger() as ledger:
        ledger.begin_run(run_row("evil", at=NOON))
        ledger.note("evil", at=NOON, stage=EVIL, text=EVIL)
        ledger.end_run("evil", "failed", at=NOON + MINUTE, error=EVIL)
        rows = ledger.runs()
        text = page(
            Report(
                made_at=now,
                version="0.1.0",
                source=EVIL + LONG,
                folder=LONG,
                sink="folder",
                runs=list_values(rows, state, ledger, now),
                details=(show_values(row, state, ledger, now) for row in rows),
                costs=cost_values(ledger.costs(now=now), None),
                catalog=Catalog(
                    run="evil",
                    published_at=NOON,
                    tables=tables,
                    models={
                        name: Model(kind="FULL", reads=tuple(its), audits=())
                        for name, its in reads.items()
                    },
                ),
                findings=Findings(audits=2, warnings=(EVIL,)),
                answers=(answer,),
            )
        )
    path = folder / "materia-report.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_loads_alone_without_an_error_and_fits(
    browser: Browser, written: Path, width: int, scheme: str
) -> None:
    browser.open(written, width=width, scheme=scheme)

    asked = {one["request"]["url"] for one in browser.of("Network.requestWillBeSent")}
    assert asked - {"data:,", "about:blank"} == {written.as_uri()}
    reported = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert browser.of(*reported, "Page.javascriptDialogOpening") == []
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    assert browser.value("document.querySelectorAll('img').length") == 0
    dark = browser.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible(browser: Browser, written: Path, scheme: str) -> None:
    browser.open(written, scheme=scheme)
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    assert browser.value(CONTRASTS) == []


def test_a_print_is_dark_on_white_and_repeats_the_names_of_columns(
    browser: Browser, written: Path
) -> None:
    browser.open(written, scheme="dark")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", media="print", features=[dark])

    assert browser.value(CONTRASTS) == []
    assert browser.value("getComputedStyle(document.querySelector('th button')).display") == "none"
    name = "getComputedStyle(document.querySelector('th[data-sorts]'), '::before').content"
    assert browser.value(name) == '"commodity"'
    assert browser.value("document.querySelector('.folds').offsetHeight") == 0
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_charts_are_drawn(browser: Browser, written: Path) -> None:
    browser.open(written)

    def heights(selector: str) -> list[float]:
        found: list[float] = browser.value(
            f"[...document.querySelectorAll('{selector}')]"
            ".map((one) => one.getBoundingClientRect().height)"
        )
        return found

    assert len(heights("#runs figure svg.columns rect")) == 60
    assert min(heights("#runs figure svg.columns rect")) > 0
    assert len(heights("#costs figure svg.columns rect")) == 120
    assert min(heights("#costs svg.bar rect")) > 5
    assert len(heights("svg.spark line")) == 40
    assert len(heights("svg.lineage .box")) == 13


def test_a_click_on_a_column_sorts_by_its_value(browser: Browser, written: Path) -> None:
    browser.open(written)
    costs = (
        f"[...{RUNS}.tBodies[0].rows].map((row) => row.cells[7].dataset.sort)"
        ".filter((one) => one !== '-1').map(Number)"
    )
    head = f"{RUNS}.tHead.rows[0].cells[7]"

    browser.value(f"{head}.querySelector('button').click()")
    up, upwards = browser.value(costs), browser.value(f"{head}.ariaSort")
    browser.value(f"{head}.querySelector('button').click()")
    down, downwards = browser.value(costs), browser.value(f"{head}.ariaSort")

    assert (upwards, downwards) == ("ascending", "descending")
    assert up == sorted(up)
    assert down == sorted(up, reverse=True)
    assert len(up) == 120
    assert up[0] < up[-1]


def test_the_keyboard_reaches_and_sorts_a_column(browser: Browser, written: Path) -> None:
    browser.open(written)
    head = "document.querySelector('#new thead th')"
    browser.value(f"{head}.querySelector('button').focus()")

    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", code="Enter",
                     windowsVirtualKeyCode=13)  # fmt: skip

    assert browser.value(f"{head}.ariaSort") == "ascending"


def test_words_filter_the_rows(browser: Browser, written: Path) -> None:
    browser.open(written)
    browser.value("document.querySelector('#runs .filter input').focus()")
    browser.call("Input.insertText", text="FAILED bolt")

    shown = browser.value(f"[...{RUNS}.tBodies[0].rows].filter((row) => !row.hidden).length")

    assert shown == 9
    assert browser.value("document.querySelector('#runs .filter output').value") == "9 of 121 rows"


def test_a_link_opens_the_run_it_leads_to(browser: Browser, written: Path) -> None:
    browser.open(written)
    browser.value(f"{RUNS}.tBodies[0].rows[2].querySelector('a').click()")

    opened = "[...document.querySelectorAll('#runs .folds > details')].map((one) => one.open)"
    for _ in range(100):
        if any(found := browser.value(opened)):
            break
    assert found[2]
    assert sum(found) == 1


def test_without_scripts_everything_is_there(browser: Browser, written: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(written)
        tree = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        found = browser.call("DOM.querySelectorAll", nodeId=tree, selector="#runs tbody tr")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)

    assert len(found["nodeIds"]) > 121
    assert browser.value("document.querySelectorAll('th button').length") == 0


def test_it_prints(browser: Browser, written: Path) -> None:
    browser.open(written)

    assert browser.pdf().startswith(b"%PDF-")
