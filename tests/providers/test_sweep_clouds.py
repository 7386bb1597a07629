"""A sweep finds all that dead runs left at each provider, and touches nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import materia_hetzner.provider
import materia_hetzner.settings
import materia_ovh.credentials
import materia_ovh.provider
import materia_ovh.settings
import pytest
from fakes import oracle_open, scaleway_open
from fakes.leftovers import HOUR, Tenant, died, intend, remember
from materia.errors import ConfigError, OrphanError
from materia.protocols import Provider
from materia_hetzner.emulator.service import Hetzner
from materia_oracle.emulator.service import Oracle
from materia_ovh.emulator.service import Ovh
from materia_providers.clock import check_clock, provider_time
from materia_runner.ledger.state import State
from materia_runner.rental.sweep import EXPIRED, RUN_OVER, sweep_provider
from materia_scaleway.emulator.service import Scaleway
from materia_testing.emulation import Behaviour, Clock
from materia_testing.emulation.service import Service
from materia_testing.emulation.services import find_services, service_class

QUICK = timedelta(milliseconds=50)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=sorted(find_services()))
def cloud(request: pytest.FixtureRequest) -> Iterator[Service]:
    behaviour = Behaviour(boot=QUICK, delete=QUICK)
    with service_class(request.param)(clock=Clock(), behaviour=behaviour) as cloud:
        yield cloud


@pytest.fixture
def tenant(cloud: Service) -> Tenant:
    return Tenant.of(cloud)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


def bill_of(cloud: Service) -> set[str]:
    return {f"{line.kind} {line.id}" for line in cloud.still_billed()}


def test_what_is_over_goes_and_nothing_else_is_touched(
    cloud: Service, tenant: Tenant, state: State
) -> None:
    cloud.add_foreign()
    foreign = {line.id for line in cloud.still_billed(foreign=True)}
    now = datetime.now(UTC)
    dead, alive, others, expired = (
        tenant.request(attempt=2),
        tenant.request(),
        tenant.request(stage="transform"),
        tenant.request(expires_at=now - HOUR),
    )
    with state.ledger() as ledger, state.hold(alive.run):
        remember(ledger, alive, tenant.rent)
        tenant.rent(others)
        kept = bill_of(cloud)
        remember(ledger, dead, tenant.rent)
        died(state, dead.run)
        tenant.rent(expired)
        all_of_it = bill_of(cloud)
        sweep = partial(sweep_provider, tenant.provider, name=cloud.provider, state=state, now=now)

        tried = sweep(dry_run=True)
        assert bill_of(cloud) == all_of_it
        assert {row.name: row.state for row in ledger.machines()} == {
            alive.name: "created",
            dead.name: "created",
        }
        swept = sweep()

        assert {one.instance.name: one.why for one in swept.found} == {
            dead.name: RUN_OVER,
            expired.name: EXPIRED,
        }
        # Not the whole values: a machine may get its address between the two.
        assert [(one.instance.id, one.why) for one in tried.found] == [
            (one.instance.id, one.why) for one in swept.found
        ]
        assert bill_of(cloud) == kept
        assert {line.id for line in cloud.still_billed(foreign=True)} == foreign
        assert {row.name: row.state for row in ledger.machines()} == {
            alive.name: "created",
            dead.name: "gone",
        }
        assert ledger.run(dead.run).state == "interrupted"
        assert ledger.run(alive.run).state == "running"
        assert state.unfinished() == ()
        assert sweep().found == ()


def test_a_machine_that_was_swept_costs_what_the_meter_says(
    cloud: Service, tenant: Tenant, state: State
) -> None:
    request = tenant.request()
    with state.ledger() as ledger:
        remember(ledger, request, tenant.rent)

        sweep_provider(tenant.provider, name=cloud.provider, state=state, now=datetime.now(UTC))

        [row] = ledger.machines()
    assert row.cost is not None
    assert {row.cost.currency: round(row.cost.amount, 4)} == {
        currency: round(amount, 4) for currency, amount in cloud.billed().items() if amount
    }


def test_deadlines_alone_decide_where_there_is_no_ledger(
    cloud: Service, tenant: Tenant, state: State
) -> None:
    tenant.rent(tenant.request())
    kept = bill_of(cloud)
    now = datetime.now(UTC)
    for attempt in (1, 2):
        tenant.rent(tenant.request(attempt=attempt, expires_at=now))

    sweep_provider(tenant.provider, name=cloud.provider, state=state, now=now)

    assert bill_of(cloud) == kept
    assert not state.folder.exists()


def test_a_machine_that_comes_late_to_the_list_is_waited_for(
    cloud: Service, tenant: Tenant, state: State
) -> None:
    """Its run was killed while it waited for the answer to its create."""
    now = datetime.now(UTC)
    request = tenant.request()
    with state.ledger() as ledger:
        intend(ledger, request, at=now)
        cloud.behaviour.invisible = timedelta(seconds=0.8)
        tenant.rent(request)

        swept = sweep_provider(tenant.provider, name=cloud.provider, state=state, now=now)

        assert [one.instance.name for one in swept.found] == [request.name]
        assert [row.state for row in ledger.machines()] == ["gone"]
    assert bill_of(cloud) == set()


@pytest.mark.parametrize("seconds", [0.8, pytest.param(60, marks=pytest.mark.campaign)])
def test_a_created_machine_that_no_list_shows_yet_is_destroyed_and_stays_in_the_books(
    cloud: Service, tenant: Tenant, state: State, seconds: float
) -> None:
    """Its run was killed right after the answer to its create was written down."""
    begun = datetime.now(UTC) - timedelta(seconds=29)  # a sweep waits for a second and no longer
    request = tenant.request()
    cloud.behaviour.invisible = timedelta(seconds=seconds)
    with state.ledger() as ledger:
        intend(ledger, request, at=begun)
        instance = tenant.rent(request)
        ledger.machine_created(
            request.name, id=instance.id, region=instance.region, created_at=begun, at=begun
        )

        sweep = partial(sweep_provider, tenant.provider, name=cloud.provider, state=state)
        swept = sweep(now=datetime.now(UTC))

        if seconds > 1:
            assert [row.name for row in swept.pending] == [request.name]
            assert [row.state for row in ledger.machines()] == ["destroying"]
        cloud.behaviour.invisible = timedelta(0)
        sweep(now=datetime.now(UTC))
        assert bill_of(cloud) == set()
        sweep(now=datetime.now(UTC) + 11 * MINUTE)
        assert [row.state for row in ledger.machines()] == ["gone"]


@pytest.mark.parametrize("damage", ["lost", "damaged", "emptied", "newer", "unwritable"])
def test_a_ledger_that_cannot_tell_hides_no_machine_of_this_computer(
    cloud: Service, tenant: Tenant, state: State, damage: str
) -> None:
    mine, other = tenant.request(), tenant.request(stage="transform")
    with state.ledger() as ledger:
        remember(ledger, mine, tenant.rent)
    died(state, mine.run)
    tenant.rent(other)
    file = state.ledger_file
    for beside in (file.with_name("ledger.db-wal"), file.with_name("ledger.db-shm")):
        beside.unlink(missing_ok=True)
    match damage:
        case "lost":
            file.unlink()
        case "damaged":
            file.write_bytes(b"no database" * 1000)
        case "emptied":
            file.write_bytes(b"")
        case "newer":
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA user_version = 99")
        case "unwritable":
            file.unlink()
            file.mkdir()

    close_unknown = state.unfinished()
    swept = sweep_provider(tenant.provider, name=cloud.provider, state=state, now=datetime.now(UTC))

    assert close_unknown == (mine.run,)
    assert [one.instance.name for one in swept.found] == [mine.name]
    assert [(one.instance.name, one.alive) for one in swept.kept] == [(other.name, False)]
    assert bool(swept.remark) == (damage not in {"lost", "emptied"})
    assert [one.name for one in tenant.provider.list_instances()] == [other.name]


def test_a_deadline_is_compared_with_the_clock_of_the_provider(
    cloud: Service, tenant: Tenant
) -> None:
    right = provider_time(tenant.provider)
    cloud.behaviour.clock_ahead = -3 * HOUR  # this computer's clock is 3 hours ahead

    wrong = provider_time(tenant.provider)

    assert not right.is_off
    assert wrong.is_off
    assert abs(datetime.now(UTC) - 3 * HOUR - wrong.now) < MINUTE
    assert "3 h ahead of the provider's" in wrong.sentence(cloud.provider)
    with pytest.raises(ConfigError, match="Nothing was rented"):
        check_clock(tenant.provider, cloud.provider)


def test_everything_that_a_second_attempt_is_known_by_can_be_read_back(tenant: Tenant) -> None:
    request = tenant.request(stage="extract-transform", attempt=2)

    tenant.rent(request)

    [listed] = tenant.provider.list_instances()
    assert (listed.name, listed.run, listed.stage, listed.expires_at) == (
        request.name,
        request.run,
        request.stage,
        request.expires_at,
    )
    tenant.provider.destroy_instance(listed)


def impatient(cloud: Service) -> Provider:
    """As `opened`, and soon tired of waiting for a delete."""
    short: dict[str, Any] = {"patience": timedelta(seconds=0.6), "settle": timedelta(seconds=0.2)}
    secrets, settings = cloud.secrets(), cloud.settings()
    match cloud:
        case Hetzner():
            return materia_hetzner.provider.Hetzner(
                secrets["HCLOUD_TOKEN"], materia_hetzner.settings.read_settings(settings), **short
            )
        case Ovh():
            return materia_ovh.provider.Ovh(
                materia_ovh.credentials.Credentials(
                    application_key=secrets["OVH_APPLICATION_KEY"],
                    application_secret=secrets["OVH_APPLICATION_SECRET"],
                    consumer_key=secrets["OVH_CONSUMER_KEY"],
                ),
                materia_ovh.settings.read_settings(settings),
                **short,
            )
        case Scaleway():
            return scaleway_open.opened(cloud)
        case Oracle():
            return oracle_open.opened(cloud)
    raise TypeError(cloud)


def test_what_will_not_die_is_an_error_that_says_how_to_delete_it(
    cloud: Service, tenant: Tenant, state: State
) -> None:
    now = datetime.now(UTC)
    instance = tenant.rent(tenant.request(expires_at=now - HOUR))
    cloud.behaviour.never_deletes = True

    with pytest.raises(OrphanError) as caught:
        sweep_provider(impatient(cloud), name=cloud.provider, state=state, now=now)

    assert caught.value.exit_code == 3
    assert instance.id in str(caught.value)
    assert "delete" in str(caught.value)
    assert bill_of(cloud) != set()
