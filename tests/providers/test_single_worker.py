"""Workers made by hand, on the emulated clouds, over real SSH, by the real command line."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.leftovers import NEEDS, new_run, opened
from fakes.workshop import Workshop, wait_until
from materia_providers.cloud_init import generate_key
from materia_runner.cli.commands.machines.emulator import toml
from materia_runner.ledger.state import State
from materia_runner.pricing.ranking import rank
from materia_runner.rental.manual_worker import WorkerRequest, create_worker
from materia_runner.rental.manual_worker_files import Worker
from materia_runner.rental.sweep import EXPIRED, sweep_provider
from materia_testing.emulation import Behaviour, Clock, Fault
from materia_testing.emulation.service import Service
from materia_testing.emulation.services import find_services, service_class
from materia_testing.emulation.ssh_machines.machine import SshMachines

pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="there is no OpenSSH client")
QUICK = timedelta(milliseconds=50)
NAMES = sorted(find_services())


@dataclass(frozen=True)
class Place:
    """A cloud, and a user of it."""

    cloud: Service
    workshop: Workshop
    secrets: dict[str, str]

    @property
    def state(self) -> State:
        return State(self.workshop.home / ".local/state/materia")

    def run(self, *words: str) -> str:
        """The standard output of a command that succeeds."""
        done = self.workshop.run(*words, environment=self.secrets)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A command that has rented something and is not done."""
        process = self.workshop.start(*words, environment=self.secrets)
        wait_until(
            lambda: bool(self.cloud.still_billed()) or process.poll() is not None, "a machine"
        )
        assert process.poll() is None, process.communicate()
        return process

    def left(self) -> list[str]:
        """What is still billed, and what is still kept here."""
        kept = self.state.folder / "workers"
        folders = [path.name for path in kept.iterdir()] if kept.exists() else []
        return [f"{line.kind} {line.id}" for line in self.cloud.still_billed()] + folders


@pytest.fixture
def place(request: pytest.FixtureRequest, workshop: Workshop) -> Iterator[Place]:
    name = getattr(request, "param", "hetzner")
    behaviour = Behaviour(boot=QUICK, delete=QUICK)
    with (
        SshMachines() as machines,
        service_class(name)(clock=Clock(), behaviour=behaviour, machines=machines) as cloud,
    ):
        port = {"ssh_port": machines.port} if machines.port != 22 else {}
        tables = toml({name: {**cloud.settings(), **port}})
        workshop.write("materia.toml", f'provider = "{name}"\n{tables}')
        yield Place(cloud=cloud, workshop=workshop, secrets=cloud.secrets())


# Each provider's contract reaches its machines.
@pytest.mark.parametrize("place", of_each_kind(NAMES, "hetzner"), indirect=True)
def test_a_worker_is_made_used_and_destroyed_and_nothing_is_left(place: Place) -> None:
    made = json.loads(place.run("worker", "create", "dev", "--minutes", "30", "--json"))
    user, host = place.run("worker", "ssh", "dev", "--", "echo $USER; uname -n").split()
    assert user == "materia"
    assert host.startswith(made["instance"])

    told = place.run("worker", "destroy", "dev")

    assert "dev is gone; it cost" in told
    assert place.left() == []
    assert place.state.unfinished() == ()
    with place.state.ledger() as ledger:
        [row] = ledger.machines()
    assert row.cost is not None
    charged = {name: amount for name, amount in place.cloud.billed().items() if amount}
    assert {row.cost.currency: round(row.cost.amount, 4)} == {
        name: round(amount, 4) for name, amount in charged.items()
    }
    assert row.estimate.amount >= row.cost.amount > Decimal(0)


def test_destroying_a_worker_says_so_in_json_too(place: Place) -> None:
    place.run("worker", "create", "dev")

    [told] = json.loads(place.run("worker", "destroy", "dev", "--json"))

    assert (told["name"], told["provider"], told["destroyed"]) == ("dev", "hetzner", True)
    assert Decimal(told["cost"]["amount"]) > 0
    assert told["cost"]["currency"] == "EUR"
    assert place.left() == []


def test_a_worker_that_is_being_made_is_as_young_as_its_machine(place: Place) -> None:
    place.cloud.behaviour.never_boots = True
    with (
        place.begin("worker", "create", "dev") as process,
        place.state.ledger() as ledger,
    ):
        wait_until(lambda: bool(ledger.machines()[0].id), "a machine in the ledger")
        process.kill()
        [row] = ledger.machines(open_only=True)

    assert place.state.age(row.run, now=row.intended_at) < timedelta(seconds=0.01)
    place.run("sweep")
    assert place.left() == []


@pytest.mark.parametrize("ended", ["destroyed", "interrupted"])
def test_a_ledger_that_cannot_be_written_keeps_no_machine_alive(place: Place, ended: str) -> None:
    with place.state.ledger():
        pass
    with closing(sqlite3.connect(place.state.ledger_file)) as ledger:
        ledger.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON machines WHEN NEW.state = 'destroying' "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    if ended == "destroyed":
        place.run("worker", "create", "dev")
        place.run("worker", "destroy", "dev")
    else:
        place.cloud.behaviour.boot = timedelta(minutes=5)
        process = place.workshop.start("worker", "create", "dev", environment=place.secrets)
        wait_until(lambda: bool(place.cloud.still_billed()), "a machine")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert [line.kind for line in place.cloud.still_billed()] == []


