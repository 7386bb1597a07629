"""What may be destroyed, and what a sweep does with it, the ledger and the word of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.graveyard import Graveyard, bury
from fakes.leftovers import died
from fakes.rentals import BY_THE_HOUR
from fakes.rows import NOON, OFFER, euro, machine_row, run_row
from fakes.workshop import Workshop
from hypothesis import given
from hypothesis import strategies as st
from materia.compute import Instance
from materia.errors import OrphanError
from materia_runner.ledger.ledger import Ledger
from materia_runner.ledger.state import State
from materia_runner.rental.sweep import find_orphans, sweep_provider, try_sweep

SECOND = timedelta(seconds=1)
GRAVEYARD = replace(OFFER, provider="graveyard")
TOKEN = {"GRAVEYARD_TOKEN": "a spade"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


@pytest.fixture
def graveyard(tmp_path: Path) -> Graveyard:
    settings = {"delay": "0", "failure": ""}
    folder = tmp_path / "graves"
    return Graveyard("graveyard", settings, {}, BY_THE_HOUR, folder=folder)


def an_instance(run: str, expires_at: datetime) -> Instance:
    return Instance(
        provider="acme",
        id="i",
        name=f"materia-{run}",
        run=run,
        stage="extract",
        region="north",
        expires_at=expires_at,
    )


@given(
    st.lists(
        st.builds(
            an_instance,
            st.sampled_from(["", "alive", "dead", "unknown"]),
            st.integers(-3, 3).map(lambda seconds: NOON + seconds * SECOND),
        )
    )
)
def test_only_what_is_past_its_deadline_or_of_a_dead_run_is_left_behind(
    listed: list[Instance],
) -> None:
    found = find_orphans(listed, now=NOON, dead_runs=lambda run: run == "dead")

    assert [one.instance for one in found] == [
        one for one in listed if one.run == "dead" or one.expires_at <= NOON
    ]


def test_one_that_stays_keeps_no_other_alive(
    state: State, graveyard: Graveyard, tmp_path: Path
) -> None:
    graves = [bury(tmp_path, name) for name in ("a", "stuck-b", "c", "stuck-d")]

    with pytest.raises(OrphanError) as caught:
        sweep_provider(graveyard, name="graveyard", state=state, now=NOON)

    assert [grave.exists() for grave in graves] == [False, True, False, True]
    assert str(caught.value).count("delete it with a spade") == 2


@pytest.mark.parametrize(
    ("age", "expected"), [(timedelta(minutes=9), "intent"), (timedelta(minutes=11), "refused")]
)
def test_what_was_asked_for_and_never_seen_is_looked_for_until_it_is_ten_minutes_old(
    state: State, graveyard: Graveyard, age: timedelta, expected: str
) -> None:
    with state.ledger() as ledger:
        ledger.begin_run(run_row())
        ledger.intend_machine(machine_row(offer=GRAVEYARD))

        swept = sweep_provider(graveyard, name="graveyard", state=state, now=NOON + age)

        assert [row.state for row in ledger.machines()] == [expected]
        assert [row.name for row in swept.pending] == (["m"] if expected == "intent" else [])


@pytest.mark.parametrize(
    ("age", "expected"), [(31 * SECOND, "intent"), (timedelta(minutes=11), "refused")]
)
def test_a_key_without_its_machine_says_that_one_may_still_appear(
    state: State, graveyard: Graveyard, tmp_path: Path, age: timedelta, expected: str
) -> None:
    grave = bury(tmp_path, "key-m", run="one", until=NOON + timedelta(hours=2))
    with state.ledger() as ledger:
        ledger.begin_run(run_row())
        ledger.intend_machine(machine_row("key-m", offer=GRAVEYARD))

        sweep_provider(graveyard, name="graveyard", state=state, now=NOON + age)

        assert not grave.exists()
        assert [row.state for row in ledger.machines()] == [expected]


def test_what_somebody_else_destroyed_costs_no_more_than_to_its_deadline(
    state: State, graveyard: Graveyard
) -> None:
    with state.ledger() as ledger:
        ledger.begin_run(run_row())
        row = machine_row(offer=replace(GRAVEYARD, extras=()))
        ledger.intend_machine(row)
        ledger.machine_created("m", id="id-m", region="north", created_at=NOON, at=NOON)

        swept = sweep_provider(
            graveyard, name="graveyard", state=state, now=NOON + timedelta(days=9)
        )

        assert [row.name for row in swept.vanished] == ["m"]
        [gone] = ledger.machines()
        assert (gone.state, gone.gone_at, gone.cost) == ("gone", row.expires_at, euro("0.024"))


def test_a_ledger_that_is_damaged_is_told_of_and_keeps_nothing_alive(
    state: State, graveyard: Graveyard, tmp_path: Path
) -> None:
    grave = bury(tmp_path, "m")
    state.folder.mkdir()
    state.ledger_file.write_bytes(b"no database" * 1000)

    swept = try_sweep(graveyard, name="graveyard", state=state, now=NOON)

    assert not grave.exists()
    assert str(state.ledger_file) in swept.remark


class TestCommand:
    @pytest.fixture
    def yard(self, workshop: Workshop) -> Workshop:
        workshop.install("graveyard", "fakes.graveyard")
        return workshop

    @pytest.fixture
    def killed(self, yard: Workshop) -> Iterator[Ledger]:
        """What a run that was killed leaves in the state folder of that home."""
        state = State(yard.home / ".local/state/materia")
        now = datetime.now(UTC)
        with state.ledger() as ledger:
            ledger.begin_run(run_row())
            ledger.intend_machine(machine_row(at=now, offer=GRAVEYARD))
            ledger.machine_created("m", id="id-m", region="north", created_at=now, at=now)
            died(state, "one")
            yield ledger

    def test_it_says_what_is_left_and_how_to_delete_it_and_exits_with_3(
        self, yard: Workshop
    ) -> None:
        bury(yard.directory, "gone")
        bury(yard.directory, "stuck")

        done = yard.run("sweep", "--provider", "graveyard", environment=TOKEN)

        assert done.returncode == 3
        why = "(g1, volume) in north: its deadline has passed"
        assert done.stdout.splitlines() == [
            f"graveyard: destroyed gone {why}",
            f"graveyard: STILL THERE, and costs money: stuck {why}",
        ]
        assert done.stderr == "materia: graveyard: stuck will not go; delete it with a spade\n"

    def test_a_dry_run_says_the_same_and_changes_nothing(self, yard: Workshop) -> None:
        grave = bury(yard.directory, "m")

        done = yard.run("sweep", "--provider=graveyard", "--dry-run", "--json", environment=TOKEN)

        assert done.returncode == 0
        [machine] = json.loads(done.stdout)["instances"]
        assert (machine["name"], machine["destroyed"]) == ("m", False)
        assert grave.exists()

    def test_every_command_tells_of_what_a_killed_run_left_until_it_is_swept(
        self, yard: Workshop, killed: Ledger
    ) -> None:
        bury(yard.directory, "m", run="one", until=datetime.now(UTC) + timedelta(hours=1))

        told = yard.run("sources", environment=TOKEN)
        swept = yard.run("sweep", environment=TOKEN)
        after = yard.run("sources", environment=TOKEN)

        since = killed.machines()[0].intended_at
        assert told.stderr == (
            f"materia: run one left a machine on graveyard since {since:%Y-%m-%d %H:%M} UTC, "
            "costing 0.0002 EUR so far; to destroy it: `materia sweep`\n"
        )
        assert swept.stderr == ""
        assert "graveyard: destroyed m (g1, volume) in north: its run is over" in swept.stdout
        assert after.stderr == ""
        assert [row.state for row in killed.machines()] == ["gone"]

    @pytest.mark.usefixtures("killed")
    def test_a_provider_that_has_machines_in_the_ledger_must_answer(self, yard: Workshop) -> None:
        without = yard.run("sweep", "--all-providers")
        bury(yard.directory, "closed")
        closed = yard.run("sweep", environment=TOKEN)

        assert (without.returncode, closed.returncode) == (2, 1)
        assert "materia: graveyard: set GRAVEYARD_TOKEN to use it\n" in without.stderr
        assert "materia: graveyard: the API is not there\n" in closed.stderr

    def test_a_sweep_of_all_that_can_ask_nobody_fails(self, yard: Workshop) -> None:
        done = yard.run("sweep", "--all-providers")

        assert done.returncode == 2
        assert "graveyard: set GRAVEYARD_TOKEN to use it" in done.stderr

    def test_those_without_credentials_are_said_to_be_left_out(self, yard: Workshop) -> None:
        done = yard.run("sweep", "--all-providers", environment=TOKEN)

        assert done.returncode == 0
        assert "materia: left out: hetzner: set HCLOUD_TOKEN to use it\n" in done.stderr
        assert "graveyard: nothing is left behind\n" in done.stdout

    def test_a_run_that_the_ledger_has_lost_is_named_and_swept_at_every_provider(
        self, yard: Workshop, killed: Ledger
    ) -> None:
        bury(yard.directory, "m", run="one", until=datetime.now(UTC) + timedelta(hours=1))
        killed.close()
        state = State(yard.home / ".local/state/materia")
        for file in state.folder.glob("ledger.db*"):
            file.unlink()

        named = yard.run("sources", environment=TOKEN)
        swept = yard.run("sweep", environment=TOKEN)

        assert (
            "run one was started here, did not end well, and is not in the ledger" in named.stderr
        )
        assert "graveyard: destroyed m (g1, volume) in north: its run is over" in swept.stdout
        assert "left out: hetzner" in swept.stderr
        assert state.unfinished() == ("one",)  # it is young: a list may be behind

        long_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
        os.utime(state.folder / "alive" / "one", (long_ago, long_ago))
        state.touch("one")  # it asked for its last machine only now
        assert yard.run("sweep", "--all-providers", environment=TOKEN).returncode == 0
        assert state.unfinished() == ("one",)

        os.utime(state.folder / "alive" / "one", (long_ago, long_ago))
        again = yard.run("sweep", "--all-providers", environment=TOKEN)

        assert again.returncode == 0
        assert state.unfinished() == ()

    def test_a_machine_of_a_run_that_is_unknown_here_is_named_with_its_deadline(
        self, yard: Workshop
    ) -> None:
        until = datetime(2035, 1, 2, 22, 14, tzinfo=UTC)
        bury(yard.directory, "m", run="elsewhere", until=until)

        done = yard.run("sweep", "--provider=graveyard", environment=TOKEN)

        assert done.returncode == 0
        assert done.stdout == (
            "graveyard: kept m (g1, volume) in north: its run was not started on this computer; "
            "its deadline is 2035-01-02 22:14 UTC\n"
        )

    def test_a_sweep_with_a_damaged_ledger_fails_though_it_destroys_what_it_can(
        self, yard: Workshop
    ) -> None:
        state = State(yard.home / ".local/state/materia")
        died(state, "one")
        state.ledger_file.write_bytes(b"no database" * 1000)
        grave = bury(yard.directory, "m", run="one", until=datetime.now(UTC) + timedelta(hours=1))

        done = yard.run("sweep", environment=TOKEN)

        assert done.returncode == 1
        assert not grave.exists()
        assert f"{state.ledger_file}: the ledger is damaged" in done.stderr
        assert state.unfinished() == ("one",)
