"""One pipeline with many sources: one database, one run, each source with its own partitions."""

from __future__ import annotations

import json
import os
import re
import shutil
from importlib import import_module
from typing import Any

import duckdb
import pytest
from fakes.workshop import TESTS, Workshop, wait_until
from materia_runner.tables.catalog import read_catalog

TOML = """
source = ["folder", "rates"]
sink = "duckdb"
[transform]
project = "mine"
"""
JOINED = """MODEL (
  name serving.fct_worth,
  kind FULL,
  description 'What each line is worth, at the rate of its month.',
  audits (NOT_NULL(columns := (month, name, worth)))
);

SELECT
  line.month::DATE AS month,
  line.name::TEXT AS name,
  (line.value * rate.rate)::INTEGER AS worth
FROM serving.fct_line AS line
JOIN staging.stg_rate AS rate
  ON line.month = rate.month
"""
COPIED = """MODEL (
  name serving.copy,
  kind FULL,
  description 'The lines again.'
);

SELECT
  month,
  name,
  value
FROM serving.fct_line
"""
CONFIG = """from pathlib import Path

from materia_sqlmesh.project import project_config, source_project

folder = Path(__file__).parent
config = project_config(folder, beside=source_project(folder))
"""


def prepared(workshop: Workshop) -> Workshop:
    workshop.install("folder", "fakes.folder")
    workshop.install("rates", "fakes.rates")
    workshop.write("materia.toml", TOML)
    workshop.write("mine/config.py", CONFIG)
    workshop.write("mine/models/fct_worth.sql", JOINED)
    for month in ("2024-01", "2024-02"):
        workshop.write(f"in/{month}.csv", f"apples,{month[-1]}\n")
        workshop.write(f"rates/{month}.csv", "euro,10\n")
    return workshop


@pytest.fixture
def both(workshop: Workshop) -> Workshop:
    """A pipeline with two sources whose partitions have the same names, and a model over both."""
    return prepared(workshop)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, dict[str, dict[str, Any]]]:
    """The same after its first run, with the results of that."""
    workshop = prepared(Workshop(tmp_path_factory.mktemp("first")))
    return workshop, ran(workshop)


@pytest.fixture
def published(first: tuple[Workshop, object], both: Workshop) -> Workshop:
    """A copy of what the first run left."""
    shutil.copytree(first[0].directory, both.directory, dirs_exist_ok=True)
    return both


def ran(workshop: Workshop, *arguments: str) -> dict[str, dict[str, Any]]:
    """The results of the stages, by name."""
    ended = workshop.run("run", "--json", *arguments)
    assert ended.returncode == 0, ended.stderr
    return {one["stage"]: one["result"] for one in json.loads(ended.stdout)["stages"]}


