"""Faults that a run on rented machines meets, whole: real SDKs, emulated clouds, real OpenSSH."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from fakes.examples import of_each_kind
from fakes.rented import Rented
from fakes.workshop import Workshop
from materia_duckdb.sink import DuckDBSink
from materia_testing.emulation.faults import Fault
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
PROVIDERS = ("hetzner", "ovh", "scaleway", "oracle")
EXTRACT = ("pipeline", "run", "extract", "--sample", "--json", "--provider")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What workers run is put together once for all tests, in all their processes."""
    return tmp_path_factory.getbasetemp().parent / "cache"


@pytest.fixture
def rent(workshop: Workshop, cache: Path) -> Iterator[Callable[..., Rented]]:
    made: list[Rented] = []

    def start(*providers: str) -> Rented:
        rented = Rented(workshop, providers, cache=cache)
        made.append(rented)
        return rented

    yield start
    for rented in made:
        with rented:
            pass


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    """Read standard error until it has said *word*."""
    assert process.stderr is not None
    heard = []
    for line in process.stderr:
        heard.append(line)
        if word in line:
            return
    raise AssertionError(f"it never said {word}: {''.join(heard)}")


def test_who_is_interrupted_while_one_machine_is_refused_asks_for_no_other(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    hetzner = rented.clouds["hetzner"]
    hetzner.faults.next(*hetzner.create_call, Fault(error="sold_out", slow=1))

    with rented.start(*EXTRACT, "hetzner") as process:
        wait_for(process, '"state": "asked"')
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    creates = [one for one in hetzner.exchanges if (one.method, one.path) == hetzner.create_call]
    assert process.returncode == 130, said
    assert "cannot create the server" in said
    assert "trying the next offer" not in said  # as none is tried
    assert len(creates) == 1
    assert rented.left() == []


def test_an_api_that_fails_is_asked_once_more_and_then_left_out(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner", "oracle")
    oracle = rented.clouds["oracle"]
    oracle.faults.next(*oracle.create_call, Fault(error="server_error"), times=None)

    done = rented.run(*EXTRACT, "auto")

    assert done.returncode == 0, done.stderr
    assert "retrying oracle" in done.stderr
    assert "continuing without oracle" in done.stderr
    assert json.loads(done.stdout)["stages"][0]["provider"] == "hetzner"
    assert rented.left() == []


def test_a_type_that_is_refused_in_one_place_is_rented_in_another(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    hetzner = rented.clouds["hetzner"]
    # As the service answers for a type that a location does not have.
    hetzner.faults.next(*hetzner.create_call, Fault(error="unsupported_location"), times=2)

    done = rented.run(*EXTRACT, "hetzner")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trying the next offer") == 2
    machines = rented.ledger(json.loads(done.stdout)["run"])["instances"]
    asked = [(one["instance_type"], one["region"]) for one in machines]
    assert len(set(asked)) == 3
    assert rented.left() == []


def test_a_bad_answer_while_a_machine_boots_costs_no_second_machine(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner", "ovh")
    for name in ("hetzner", "ovh"):
        cloud = rented.clouds[name]
        one_machine = (cloud.list_call[0], f"{cloud.list_call[1]}/*")
        cloud.faults.next(*one_machine, Fault(error="server_error"), times=3)

        done = rented.run(*EXTRACT, name)

        assert done.returncode == 0, done.stderr
        assert cloud.faults.pending == 0
        assert creates(rented, name) == 1
    assert rented.left() == []


def test_an_answer_that_is_lost_at_the_only_provider_ends_no_run(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    hetzner = rented.clouds["hetzner"]
    for call in (hetzner.offers_call, hetzner.create_call, hetzner.delete_call):
        hetzner.faults.next(*call, Fault(drop="before"))

    done = rented.run(*EXTRACT, "hetzner")

    assert done.returncode == 0, done.stderr
    assert hetzner.faults.pending == 0
    assert rented.left() == []


def paid(rented: Rented, run: str) -> Decimal:
    machines = rented.ledger(run)["instances"]
    return sum((Decimal(one["cost"]["amount"]) for one in machines if one["cost"]), Decimal(0))


def test_what_a_refused_machine_costs_all_the_same_is_in_the_books(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("scaleway")
    scaleway = rented.clouds["scaleway"]  # where an address is reserved first, for an hour at least
    scaleway.faults.next(*scaleway.create_call, Fault(error="sold_out"))

    done = rented.run(*EXTRACT, "scaleway")

    assert done.returncode == 0, done.stderr
    assert rented.left() == []
    assert round(paid(rented, json.loads(done.stdout)["run"]), 2) == round(rented.billed(), 2)


# A contract of each provider loses the answer; here it is the run that is shown.
@pytest.mark.parametrize("provider", of_each_kind(PROVIDERS, "hetzner"))
def test_a_machine_whose_create_failed_after_it_was_made_is_removed_and_in_the_books(
    rent: Callable[..., Rented], provider: str
) -> None:
    rented = rent(provider)
    cloud = rented.clouds[provider]
    # As often as a create is repeated before it is given up.
    cloud.faults.next(*cloud.create_call, Fault(drop="after"), times=2)

    done = rented.run(*EXTRACT, provider)

    assert done.returncode == 0, done.stderr
    assert rented.left() == []
    assert round(paid(rented, json.loads(done.stdout)["run"]), 2) == round(rented.billed(), 2)


def creates(rented: Rented, name: str) -> int:
    """How often that cloud was asked for a machine."""
    cloud = rented.clouds[name]
    method, path = cloud.create_call
    return sum(one.method == method and fnmatchcase(one.path, path) for one in cloud.exchanges)


def test_nothing_is_rented_while_another_process_holds_the_database(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    folder = rented.workshop.directory
    other = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
    other.checkout()

    done = rented.run("run", "--sample", "--provider", "hetzner")

    assert done.returncode == 5, done.stderr
    assert "locked by another materia process" in done.stderr
    assert creates(rented, "hetzner") == 0


def test_nothing_is_rented_when_a_later_stage_could_not_be_sent_what_it_runs(
    rent: Callable[..., Rented], tmp_path: Path
) -> None:
    rented = rent("oracle")
    nowhere = {
        "XDG_CACHE_HOME": str(tmp_path / "nothing-kept"),
        "UV_CACHE_DIR": str(tmp_path / "no-packages"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    }

    done = rented.run("run", "--sample", "--provider", "oracle", **nowhere)

    assert done.returncode == 1, done.stderr
    assert "the package index cannot be reached" in done.stderr
    assert creates(rented, "oracle") == 0


def test_of_many_refusals_the_first_are_said_and_the_others_counted(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    hetzner = rented.clouds["hetzner"]
    hetzner.faults.next(*hetzner.create_call, Fault(error="quota"), times=None)

    done = rented.run(*EXTRACT, "hetzner")

    last = done.stderr.partition("materia: no machine can run")[2]
    assert done.returncode == 4, done.stderr
    assert len(last.splitlines()) == 6, last
    assert re.search("refused [0-9]+ more; see `materia runs show`", last)
