"""What commit 569fad0 rented, kept and published is swept and used by this one.

The old commit is taken out of git and installed beside, from the wheels that uv has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest
from fakes.workshop import Workshop, wait_until
from materia_hetzner.emulator.service import Hetzner
from materia_runner.cli.commands.machines.emulator import toml
from materia_runner.ledger.state import State
from materia_testing.emulation import Behaviour, Clock

pytestmark = pytest.mark.campaign
OLD = "569fad0"
HOME = Path(__file__).parents[2]
AT_MOST = 600


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command `materia` of the old commit."""
    folder = tmp_path_factory.mktemp("old")
    git, uv, tar = (shutil.which(name) for name in ("git", "uv", "tar"))
    if not (git and uv and tar):
        pytest.skip("git, uv or tar is missing")
    packed = subprocess.run(
        [git, "archive", OLD], cwd=HOME, capture_output=True, timeout=AT_MOST, check=False
    )
    if packed.returncode:
        pytest.skip(f"this checkout has no commit {OLD}: {packed.stderr.decode().strip()}")
    subprocess.run([tar, "-x", "-C", folder], input=packed.stdout, timeout=AT_MOST, check=True)
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    synced = subprocess.run(
        [uv, "sync", "--quiet", "--frozen", "--extra", "hetzner"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=AT_MOST,
        check=False,
    )
    if synced.returncode:
        pytest.skip(f"the packages of {OLD} cannot be installed here: {synced.stderr.strip()}")
    return str(folder / ".venv" / "bin" / "materia")


@pytest.fixture
def cloud() -> Iterator[Hetzner]:
    with Hetzner(clock=Clock(), behaviour=Behaviour(never_boots=True)) as cloud:
        yield cloud


def environment_of(workshop: Workshop, secrets: Mapping[str, str]) -> dict[str, str]:
    """Of a process of the old commit: nothing of this one is on its path."""
    return {"PATH": os.environ["PATH"], "HOME": str(workshop.home), **secrets}


def test_what_the_old_commit_rented_and_left_behind_is_swept(
    old: str, workshop: Workshop, cloud: Hetzner
) -> None:
    tables = toml({cloud.provider: cloud.settings()})
    workshop.write("materia.toml", f'provider = "{cloud.provider}"\n{tables}')
    process = subprocess.Popen(
        [old, "worker", "create", "dev"],
        cwd=workshop.directory,
        env=environment_of(workshop, cloud.secrets()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    state = State(workshop.home / ".local/state/materia")
    wait_until(
        lambda: (
            any(line.kind == "instance" for line in cloud.still_billed())
            or process.poll() is not None
        ),
        "an instance",
    )
    process.kill()
    said = process.communicate()
    assert cloud.still_billed(), said

    told = workshop.run("sources", environment=cloud.secrets())
    swept = workshop.run("sweep", environment=cloud.secrets())

    assert "to destroy it: `materia sweep`" in told.stderr
    assert swept.returncode == 0, swept.stderr
    assert "its run is over" in swept.stdout
    assert cloud.still_billed() == []
    assert state.unfinished() == ()
    with state.ledger() as ledger:
        [machine], [run] = ledger.machines(), ledger.runs()
    assert (machine.state, run.state) == ("gone", "interrupted")
    assert machine.cost is not None
    assert not list((state.folder / "workers").glob("*"))


def test_a_folder_of_the_old_commit_is_used_and_nothing_is_fetched_or_lost(
    old: str, workshop: Workshop
) -> None:
    first = subprocess.run(
        [old, "run", "--sample", "--json"],
        cwd=workshop.directory,
        env=environment_of(workshop, {}),
        capture_output=True,
        text=True,
        timeout=AT_MOST,
        check=False,
    )
    assert first.returncode == 0, first.stderr
    database = workshop.directory / "materia.duckdb"
    releases = "SELECT * FROM staging.stg_psdalldata__release ORDER BY ALL"
    rows = "SELECT * FROM raw.psd_alldata ORDER BY ALL"

    def published() -> list[list[tuple[object, ...]]]:
        with duckdb.connect(str(database), read_only=True) as connection:
            return [connection.execute(query).fetchall() for query in (releases, rows)]

    before = published()
    kept = {path.name for path in (workshop.directory / "raw").rglob("*.zip")}

    again = workshop.run("run", "--sample", "--json")

    assert again.returncode == 0, again.stderr
    assert published() == before
    assert {path.name for path in (workshop.directory / "raw").rglob("*.zip")} == kept
    listed = json.loads(workshop.run("runs", "--json").stdout)
    assert len(listed) == 2
