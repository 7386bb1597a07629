"""The command that a run suggests: it does what it says in a shell, whatever the names are."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from materia_runner.cli.output.summary import look_command

NAMES = [
    "materia.duckdb",
    "my data.duckdb",
    "it's.duckdb",
    '"quoted".duckdb',
    "$(touch PWNED).duckdb",
    "`touch PWNED`.duckdb",
    "a\\b.duckdb",
    "new\nline.duckdb",
    "ü\u202e.duckdb",
    "-rf.duckdb",
    ";#!&.duckdb",
]
TABLES = [
    "serving.obt_x",
    'serving.x\').show()"; touch PWNED; echo "',
    "serving.a b",
    "serving.select",
    'serving."',
    "serving.a\\nb",
]


def looked(folder: Path, name: str, table: str) -> subprocess.CompletedProcess[str]:
    path = folder / name
    schema, _, inner = table.partition(".")
    quoted = inner.replace('"', '""')
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f'CREATE SCHEMA {schema}; CREATE TABLE {schema}."{quoted}" AS SELECT 7731 AS a'
        )
    command = look_command(str(path), table, here=folder, python=shlex.quote(sys.executable))
    assert command.isprintable()
    return subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_any_path_of_a_database_can_be_pasted_into_a_shell(tmp_path: Path, name: str) -> None:
    done = looked(tmp_path, name, "serving.obt_x")

    assert "7731" in done.stdout, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("table", TABLES)
def test_any_name_of_a_table_can_be_pasted_into_a_shell(tmp_path: Path, table: str) -> None:
    done = looked(tmp_path, "materia.duckdb", table)

    assert "7731" in done.stdout, done.stderr
    assert not (tmp_path / "PWNED").exists()


def test_plain_names_are_written_plainly() -> None:
    command = look_command("/p/m.duckdb", "serving.x", here=Path("/p"), python="python")

    assert command == (
        'python -c \'import duckdb; duckdb.connect("m.duckdb", read_only=True)'
        '.sql("from serving.x limit 10").show()\''
    )