def asked(workshop: Workshop, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workshop.directory / "materia.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def names(workshop: Workshop) -> list[str]:
    return [name for (name,) in asked(workshop, "SELECT name FROM publication.tables ORDER BY 1")]


WORTH = "SELECT worth FROM serving.fct_worth ORDER BY month"


def test_two_sources_are_fetched_loaded_joined_and_published_together(
    first: tuple[Workshop, dict[str, dict[str, Any]]],
) -> None:
    both, result = first

    extract, transform = result["extract"], result["transform"]
    assert (extract["asked"], extract["fetched"], extract["in_use"]) == (4, 4, 4)
    assert [(one["source"], one["fetched"]) for one in extract["sources"]] == [
        ("folder", 2),
        ("rates", 2),
    ]
    assert sorted(transform["loaded"]) == [
        f"{source}/{month}" for source in ("folder", "rates") for month in ("2024-01", "2024-02")
    ]
    assert names(both) == ["serving.fct_line", "serving.fct_worth", "staging.stg_rate"]
    assert asked(both, WORTH) == [(10,), (20,)]
    listed = json.loads(both.run("tables", "list", "--json").stdout)
    assert {one["table"]: one["source"] for one in listed} == {
        "raw.lines": "folder",
        "raw.rates": "rates",
        "serving.fct_line": "folder",
        "serving.fct_worth": None,
        "staging.stg_rate": "rates",
    }
    again = ran(both)
    assert again["transform"] == {
        "published": False,
        "files": 4,
        "tables": [],
        "others": [],
    }


def test_a_changed_source_rebuilds_what_it_reaches_and_nothing_else(published: Workshop) -> None:
    both = published
    both.write("rates/2024-02.csv", "euro,100\n")

    result = ran(both)["transform"]

    assert result["models"] == 2, "the rates, and what reads them"
    assert asked(both, WORTH) == [(10,), (200,)]


def test_a_run_of_one_source_leaves_the_tables_of_the_other_as_they_are(
    published: Workshop,
) -> None:
    both = published
    both.write("rates/2024-02.csv", "euro,100\n")
    both.write("in/2024-02.csv", "apples,7\n")

    result = ran(both, "--source", "rates")

    assert result["extract"]["asked"] == 2
    assert asked(both, WORTH) == [(10,), (200,)]
    ran(both)
    assert asked(both, WORTH) == [(10,), (700,)]
    unknown = both.run("run", "--source", "rate")
    assert unknown.returncode == 2
    assert "did you mean 'rates'" in unknown.stderr


@pytest.mark.campaign
def test_a_partition_that_fails_names_its_source_and_stops_no_other(published: Workshop) -> None:
    both = published
    both.write("in/2024-03.csv", "apples,3\n")
    both.write("rates/2024-03.csv", "#refuse a rate is missing\n")

    ended = both.run("run")

    assert ended.returncode == 1
    assert "1 partition of folder, rates could not be used" in ended.stderr
    assert "rates 2024-03: " in ended.stderr
    assert asked(both, "SELECT count(*) FROM serving.fct_line") == [(3,)]


def test_a_source_that_is_gone_stops_the_run_only_after_the_others_are_kept(
    both: Workshop,
) -> None:
    for month in ("2024-01", "2024-02"):
        both.write(f"rates/{month}.csv", "#fail the server is down\n")

    ended = both.run("run")

    assert ended.returncode == 1
    assert "rates: no file could be fetched" in ended.stderr
    assert "under [sources.rates]" in ended.stderr
    assert len(list((both.directory / "raw/folder").rglob("known.json"))) == 2
    assert not list((both.directory / "raw/rates").rglob("lines.csv"))


def test_a_source_is_removed_when_the_user_says_so_and_not_before(published: Workshop) -> None:
    both = published
    (both.directory / "mine/models/fct_worth.sql").unlink()
    both.write(
        "mine/models/copy.sql",
        JOINED.split("SELECT", maxsplit=1)[0].replace("worth", "copy").replace("fct_copy", "copy")
        + "SELECT month, name, value AS copy FROM serving.fct_line\n",
    )
    both.write("materia.toml", TOML.replace('["folder", "rates"]', '"folder"'))

    refused = both.run("run")

    assert refused.returncode == 2
    assert "rates is no longer a source of this pipeline" in refused.stderr
    assert "staging.stg_rate" in refused.stderr
    assert "--drop rates" in refused.stderr
    assert "staging.stg_rate" in names(both)

    dropped = both.run("run", "--drop", "rates")

    assert dropped.returncode == 0, dropped.stderr
    assert names(both) == ["serving.copy", "serving.fct_line"]
    left = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE '%rate%'"
    assert asked(both, left) == [(0,)]
    assert list((both.directory / "raw/rates").rglob("known.json")), "raw files stay"
    assert both.run("run", "--drop", "rates").returncode == 0, "twice is once"


def test_two_pipelines_in_one_database_leave_each_other_alone(both: Workshop) -> None:
    both.write("folder.toml", 'source = "folder"\nsink = "duckdb"\n')
    both.write("rates.toml", 'source = "rates"\nsink = "duckdb"\n')

    ran(both, "--config", "folder.toml")
    ended = both.run("run", "--json", "--config", "rates.toml")
    second = json.loads(ended.stdout)["stages"][1]["result"]

    tables = ["serving.fct_line", "staging.stg_rate"]
    assert names(both) == tables
    assert "do not fit" not in ended.stderr
    assert [one["name"] for one in second["tables"]] == ["staging.stg_rate"]
    assert second["others"] == [{"pipeline": "folder", "sources": ["folder"]}]
    for config in ("folder.toml", "rates.toml"):
        assert ran(both, "--config", config)["transform"]["published"] is False
    both.write("in/2024-02.csv", "apples,9\n")
    said = both.run("run", "--config", "folder.toml").stdout
    assert "left as they are: the tables of rates, which the pipeline rates publishes" in said
    both.write("rates/2024-02.csv", "euro,9\n")
    ran(both, "--config", "rates.toml")
    assert names(both) == tables
    assert asked(both, "SELECT max(value), max(rate) FROM serving.fct_line, staging.stg_rate") == [
        (9, 10)
    ]


@pytest.mark.campaign
def test_a_source_that_was_dropped_comes_back_and_two_pipelines_become_one(
    published: Workshop,
) -> None:
    both = published
    both.write("folder.toml", 'source = "folder"\nsink = "duckdb"\n')
    both.write("rates.toml", 'source = "rates"\nsink = "duckdb"\n')
    refused = both.run("run", "--config", "rates.toml")
    assert refused.returncode == 2
    assert "folder is no longer a source of this pipeline" in refused.stderr
    both.write("mine/models/fct_worth.sql", COPIED)
    both.write("materia.toml", TOML.replace('["folder", "rates"]', '"folder"'))
    ran(both, "--drop", "rates")
    ran(both, "--config", "rates.toml")
    both.write("mine/models/fct_worth.sql", JOINED)
    both.write("materia.toml", TOML)

    ran(both)

    assert names(both) == ["serving.fct_line", "serving.fct_worth", "staging.stg_rate"]
    assert asked(both, WORTH) == [(10,), (20,)]
    schemas = "SELECT DISTINCT schema_name FROM duckdb_tables() WHERE schema_name LIKE 'sqlmesh_2%'"
    assert asked(both, schemas) == []


@pytest.mark.campaign
def test_the_example_of_the_page_joins_acme_to_psd_with_lineage(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = TESTS / "third_party/materia-acme"
    page = (TESTS.parent / "docs/models.md").read_text()
    files = dict(re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    [joined] = [one for one in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "beside" in one]
    [listed] = re.findall(r"^source = \[.*\]$", page, re.MULTILINE)
    workshop.install("acme", "materia_acme")
    workshop.write("models/config.py", files["models/config.py"])
    workshop.write(
        "models/models/wheat_stocks.sql", files["models/models/serving/wheat_stocks.sql"]
    )
    workshop.write("models/models/joined.sql", joined)
    path = os.pathsep.join([workshop.environment()["PYTHONPATH"], str(acme / "src")])
    sample = TESTS.parent / "plugins/sources/psdonline/src/materia_psdonline/sample"
    monkeypatch.syspath_prepend(acme / "tests")
    acme_server = import_module("acme_server").acme_server
    with acme_server() as world:
        for key in world.keys:
            world.publish(key, 1)
        workshop.write(
            "materia.toml",
            f'{listed}\n{files["materia.toml"]}\n[sources.acme]\nurl = "{world.settings["url"]}"\n'
            f'[sources.psdonline]\nbase_url = "{sample}"\nfirst_release = "2018-12"\n',
        )
        ended = workshop.run("run", environment={"PYTHONPATH": path})

    assert ended.returncode == 0, ended.stderr
    assert {"staging.stg_acme__price", "serving.price_beside_stocks"} <= set(names(workshop))
    with duckdb.connect(str(workshop.directory / "materia.duckdb"), read_only=True) as connection:
        models = read_catalog(connection).models
    assert models is not None
    assert models["serving.price_beside_stocks"].reads == (
        "serving.wheat_stocks",
        "staging.stg_acme__price",
    )


@pytest.mark.campaign
def test_what_a_failed_run_left_behind_is_not_published_by_another_pipeline(
    both: Workshop,
) -> None:
    both.write("folder.toml", 'source = "folder"\nsink = "duckdb"\n')
    both.write("rates.toml", 'source = "rates"\nsink = "duckdb"\n')
    for config in ("folder.toml", "rates.toml"):
        ran(both, "--config", config)
    both.write("in/2024-02.csv", "apples,-1\n")
    assert both.run("run", "--config", "folder.toml").returncode == 1, "an audit fails"
    both.write("rates/2024-02.csv", "euro,9\n")

    ran(both, "--config", "rates.toml")

    assert asked(both, "SELECT min(value) FROM raw.lines") == [(1,)]
    both.write("in/2024-02.csv", "apples,5\n")
    ran(both, "--config", "folder.toml")
    lines = "SELECT value FROM serving.fct_line ORDER BY month"
    assert asked(both, lines) == [(1,), (5,)]
    assert asked(both, "SELECT rate FROM staging.stg_rate ORDER BY month") == [(10,), (9,)]


@pytest.mark.campaign
def test_a_new_source_whose_first_load_was_killed_is_loaded_by_the_next_run(
    published: Workshop,
) -> None:
    both = published
    both.write("materia.toml", TOML.replace('"rates"]', '"rates", "more"]'))
    both.install("more", "fakes.more_rates")
    both.write("more/2024-01.csv", "#load-hang\n")
    process = both.start("run")
    wait_until((both.directory / "more/hanging-in-load").exists, "the load")
    process.kill()
    process.communicate()
    both.write("more/2024-01.csv", "pound,8\n")

    ran(both)

    assert asked(both, "SELECT value FROM raw.more") == [(8,)]
    owned = "SELECT source FROM ownership.objects WHERE name = 'more'"
    assert asked(both, owned) == [("more",)]
    assert asked(both, "SELECT kind FROM ownership.objects WHERE schema = ''") == []


MONTHLY = """MODEL (
  name serving.monthly,
  kind INCREMENTAL_BY_TIME_RANGE (time_column month),
  description 'The lines of each month.',
  columns (month DATE, value INT)
);

SELECT month, value FROM serving.fct_line WHERE month BETWEEN @start_date AND @end_date
"""


def test_a_run_of_one_source_does_not_publish_what_a_killed_run_loaded_of_another(
    both: Workshop,
) -> None:
    both.write("mine/models/monthly.sql", MONTHLY)
    ran(both)
    both.write("in/2024-01.csv", "apples,7\n")
    both.write("rates/2024-02.csv", "#load-hang\n")
    process = both.start("run")
    wait_until((both.directory / "rates/hanging-in-load").exists, "the load")
    process.kill()
    process.communicate()
    both.write("rates/2024-02.csv", "euro,100\n")

    ran(both, "--source", "rates")

    assert asked(both, "SELECT value FROM raw.lines ORDER BY month") == [(1,), (2,)]
    assert asked(both, WORTH) == [(10,), (200,)]
    ran(both)
    assert asked(both, "SELECT value FROM serving.monthly ORDER BY month") == [(7,), (2,)]
