"""A supervisor that is deleted in mid-run: the next one has its history and sweeps its machine."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.computers import KEYS
from fakes.rented import Rented
from fakes.s3 import SECRET, Fault, S3Server
from fakes.workshop import Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not())),
]
EXTRACT = ("pipeline", "run", "extract", "--sample", "--json")
NOTICE = "no other computer is known to sweep"


class Site:
    """A pipeline with a bucket, on an emulated cloud; its supervisors have their own state."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.server = S3Server()
        self.bucket = self.server.new_bucket()
        self.folder = folder
        self.rented = Rented(Workshop(folder), ["hetzner"], cache=cache)
        self.write()

    def write(self, more: str = "") -> None:
        bucket = f'bucket = "s3://{self.bucket}/m"\nendpoint = "{self.server.endpoint}"\n'
        self.rented.write(f'provider = "hetzner"\n[artifacts]\n{bucket}{more}')

    def variables(self, supervisor: str) -> dict[str, str]:
        return {"MATERIA_STATE_DIR": str(self.folder / supervisor), **KEYS}

    def run(self, supervisor: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.rented.run(*arguments, **self.variables(supervisor))

    def delete_in_mid_run(self, supervisor: str) -> str:
        """Kill a run when its stage has ended and its machine is still there; the name of the run.

        The request to write the copy after the stage is the last thing that it does.
        """
        process = self.start(supervisor, *EXTRACT)
        last = Fault(method="PUT", name="/ledger/", skip=1, act=process.kill, drop=True)
        with self.server.failing(last):
            _, said = process.communicate(timeout=120)
        assert last.happened == 1, said.decode()
        return self.ledgers()[-1]

    def ledgers(self) -> list[str]:
        names = self.server.names(self.bucket)
        return [Path(name).stem for name in names if name.startswith("m/ledger/psdonline/")]

    def start(self, supervisor: str, *arguments: str) -> subprocess.Popen[bytes]:
        workshop = self.rented.workshop
        variables = {**self.rented.environment(), **self.variables(supervisor)}
        return subprocess.Popen(
            workshop.command(*arguments),
            cwd=workshop.directory,
            env=workshop.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def age(self, run: str) -> None:
        """Let sixteen minutes pass since the last sign of life of a run."""
        key = f"m/ledger/psdonline/{run}.json"
        copy = json.loads(self.server.content(self.bucket, key))
        then = datetime.fromisoformat(copy["alive_at"]) - timedelta(minutes=16)
        body = json.dumps({**copy, "alive_at": then.isoformat()})
        self.server.client().put_object(Bucket=self.bucket, Key=key, Body=body)

    def sweeps_of(self, host: str) -> None:
        """Let the sweeps here have been those of another computer."""
        key = "m/sweeps/psdonline.json"
        sweeps = json.loads(self.server.content(self.bucket, key))
        (moment,) = sweeps["hosts"].values()
        body = json.dumps({**sweeps, "hosts": {host: moment}})
        self.server.client().put_object(Bucket=self.bucket, Key=key, Body=body)

    def runs(self, supervisor: str) -> dict[str, Any]:
        return {
            one["run"]: one for one in json.loads(self.run(supervisor, "runs", "--json").stdout)
        }

    def shown(self, supervisor: str, run: str) -> dict[str, Any]:
        """What it shows of a run, but for its own folder: plan, machines, stages, logs."""
        text = self.run(supervisor, "runs", "show", run, "--json").stdout
        values: dict[str, Any] = json.loads(text.replace(str(self.folder / supervisor), ""))
        for stage in values["stages"]:
            log = Path(f"{self.folder / supervisor}{stage['log']}")
            stage["lines"] = log.read_text().splitlines()
        return values

    def close(self) -> None:
        self.rented.__exit__()
        self.server.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    cache = tmp_path_factory.getbasetemp().parent / "cache"
    made = Site(tmp_path_factory.mktemp("site"), cache)
    yield made
    made.close()


def test_a_supervisor_deleted_in_mid_run_and_made_again_has_its_history_and_sweeps_its_machine(
    site: Site,
) -> None:
    first = site.run("old", *EXTRACT)
    good = json.loads(first.stdout)["run"]
    assert NOTICE in first.stderr
    dead = site.delete_in_mid_run("old")
    assert len(site.rented.left()) >= 1

    alive = site.run("new", "sweep")
    assert (alive.returncode, len(site.rented.left()) >= 1) == (0, True)  # it may be alive
    busy = site.run("new", *EXTRACT)
    assert busy.returncode == 5, busy.stderr
    assert f"another run of psdonline may rent machines now: {dead}" in busy.stderr

    site.age(dead)
    swept = site.run("new", "sweep")

    assert swept.returncode == 0, swept.stderr
    assert site.rented.left() == []
    known = site.runs("new")
    assert {known[good]["state"], known[dead]["state"]} == {"ok", "interrupted"}
    assert site.shown("new", good) == site.shown("old", good)
    assert site.shown("new", dead)["plan"] == site.shown("old", dead)["plan"]
    assert site.shown("new", dead)["plan"]["placements"]
    site.sweeps_of("runner-1")
    again = site.run("new", *EXTRACT)  # the lease of the dead run is free
    assert again.returncode == 0, again.stderr
    assert NOTICE not in again.stderr
    secrets = (SECRET, site.rented.clouds["hetzner"].secrets()["HCLOUD_TOKEN"])
    for name in site.server.names(site.bucket):
        if not name.endswith(".tar.gz"):
            content = site.server.content(site.bucket, name).decode()
            assert not [secret for secret in secrets if secret in content], name


@pytest.mark.campaign
def test_of_two_supervisors_that_start_at_once_one_rents_and_the_other_rents_nothing(
    site: Site,
) -> None:
    """Both have read that there is no lease before one of them writes it."""
    site.server.client().delete_object(Bucket=site.bucket, Key="m/leases/psdonline.json")
    both = threading.Barrier(2, timeout=60)
    asked = Fault(method="GET", name="/leases/", act=both.wait, times=2)
    with site.server.failing(asked):
        processes = {name: site.start(name, *EXTRACT) for name in ("one", "other")}
        said = {name: one.communicate(timeout=240) for name, one in processes.items()}

    codes = {name: one.returncode for name, one in processes.items()}
    assert sorted(codes.values()) == [0, 5], said
    (loser,) = (name for name, code in codes.items() if code)
    assert b"may rent machines now" in said[loser][1]
    copies = [
        json.loads(site.server.content(site.bucket, f"m/ledger/psdonline/{run}.json"))
        for run in site.ledgers()[-2:]
    ]
    assert sorted(len(copy["machines"]) for copy in copies) == [0, 1]
    assert site.rented.left() == []
