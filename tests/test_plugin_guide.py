"""docs/plugins.md quotes materia-acme as it is, and leaves nothing out that a plugin must have."""

import doctest
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import materia_testing.contracts.contract
import pytest
from fakes.snapshot_files import Shelf
from materia.data import Absent, Fetched, Refused, Unchanged
from materia.hookspecs import Plugin, Setting
from materia.protocols import Provider, Sink, Source
from materia_runner.authoring.check_package import CONTRACT, PAGES
from materia_runner.authoring.package_rules import DECLARE
from materia_testing.contracts.contract import promise_of
from materia_testing.contracts.provider import ProviderContract
from materia_testing.contracts.sink import SinkContract
from materia_testing.contracts.source import SourceContract

ROOT = Path(__file__).resolve().parents[1]
ACME = ROOT / "tests/third_party/materia-acme"
GUIDE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
OTHERS = re.findall(r"(?<!-->\n)^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def test_it_quotes_the_declaration_the_plugins_the_models_and_the_tests() -> None:
    quoted = {Path(name).name for name, _ in QUOTES}

    assert {
        "pyproject.toml",
        "__init__.py",
        "sink.py",
        "provider.py",
    } <= quoted
    assert {"stg_acme__price.sql", "config.py", "test_acme.py", "test_acme_machines.py"} <= quoted
    assert "emulator.py" in quoted


@pytest.mark.parametrize(("name", "quote"), QUOTES, ids=[name for name, _ in QUOTES])
def test_every_quote_is_in_its_file(name: str, quote: str) -> None:
    text = (ACME / name).read_text(encoding="utf-8")

    assert quote.strip()
    assert f"\n{quote}" in f"\n{text}\n"


def test_its_other_examples_run() -> None:
    names: dict[str, object] = {"__name__": "example"}
    for example in OTHERS:
        exec(compile(example, "docs/plugins.md", "exec"), names)  # noqa: S102 -- our own page
    kept = names["TestMySink"]

    assert isinstance(kept, type)
    assert issubclass(kept, materia_testing.contracts.contract.Contract)
    assert len(kept.deviations()) == 1


def test_a_source_in_thirty_lines_is_one_and_works(tmp_path: Path) -> None:
    (text,) = [one for one in OTHERS if "materia_sources = declare(" in one]
    names: dict[str, Any] = {"__name__": "market"}
    exec(compile(text, "docs/plugins.md", "exec"), names)  # noqa: S102 -- our own page
    (plugin,) = names["materia_sources"]()
    shelf = Shelf(tmp_path, names["source"], since="2026-01")
    shelf.put("2026-01", "item,Price (EUR),Date\nnails,1.50,31.01.2026\n")
    shelf.put("2026-02", "item,Price (EUR),Date\nnails,cheap,\n")
    report = shelf.load()

    assert len(text.splitlines()) <= 30
    assert plugin.name == "market"
    assert shelf.rows("SELECT item, price::VARCHAR, priced_on::VARCHAR FROM raw.market_row") == [
        ("nails", "1.50", "2026-01-31")
    ]
    assert "row 1: Price (EUR) is 'cheap'" in report.refused["2026-02"]


def test_its_sessions_give_what_they_say() -> None:
    result = doctest.testfile(str(ROOT / "docs/plugins.md"), module_relative=False)

    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("protocol", [Provider, Source, Sink])
def test_every_method_of_a_protocol_is_spoken_of(protocol: type) -> None:
    methods = [name for name in vars(protocol) if not name.startswith("_")]

    assert len(methods) >= 4
    assert [name for name in methods if f"`{name}`" not in GUIDE] == []


@pytest.mark.parametrize("answer", [Fetched, Unchanged, Absent, Refused])
def test_every_answer_of_fetch_is_spoken_of(answer: type) -> None:
    assert f"| `{answer.__name__}(" in GUIDE


@pytest.mark.parametrize("declaration", [Plugin, Setting])
def test_every_field_of_a_declaration_is_used(declaration: type) -> None:
    assert [one.name for one in fields(declaration) if f"{one.name}=" not in GUIDE] == []


def test_the_paths_it_names_exist() -> None:
    paths = re.findall(r"`((?:tests|plugins|core|docs)/[\w/.-]+)`", GUIDE)

    assert len(paths) >= 3
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_its_table_of_contents_leads_to_its_sections() -> None:
    sections = {
        re.sub(r"\W+", "-", title.lower())
        for title in re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#(.+?)\)", GUIDE))

    assert links == sections


def test_every_section_that_a_failed_contract_names_is_there() -> None:
    contracts = (ProviderContract, SinkContract, SourceContract)
    pages = {
        promise_of(contract, name).page
        for contract in contracts
        for name in dir(contract)
        if name.startswith("test_")
    } | {*PAGES.values(), CONTRACT, DECLARE}
    sections = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"\W+", "-", title.lower()) for title in sections}

    assert len(pages) >= 5
    assert {page.removeprefix("docs/plugins.md#") for page in pages} <= anchors
