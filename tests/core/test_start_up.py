from __future__ import annotations

import subprocess
import sys

import pytest

# What a user waits for before the first character, and what only some commands need.
HEAVY = {
    "asyncio",
    "asyncssh",
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
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in ended.stdout.splitlines()[-1].split()}


HELP = """
import sys
sys.argv = ["materia", {arguments}]
from materia.cli import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
"""


@pytest.mark.parametrize(
    "arguments", ["'--help'", "'run', '--help'", "'pipeline', 'run', '--help'", "'--version'"]
)
def test_help_imports_nothing_heavy(arguments: str) -> None:
    assert imported(HELP.format(arguments=arguments)) & HEAVY == set()


def test_the_list_of_plugins_opens_none() -> None:
    names = imported(HELP.format(arguments="'plugins'"))

    assert names & (HEAVY - {"pluggy"}) == set()
    assert {"pluggy", "materia_psdonline", "materia_duckdb", "materia_local"} <= names


def test_importing_materia_imports_almost_nothing() -> None:
    names = imported("import materia")

    assert names & HEAVY == set()
    assert "typer" not in names
    assert "dataclasses" not in names