def test_no_other_host_key_is_accepted_and_only_its_owner_may_read_the_key(place: Place) -> None:
    place.run("worker", "create")
    folder = place.state.folder / "workers" / "worker"
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    known = folder / "known_hosts"
    known.write_text(f"{known.read_text().split()[0]} {generate_key().public}\n")

    refused = place.workshop.run("worker", "ssh", "worker", "true", environment=place.secrets)

    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    place.run("worker", "destroy", "worker")


def test_two_that_are_made_at_once_do_not_disturb_one_another(place: Place) -> None:
    making = [place.workshop.start("worker", "create", environment=place.secrets) for _ in "ab"]
    for process in making:
        assert process.wait(60) == 0, process.communicate()
        process.communicate()

    hosts = [place.run("worker", "ssh", name, "uname -n") for name in ("worker", "worker-2")]
    listed = json.loads(place.run("worker", "list", "--json"))
    swept = place.run("sweep")  # they are in use until their deadline
    place.run("worker", "destroy", "worker", "worker-2")

    told = {one["name"]: (one["instance"], one["by_hand"]) for one in listed}
    assert told == {"worker": (hosts[0].strip(), True), "worker-2": (hosts[1].strip(), True)}
    assert swept == "hetzner: nothing is left behind; kept 2 machines of runs that are alive\n"
    assert place.left() == []


def test_the_next_offer_is_taken_when_one_cannot_be_had_after_all(place: Place) -> None:
    place.cloud.faults.next(*place.cloud.create_call, Fault(error="sold_out"))

    done = place.workshop.run("worker", "create", environment=place.secrets)

    assert done.returncode == 0, done.stderr
    assert "trying the next offer" in done.stderr
    with place.state.ledger() as ledger:
        assert [row.state for row in ledger.machines()] == ["refused", "ready"]
    place.run("worker", "destroy", "worker")
    assert place.left() == []


@pytest.mark.parametrize("moment", ["while it is asked for", "while it boots"])
def test_an_interrupted_create_leaves_nothing(place: Place, moment: str) -> None:
    if moment == "while it boots":
        place.cloud.behaviour.never_boots = True
    else:
        place.cloud.faults.next(*place.cloud.create_call, Fault(slow=1.0))
    process = place.begin("worker", "create")
    if moment == "while it boots":
        time.sleep(0.5)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert place.left() == []
    assert place.state.unfinished() == ()
    with place.state.ledger() as ledger:
        assert [row.state for row in ledger.machines()] == ["gone"]
        assert [row.state for row in ledger.runs()] == ["interrupted"]


def test_a_killed_create_is_told_of_and_swept_with_its_keys(place: Place) -> None:
    place.cloud.behaviour.never_boots = True
    process = place.begin("worker", "create")
    time.sleep(0.5)
    process.kill()
    process.communicate()

    told = place.workshop.run("sources", environment=place.secrets).stderr
    swept = place.run("sweep")

    assert "left a machine on hetzner" in told
    assert "its run is over" in swept
    assert place.left() == []


def test_a_worker_past_its_deadline_is_swept_with_its_keys(place: Place, tmp_path: Path) -> None:
    provider = opened(place.cloud)
    settings = tmp_path / "pipeline"
    made: list[Worker] = []
    quotes = rank(provider.offers(NEEDS), NEEDS, start=datetime.now(UTC)).quotes
    create_worker(
        WorkerRequest(run=new_run(), name=None, lifetime=timedelta(minutes=5), directory=settings),
        quotes,
        {place.cloud.provider: provider},
        state=place.state,
        say=lambda _: None,
        announce=lambda worker, _: made.append(worker),
    )
    [worker] = made
    assert worker.expires_at is not None
    assert place.state.is_alive(worker.run)
    name, state = place.cloud.provider, place.state

    early = sweep_provider(provider, name=name, state=state, now=datetime.now(UTC))
    swept = sweep_provider(provider, name=name, state=state, now=worker.expires_at)

    assert early.found == ()
    assert [one.why for one in swept.found] == [EXPIRED]
    assert [line.kind for line in place.cloud.still_billed()] == []


def test_nothing_is_rented_that_could_pass_the_monthly_cap(place: Place) -> None:
    config = place.workshop.directory / "materia.toml"
    config.write_text(f'{config.read_text()}\n[budget]\nmonthly = "0.001"\n')

    done = place.workshop.run("worker", "create", environment=place.secrets)

    assert done.returncode == 4
    assert "over its cap of 0.0010 EUR ([budget] monthly in materia.toml)" in done.stderr
    assert place.cloud.meter.lines == []
    assert place.left() == []


def test_what_is_wrong_with_a_name_is_said(place: Place) -> None:
    said = {}
    for words in ("create Dev_1", "ssh nobody", "destroy nobody", "create --provider local"):
        done = place.workshop.run("worker", *words.split(), environment=place.secrets)
        assert done.returncode == 2
        said[words] = done.stderr.strip()

    assert said == {
        "create Dev_1": "materia: 'Dev_1' is not a valid worker name: begin with a letter, "
        "and use at most 24 of a-z, 0-9 and single -",
        "ssh nobody": "materia: no worker 'nobody' was created on this computer; "
        "create one with `materia worker create`",
        "destroy nobody": "materia: no worker 'nobody' was created on this computer; "
        "create one with `materia worker create`",
        "create --provider local": "materia: cannot create a worker: local rents no machines; "
        "name another --provider",
    }


def test_a_machine_that_nobody_has_is_refused_with_the_reasons(place: Place) -> None:
    done = place.workshop.run("worker", "create", "--vcpus", "500", environment=place.secrets)

    assert done.returncode == 4
    assert "materia: no machine on offer fits; ask for less\n" in done.stderr
    assert "x less than 500 vCPU" in done.stderr
