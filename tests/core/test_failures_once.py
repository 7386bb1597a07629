"""What a failed run prints: one error, once, with what to do, and no traceback."""

from __future__ import annotations

import pytest
from fakes.folder_source import MODELS
from fakes.workshop import Workshop
from materia_runner.messages.partition_problems import SHOWN, Problem, listing
from materia_runner.worker.sqlmesh.build import without_sql
from materia_runner.worker.transform import UNPUBLISHED

OWN = "MODEL (name serving.fct_sum, kind FULL, columns (total BIGINT));\nSELEKT 1 AS total\n"


def unreachable(month: str, attempts: str) -> Problem:
    url = f"https://files.example/{month}.zip"
    reason = f"{url}: files.example cannot be reached: timed out ({attempts})"
    return Problem(partition=month, url=url, reason=reason)


def test_a_server_that_is_down_is_named_once_and_not_for_each_month() -> None:
    down = [unreachable(f"2024-{month:02}", "4 attempts") for month in range(1, 5)]
    down += [unreachable("2024-05", "1 attempt")]
    bad = Problem(partition="2024-03", url="https://files.example/b", reason="line 3: no number")

    first = "https://files.example/2024-01.zip: files.example cannot be reached: timed out"
    assert listing([bad, *down]).splitlines() == [
        f"  2024-01 to 2024-05, 5 partitions: {first} (4 attempts)",
        "  2024-03: https://files.example/b: line 3: no number",
    ]


def test_different_reasons_are_listed_up_to_twenty_lines() -> None:
    many = [
        Problem(partition=f"{number:03}", url="u", reason=f"line {number}: no number")
        for number in range(SHOWN + 5)
    ]

    lines = listing(many).splitlines()

    assert len(lines) == SHOWN + 1
    assert lines[-1] == "  and 5 more; --json lists all"


def test_the_sql_that_sqlmesh_rendered_is_left_out_of_an_error() -> None:
    said = (
        'serving.x: Binder Error: Referenced column "valu" not found in FROM clause!\n'
        'Candidate bindings: "value", "name"\n\n'
        'LINE 1: ...T SUM("valu") FROM "materia"."sqlmesh__serving"."x" AS "x"...\n'
        "                  ^\n"
    )

    assert without_sql(said).splitlines() == [
        'serving.x: Binder Error: Referenced column "valu" not found in FROM clause!',
        'Candidate bindings: "value", "name"',
    ]


@pytest.mark.parametrize(
    "more", [(), pytest.param(("--json",), marks=pytest.mark.campaign)], ids=["text", "json"]
)
def test_a_model_that_cannot_be_read_is_one_error_that_says_what_to_do(
    run_folders: Workshop, more: tuple[str, ...]
) -> None:
    run_folders.write("own/config.py", (MODELS / "config.py").read_text())
    model = run_folders.write("own/models/fct_sum.sql", OWN)
    run_folders.write(
        "materia.toml", 'source = "folder"\nsink = "folder"\n[transform]\nproject = "own"\n'
    )

    ended = run_folders.run("run", *more)

    assert ended.returncode == 1
    assert ended.stdout == ""
    people = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert people == [
        f"materia: {UNPUBLISHED}",
        f"  Failed to load model from file '{model}':",
        "    Invalid expression / Unexpected token. Line 2, Col: 8.",
        "      MODEL (name serving.fct_sum, kind FULL, columns (total BIGINT));",
        "    SELEKT 1 AS total",
    ]


def test_providers_that_take_no_part_are_named_once_when_none_does(workshop: Workshop) -> None:
    ended = workshop.run("run", "--provider", "auto", "--json")

    assert ended.returncode == 4
    assert ended.stderr.count("HCLOUD_TOKEN") == 1, ended.stderr
