"""One bad answer of every kind, at every request of the bundled providers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import hetzner_open, oracle_open, ovh_open, scaleway_open
from fakes.renting import request_for
from materia.compute import InstanceRequest, Requirements
from materia.errors import MateriaError
from materia.protocols import Provider
from materia_testing.contracts.odd_answers import FIELD, fields_of
from materia_testing.contracts.provider_campaign import FailureCampaign
from materia_testing.emulation import Clock, Fault
from materia_testing.emulation.contract_world import CloudWorld
from materia_testing.emulation.service import Service
from materia_testing.emulation.services import find_services, service_class

NAMES = sorted(find_services())
OPEN: dict[str, Callable[[Any], Provider]] = {
    "hetzner": hetzner_open.opened,
    "oracle": oracle_open.opened,
    "ovh": ovh_open.opened,
    "scaleway": scaleway_open.opened,
}
# One of each kind of field that a create's answers have, for the run that is not slow.
SHORT = {"id", "name", "displayName", "created", "timeCreated", "creation_date"}


@pytest.mark.campaign
class TestCampaign(FailureCampaign):
    @pytest.fixture(params=NAMES)
    def world(self, request: pytest.FixtureRequest) -> Iterator[CloudWorld]:
        with service_class(request.param)(clock=Clock(speed=1000)) as cloud:
            yield CloudWorld(cloud, slow_seconds=1.3, late_seconds=0.1)

    @pytest.fixture
    def open_provider(self, world: CloudWorld) -> Callable[[], Provider]:
        return lambda: OPEN[world.service.provider](world.service)


@pytest.fixture(params=NAMES)
def cloud(request: pytest.FixtureRequest) -> Iterator[Service]:
    with service_class(request.param)(clock=Clock(speed=1000)) as cloud:
        yield cloud


def requests_for(provider: Provider) -> Iterator[InstanceRequest]:
    """Requests of different names for the first offer that is there."""
    offers = provider.offers(Requirements(architectures=("x86_64",)))
    offer = next(one for one in offers if one.availability == "available")
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    for number in range(100_000):
        stage = f"s{number}"
        yield request_for(offer, stage, name=f"materia-r1-{stage}", expires_at=expires_at)


def spoil_each_field(cloud: Service, *, only: set[str] | None = None) -> int:
    """Make machines while one field of one answer is odd; how often. Nothing is left each time."""
    provider = OPEN[cloud.provider](cloud)
    requests = requests_for(provider)
    request = next(requests)
    before = len(cloud.exchanges)
    made = OPEN[cloud.provider](cloud).create_instance(request)
    answers = [(one.method, one.answered) for one in cloud.exchanges[before:]]
    provider.destroy_instance(made)
    tried = 0
    for number, (method, body) in enumerate(answers, start=1):
        if method == "GET":
            continue
        for field in sorted(fields_of(body)):
            for how in FIELD if only is None or field in only else ():
                tried += 1
                _spoil(cloud, provider, next(requests), number, f"{how}:{field}")
    return tried


def _spoil(
    cloud: Service, provider: Provider, request: InstanceRequest, number: int, kind: str
) -> None:
    cloud.faults.at(number, Fault(odd=kind))
    made = None
    try:
        made = OPEN[cloud.provider](cloud).create_instance(request)
    except MateriaError:
        pass
    finally:
        cloud.faults.clear()
    if made is not None:
        provider.destroy_instance(made)
    left = [f"{line.kind} {line.id}" for line in cloud.still_billed()]
    assert left == [], f"{kind} at request {number} of create"


def test_an_answer_to_a_create_without_its_name_or_identity_leaves_nothing(cloud: Service) -> None:
    assert spoil_each_field(cloud, only=SHORT) >= 2 * len(FIELD)


@pytest.mark.campaign
def test_an_answer_to_a_create_with_any_odd_field_leaves_nothing(cloud: Service) -> None:
    assert spoil_each_field(cloud) > 50
