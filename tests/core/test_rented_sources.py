"""Two sources on a rented machine: one artifact, one request, and secrets of each for itself."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from fakes.rented import Rented
from fakes.twins import CONFIG, MODEL, SECRETS
from fakes.workshop import TESTS, Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not())),
]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp().parent / "cache"


def test_two_sources_run_on_a_rented_machine_as_they_do_at_home(
    workshop: Workshop, cache: Path
) -> None:
    workshop.module("twins", (TESTS / "fakes/twins.py").read_text())
    workshop.install("twins", "twins", files=("twins.py",))
    workshop.write("mine/config.py", CONFIG)
    workshop.write("mine/models/both.sql", MODEL)
    pipeline = 'source = ["ones", "twos"]\ntransform.project = "mine"\n'

    with Rented(workshop, ["hetzner"], cache=cache, pipeline=pipeline) as rented:
        done = rented.run("run", "--provider", "hetzner", "--json", **SECRETS)
        again = rented.run("run", "--provider", "hetzner", "--json", **SECRETS)
        left = rented.left()

    assert done.returncode == 0, done.stderr
    extract, transform = (one["result"] for one in json.loads(done.stdout)["stages"])
    assert [one["fetched"] for one in extract["sources"]] == [1, 1]
    assert transform["loaded"] == ["ones/2024-01", "twos/2024-01"]
    with duckdb.connect(str(workshop.directory / "materia.duckdb"), read_only=True) as connection:
        said = connection.execute("SELECT said FROM serving.both ORDER BY 1").fetchall()
    assert said == [("ones halibut-one",), ("twos halibut-two",)]
    assert json.loads(again.stdout)["stages"][1]["result"]["published"] is False
    assert left == []
