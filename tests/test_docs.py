"""What README and docs say is so: commands exist, SQL runs, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from fakes.html_page import parsed, table_of
from fakes.workshop import Workshop

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
# A clone's pages; what tools leave in a working folder is not ours.
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "bench" for part in path.relative_to(ROOT).parts)
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, sample_run: Workshop) -> Workshop:
    """A folder in which the README's first command has run."""
    workshop = Workshop(tmp_path_factory.mktemp("readme"))
    workshop.take_over(sample_run)
    return workshop


@pytest.fixture(scope="module")
def sample(clone: Workshop) -> Path:
    """The database that it made."""
    return clone.directory / "materia.duckdb"


def test_the_first_two_commands_are_the_job_and_its_tests() -> None:
    job, tests = blocks(README, "console")[0], blocks(README, "console")[2]

    assert job == "$ uv run materia run --sample\n"
    # .ci/run calls the very command that the README names.
    assert tests.removeprefix("$ ").strip() in (ROOT / ".ci/run").read_text().splitlines()


def test_what_the_readme_asks_the_database_has_answers(sample: Path) -> None:
    [block] = blocks(README, "sql")
    with duckdb.connect(str(sample), read_only=True) as connection:
        for question in filter(str.strip, block.split(";")):
            assert connection.execute(question).fetchall(), question


def test_the_answer_that_the_readme_shows_is_the_one_of_the_sample(clone: Workshop) -> None:
    [block] = blocks(README, "sql")
    [shown] = [block for block in blocks(README, "text") if "│" in block]
    done = clone.run("query", block.split(";")[-2])

    assert done.stdout == shown


def test_the_month_of_the_readme_is_that_of_the_pages_it_links() -> None:
    text = README.partition("## What a month costs\n")[2].partition("\n## ")[0]
    first, production = (
        (ROOT / f"docs/{name}.md").read_text() for name in ("first-rented-run", "production")
    )
    hour, address, month = re.findall(r"30 x \((.+) \+ (.+)\) = ([\d.]+) EUR", text)[0]
    machine, machine_address, both = re.findall(r"([\d.]+) \+ ([\d.]+) = ([\d.]+) EUR", text)[0]

    assert 30 * (Decimal(hour) + Decimal(address)) == Decimal(month)
    assert Decimal(machine) + Decimal(machine_address) == Decimal(both)
    assert f"1 h x {hour} = {hour} EUR" in first
    assert f"all month costs {machine} EUR" in first
    assert f"{month} EUR" in first
    server = re.findall(r"^\| (?:server|its IPv4).+\| ([\d.]+) EUR \|$", production, re.MULTILINE)
    assert f"{sum(map(Decimal, server)):.2f} EUR" in text


def test_the_report_has_the_answers_lineage_and_audits_of_the_sample(clone: Workshop) -> None:
    done = clone.run("report")
    assert done.returncode == 0, done.stderr
    page = parsed((clone.directory / "materia-report.html").read_text(encoding="utf-8"))

    largest = table_of(page, "The largest revisions of the newest release")
    assert largest[0][:7] == [
        *("Corn", "United States", "2018", "Ending Stocks", "44,072", "53,216", "9,144")
    ]
    assert len(table_of(page, "The newest releases")) == 3
    balance = next(
        one.text
        for one in page.all("details")
        if one.attributes.get("id") == "table-serving.fct_balance"
    )
    reads = "cleaned.cln_psdalldata__area_break, cleaned.cln_psdalldata__commodity_pivoted"
    assert f"Reads{reads}" in balance
    readers = ("agg_group_balance", "agg_world_balance", "dim_market_year", "obt_commodity_metrics")
    assert "Read by" + ", ".join(f"serving.{name}" for name in readers) in balance
    assert "supply_equals_distribution" in balance
    assert " audits ran, without a warning." in page.text


def test_the_query_of_the_report_page_has_an_answer(sample: Path) -> None:
    [query] = blocks((ROOT / "docs/report.md").read_text(), "sql")
    with duckdb.connect(str(sample), read_only=True) as connection:
        rows = connection.execute(query).fetchall()

    assert len(rows[0][2]) == len(rows)


