from __future__ import annotations

import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from fakes.rentals import GOOD_TOKEN
from fakes.workshop import Workshop
from materia_runner.installed import SETTLED_SECONDS

# What a user waits for before the first character, and what only some commands need.
HEAVY = {
    "asyncio",
    "asyncssh",
    "dotenv",
    "duckdb",
    "hcloud",
    "httpx",
    "matplotlib",
    "oci",
    "ovh",
    "pandas",
    "pluggy",
    "plotext",
    "rich",
    "scaleway",
    "sqlglot",
    "sqlmesh",
    "tomllib",
}


def imported(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has after *code*."""
    return {name.partition(".")[0] for name in modules(code)}


def modules(code: str) -> set[str]:
    """The modules that a fresh interpreter has after *code*, but those that are kept out."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys; print(*(key for key, value in sys.modules.items() if value))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.splitlines()[-1].split())


HELP = """
import sys
sys.argv = ["materia", {arguments}]
from materia_runner.cli.main import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
"""

THRESHOLD = "import gc; print(gc.get_threshold()[0])"


@pytest.mark.parametrize(
    "arguments", ["'--help'", "'run', '--help'", "'pipeline', 'run', '--help'", "'--version'"]
)
def test_help_imports_nothing_heavy(arguments: str) -> None:
    assert imported(HELP.format(arguments=arguments)) & HEAVY == set()


def test_the_help_of_materia_imports_no_command_and_looks_for_no_plugin() -> None:
    names = modules(HELP.format(arguments="'--help'"))

    assert "typer" in names
    assert not {name for name in names if name.startswith("materia_runner.cli.commands")}
    assert not names & {"importlib.metadata", "materia.plugins", "pydantic"}


def test_an_option_that_is_given_is_read_without_pydantic() -> None:
    words = "'runs', '--since', '30d', '--limit', '3', '--json'"

    assert "pydantic" not in imported(HELP.format(arguments=words))


def test_the_list_of_plugins_opens_none() -> None:
    names = imported(HELP.format(arguments="'plugins'"))

    assert names & (HEAVY - {"pluggy"}) == set()
    assert {"pluggy", "materia_psdonline", "materia_duckdb", "materia_local"} <= names


def test_the_command_looks_for_garbage_less_often_than_python_does() -> None:
    code = HELP.replace("materia_runner.cli.main", "materia_runner.__main__")

    ended = subprocess.run(
        [sys.executable, "-c", f"{code.format(arguments=repr('--help'))}\n{THRESHOLD}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(ended.stdout.splitlines()[-1]) >= 10_000


def test_a_download_imports_no_command_of_httpx() -> None:
    assert imported("import materia_http.download") & {"click", "rich", "pygments"} == set()


def test_a_source_on_a_server_imports_no_client_before_it_fetches() -> None:
    code = """
import os
from datetime import date
for name in [one for one in os.environ if one.lower().endswith("_proxy")]:
    del os.environ[name]  # the address of a proxy is checked by making a client
from materia_psdonline.settings import Settings
from materia_psdonline.source import PsdOnline
settings = Settings(
    base="https://psd.example.test", folder=None, first=date(2006, 8, 1), files=()
)
assert PsdOnline(settings).models()
"""
    names = modules(code)

    assert "materia_http.verified" in names
    fetching = {"email.utils", "httpx", "materia.data", "materia_http.mirror_folder"}
    reading = {"isal", "materia_psdonline.release_file", "zipfile"}
    assert names & (fetching | reading) == set()


def test_the_duckdb_sink_says_that_nothing_is_published_without_its_raw_files() -> None:
    code = """
from pathlib import Path
from materia_duckdb.sink import DuckDBSink
assert DuckDBSink(database=Path("none.duckdb"), raw=Path("none")).fingerprint() is None
"""
    names = modules(code)

    assert "materia_duckdb.database" in names
    assert not names & {"duckdb", "materia.data", "materia_store.folder.raw_files"}


def test_models_are_compared_without_what_builds_them() -> None:
    names = modules("import materia_runner.worker.sqlmesh.planned.changed_projects")

    assert "materia_runner.worker.ownership" in names
    assert "materia_runner.worker.transform" not in names
    assert not {name for name in names if name.startswith("materia_runner.messages")}


def test_importing_materia_imports_almost_nothing() -> None:
    names = imported("import materia")

    assert names & HEAVY == set()
    assert "typer" not in names
    assert "dataclasses" not in names


def test_kept_prices_are_shown_without_what_asking_for_them_needs(workshop: Workshop) -> None:
    """Options are given, as it is their validation that takes long."""
    workshop.install("rentals", "fakes.rentals")
    words = "providers price --provider hours,seconds --vcpus 2 --memory 8 --duration 25m --limit 2"
    secrets = {"HOURS_TOKEN": GOOD_TOKEN, "SECONDS_TOKEN": GOOD_TOKEN}
    asked = workshop.run(*words.split(), environment=secrets)
    assert asked.returncode == 0, asked.stderr
    traced = {**secrets, "PYTHONPROFILEIMPORTTIME": "1"}

    kept = workshop.run(*words.split(), environment=traced)

    assert kept.returncode == 0, kept.stderr
    shown = [[line.split()[:4] for line in ended.stdout.splitlines()] for ended in (asked, kept)]
    assert shown[0] == shown[1]
    lines = [line for line in kept.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    asking = {"concurrent", "http", "pydantic", "requests", "ssl", "urllib3"}
    finding = {"hashlib", "tomllib"}  # kept answers, a file that is not there
    finding |= {"logging"}  # of a plugin that opens slowly: none is opened
    assert {"materia", "typer", "json"} <= names
    assert names & (asking | finding | HEAVY - {"pluggy"}) == set()


def settle(workshop: Workshop) -> None:
    """Wait until what was installed for the workshop alone is old enough for a cache."""
    youngest = max(path.stat().st_mtime for path in workshop.directory.parent.rglob("*"))
    time.sleep(max(0, youngest + SETTLED_SECONDS + 0.1 - time.time()))


def test_a_plan_imports_nothing_that_rents_fetches_runs_or_builds(workshop: Workshop) -> None:
    settle(workshop)
    assert workshop.run("plan").returncode == 0  # writes the cache of entry points

    ended = workshop.run("plan", environment={"PYTHONPROFILEIMPORTTIME": "1"})

    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    assert {"materia_runner.planning.plan_run", "sqlite3"} <= names
    assert names & {"materia_runner.ledger.run_copy", "statistics"} == set()
    assert names & {"logging", "materia.data"} == set()
    assert names & {"email", "importlib.metadata", "importlib.resources", "zipfile"} == set()
    later = {"materia_runner.ledger.bills", "materia_runner.ledger.costs"}
    later |= {"materia_runner.ledger.settled_costs", "materia_runner.rental.cost_meter"}
    assert names & later == set()
    ours = [find_spec(name) for name in names if name.startswith("materia")]
    texts = {one.name: Path(one.origin).read_text() for one in ours if one and one.origin}
    usual = re.compile(r"^from dataclasses import .*\bdataclass\b", re.MULTILINE)
    assert len(texts) > 60
    assert {name for name, text in texts.items() if usual.search(text)} == set()  # compiled
    asking = {"concurrent", "http", "pydantic", "requests", "ssl", "urllib3"}
    assert {name.partition(".")[0] for name in names} & (
        asking | HEAVY - {"pluggy", "tomllib"}
    ) == (set())
    rooms = {".".join(name.split(".")[:2]) for name in names if name.startswith("materia_runner.")}
    unused = {"execution", "messages", "run", "worker"}
    assert rooms & {f"materia_runner.{room}" for room in unused} == set()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--vcpus 0", "greater than or equal to 1"),
        ("--vcpus many", "a valid integer"),
        ("--limit -1", "greater than or equal to 1"),
        ("--memory lots", "'lots' is not a size"),
        ("--duration 5", "'5' is not a duration"),
        ("--arch x86_64 --arch mips", "'mips' is neither x86_64 nor arm64"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(workshop: Workshop, words: str, said: str) -> None:
    ended = workshop.run("providers", "price", *words.split())

    assert ended.returncode == 2
    assert said in " ".join(ended.stderr.split())
    assert words.split()[-2] in ended.stderr
