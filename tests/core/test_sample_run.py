"""The whole main job with the bundled plugins, offline, as a newcomer runs it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import Any

import duckdb
import pytest
from fakes.workshop import Workshop, wait_until


@pytest.fixture
def clone(workshop: Workshop) -> Workshop:
    """A folder with the SQLMesh project where a clone has it."""
    workshop.copy_project()
    return workshop


def serving(clone: Workshop) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the layer that answers questions."""
    database = clone.directory / "materia.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'serving'"
        ).fetchall()
        return {
            name: connection.execute(f"from serving.{name} order by all").fetchall()
            for (name,) in sorted(names)
        }


def test_the_sample_is_built_shown_and_not_built_again(
    workshop: Workshop, sample_run: Workshop
) -> None:
    printed, warned = (
        (sample_run.directory.parent / name).read_text() for name in ("stdout", "stderr")
    )
    workshop.take_over(sample_run)
    left = sorted(path.name for path in workshop.directory.iterdir())
    second = workshop.run("run", "--sample", "--json")
    look = printed.partition("Look at it:\n")[2].splitlines()[0]
    looked = subprocess.run(
        shlex.split(look), cwd=workshop.directory, capture_output=True, text=True, check=True
    )

    assert "serving.obt_commodity_metrics" in printed
    assert "This was sample data." in printed
    assert warned == ""
    assert looked.stdout.count("\n") > 10
    result = json.loads(second.stdout)["stages"][1]["result"]
    assert not result["published"]
    assert left == [".materia", ".materia.duckdb.work", "materia.duckdb", "raw", "transform"]
    assert sorted(path.name for path in workshop.directory.iterdir()) == left
    kept = sorted(path.name for path in workshop.home.iterdir())
    assert kept == [".local"]  # the ledger and the logs


@pytest.mark.campaign
def test_a_run_killed_anywhere_is_made_good_by_the_next(clone: Workshop) -> None:
    clone.run("run", "--sample")
    clean = serving(clone)
    for path in clone.directory.iterdir():
        if path.name != "transform":
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    for sight in ("raw", ".materia.duckdb.work", "materia.duckdb"):
        run = clone.start("run", "--sample")
        wait_until((clone.directory / sight).exists, f"the sight of {sight}")
        run.kill()
        run.communicate(timeout=30)
    last = clone.run("run", "--sample")

    assert last.returncode == 0, last.stderr
    assert serving(clone) == clean
    assert clone.workers() == []


def test_without_a_network_the_address_and_the_way_out_are_told(clone: Workshop) -> None:
    clone.write(
        "materia.toml",
        '[sources.psdonline]\nbase_url = "http://127.0.0.1:9/psd"\nfirst_release = "2026-01"\n',
    )

    ended = clone.run("run")

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("materia: psdonline: no file could be fetched; check ")
    assert "http://127.0.0.1:9/psd/2026/01/" in ended.stderr
    assert "Traceback" not in ended.stderr