def test_the_questions_that_analysts_ask_have_answers_in_the_sample(sample: Path) -> None:
    page = (ROOT / "docs/data.md").read_text()
    asked = page.partition("## Questions that analysts ask\n")[2].partition("\n## ")[0]
    with duckdb.connect(str(sample), read_only=True) as connection:
        answers = [connection.sql(query).fetchall() for query in blocks(asked, "sql")]

    groups, members, world, grains, coarse, older, *rest = answers
    as_of, forecast, years, bushels, page_of_wasde = rest
    assert {row[0] for row in groups} >= {"World", "Total foreign", "Major exporters", "EU-28"}
    assert len(members) == 28
    assert members[-1][0] == "HRV"
    assert len(world) == 5
    assert {row[0] for row in grains} == {"Coarse grains", "Total grains"}
    assert coarse[1][:3] == ("World", 54.36, 366.29)
    # Wheat of Argentina, Australia, Canada and the European Union, not that of Brazil.
    assert older[0] == (date(2018, 12, 1), 2018, Decimal(20220))
    assert len(as_of) == 3
    # 2019-01 had no release: the forecast of 2018-12 is carried forward.
    assert [row[1] for row in forecast] == [371518, 371518, *[366285] * 4]
    assert [row[2] for row in forecast][:3] == [None, 371518, 371518]
    assert sorted(str(row[2])[:7] for row in years) == ["2018-06", "2018-09"]
    # WASDE of 2019-05-10: corn of 2019/20 and 2018/19, million bushels.
    assert bushels[0] == (2019, 2095, 15030, 5450, 2275, 2485)
    assert bushels[1] == (2018, 2140, 14420, 5300, 2300, 2095)
    assert page_of_wasde[0][0] == "World"
    assert page_of_wasde[-1] == ("United States", 29.91, 51.27, 3.95, 1.36, 29.28, 25.17, 30.67)


def test_questions_of_public_forums_have_answers_in_the_sample(sample: Path) -> None:
    page = (ROOT / "docs/data.md").read_text()
    asked = page.partition("## More questions, one query each\n")[2].partition("\n## ")[0]
    with duckdb.connect(str(sample), read_only=True) as connection:
        answers = [connection.sql(query).fetchall() for query in blocks(asked, "sql")]

    assert len(answers) == asked.count("\n**") == 13
    assert all(answers)
    days, ratio, yields, exporters, _, changed, first, *_ = answers
    assert days[0] == (2019, 62)
    assert ratio[0] == ("United States", 2019, 16.9, 20.0)
    # WASDE of 2019-05-10: 176.0 bushels an acre, and for the year before 176.4.
    assert yields[:2] == [(2019, 176.0), (2018, 176.5)]
    assert exporters[0][0] == "United States"
    assert changed[0][:4] == ("Corn", "United States", 2018, "Ending Stocks")
    assert first[0][-1] == -1.4
    # WASDE of 2019-02-08: corn of 2018/19, 366.29 million tonnes, 5.23 less than in December.
    assert answers[10][0] == ("United States", Decimal(366285), Decimal(-5233), -1.3)
    assert answers[11][0] == (2019, Decimal(381780), 2)
    assert [row[0] for row in answers[12]] == [2019]


@pytest.mark.parametrize("words", sorted(set(re.findall(r"`materia ([a-z][a-z -]*)`", README))))
def test_every_command_that_the_readme_names_has_help(words: str, workshop: Workshop) -> None:
    done = workshop.run(*shlex.split(words), "--help")

    assert done.returncode == 0, done.stderr
    assert f"materia {words.partition(' --')[0].removesuffix(' extract')}" in done.stdout
    assert done.stdout.startswith("Usage: ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_folder_of_the_layout_is_there() -> None:
    table = README.partition("## Layout")[2].partition("\n\n")[2].partition("\n\n")[0]
    for folder in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_every_bundled_plugin_is_in_the_layout_and_has_a_page() -> None:
    for project in sorted(ROOT.glob("plugins/*/*/pyproject.toml")):
        name = project.parent.name
        assert f"`{name}`" in README
        assert len((project.parent / "README.md").read_text().splitlines()) > 10, name


def test_every_extra_of_the_readme_is_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for name in re.findall(r"--extra (\w+)", README):
        assert name in extras


@pytest.mark.parametrize(
    ("name", "option"),
    [("run", "--releases"), ("rented", "--pairs"), ("start_up", "--repetitions")],
)
def test_a_benchmark_says_how_to_use_it(name: str, option: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / f"benchmarks/{name}.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert option in done.stdout


def test_the_models_of_your_own_are_built_from_the_files_of_their_page(workshop: Workshop) -> None:
    page = (ROOT / "docs/models.md").read_text()
    files = dict(re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    assert sorted(Path(name).name for name in files) == [
        "config.py",
        "materia.toml",
        "wheat_stocks.sql",
    ]
    for name, text in files.items():
        workshop.write(name, text)

    done = workshop.run("run", "--sample")

    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(workshop.directory / "materia.duckdb"), read_only=True) as connection:
        assert connection.execute("FROM serving.wheat_stocks").fetchall()
    config = (ROOT / "transform/sqlmesh_materia/config.py").read_text()
    assert files["models/config.py"].partition("\n")[2].strip() in config
