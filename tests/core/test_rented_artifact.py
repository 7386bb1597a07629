"""What workers run is put together before a machine is rented, and never while one is."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.rented import Rented, events
from fakes.workshop import Workshop
from materia_testing.emulation.ssh_machines import sandbox

pytestmark = pytest.mark.skipif(bool(sandbox.why_not()), reason=str(sandbox.why_not()))
EXTRACT = ("pipeline", "run", "extract", "--sample", "--json", "--provider")
PUT_TOGETHER = "building the worker artifact"
HERE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
OTHER = "x86_64" if HERE == "arm64" else "arm64"


@pytest.fixture
def rent(workshop: Workshop, tmp_path: Path) -> Iterator[Callable[..., Rented]]:
    """With a cache of its own, in which nothing is put together yet."""
    made: list[Rented] = []

    def start(*providers: str) -> Rented:
        rented = Rented(workshop, providers, cache=tmp_path / "cache")
        made.append(rented)
        return rented

    yield start
    for rented in made:
        with rented:
            pass


def when_put_together(stderr: str) -> list[str]:
    """For what, with the state of the machine at that moment, in the order in which it was said."""
    state, found = "none", []
    for event in events(stderr):
        if event["event"] == "instance":
            state = "none" if event["state"] in {"gone", "refused"} else "rented"
        if PUT_TOGETHER in event.get("message", ""):
            found.append(f"{event['message'].partition(' for ')[2]} {state}")
    return found


def test_an_emulated_machine_is_expected_to_be_as_this_one_whatever_its_offer_says(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("scaleway")
    text = (rented.workshop.directory / "materia.toml").read_text()
    rented.workshop.write("materia.toml", text.replace(f'["{HERE}"]', f'["{OTHER}"]'))

    done = rented.run(*EXTRACT, "scaleway")

    assert done.returncode == 0, done.stderr
    (once,) = when_put_together(done.stderr)
    assert once.endswith(f"on {HERE}: once, until a package changes none")
    run = json.loads(done.stdout)["run"]
    assert len(rented.ledger(run)["instances"]) == 1


def test_a_machine_that_is_another_than_expected_is_given_up_and_nothing_is_made_while_it_is_paid(
    rent: Callable[..., Rented],
) -> None:
    rented = rent("hetzner")
    first = rented.run(*EXTRACT, "hetzner")
    assert first.returncode == 0, first.stderr
    (path,) = rented.workshop.directory.parent.rglob("machines.json")
    known = json.loads(path.read_text())
    ((key, facts),) = known.items()
    path.write_text(json.dumps({key: [facts[0], OTHER]}))

    done = rented.run(*EXTRACT, "hetzner")

    assert done.returncode == 0, done.stderr
    assert f"has Python {facts[0]} on {HERE}, and the artifact was built for" in done.stderr
    assert "building an artifact for it, then renting it again" in done.stderr
    assert all(one.endswith("none") for one in when_put_together(done.stderr))
    run = json.loads(done.stdout)["run"]
    assert len(rented.ledger(run)["instances"]) == 2
    assert json.loads(path.read_text()) == known
    assert rented.left() == []
