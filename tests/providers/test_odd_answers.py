"""One odd field in what a provider answers costs one entry: no crash, and no false price."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from fakes import hetzner_open, odd, oracle_open, ovh_open, scaleway_open
from fakes.odd import Oddity
from materia.compute import Offer, Requirements
from materia.errors import MateriaError
from materia.protocols import Provider
from materia_providers.list_entries import Entries
from materia_runner.pricing.cost import cost
from materia_runner.pricing.offer_check import checked
from materia_testing.emulation.service import Service
from materia_testing.emulation.services import find_services, service_class

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(4), disk_gib=20)
USE = timedelta(hours=10)
TRIES = 25
OPEN: dict[str, Callable[..., Provider]] = {
    "hetzner": hetzner_open.opened,
    "oracle": oracle_open.opened,
    "ovh": ovh_open.opened,
    "scaleway": scaleway_open.opened,
}
# How many lists an oddity at one place befalls at once: Oracle's of its three domains.
LISTS = {"hetzner": 1, "oracle": 3, "ovh": 1, "scaleway": 1}
Key = tuple[str, str, str]


@pytest.fixture(params=sorted(find_services()))
def cloud(request: pytest.FixtureRequest) -> Iterator[Service]:
    with service_class(request.param)() as cloud:
        yield cloud


def offered(cloud: Service) -> Entries[Offer]:
    """What a command would compare."""
    given: Sequence[Offer] = OPEN[cloud.provider](cloud).offers(NEEDS)
    found = checked(given, provider=cloud.provider)
    return Entries(found, (*getattr(given, "left_out", ()), *found.left_out))


def priced(offers: Sequence[Offer]) -> dict[Key, Decimal]:
    return {(one.zone, one.region, one.instance_type): cost(one, USE).cost.amount for one in offers}


def test_one_odd_field_costs_one_entry(cloud: Service) -> None:
    bodies = odd.answers(cloud)
    sound = priced(offered(cloud))
    types = {kind for *_, kind in sound}
    every = list(odd.oddities(bodies))

    for oddity in random.Random(4711).sample(every, TRIES):  # noqa: S311 -- the same each time
        check(cloud, oddity, sound, types)


def check(cloud: Service, oddity: Oddity, sound: dict[Key, Decimal], types: set[str]) -> None:
    oddity.befall(cloud)
    error: MateriaError | None = None
    found: Entries[Offer] = Entries()
    try:
        found = offered(cloud)
    except MateriaError as raised:
        error = raised
    assert error is None or not oddity.in_an_entry, (oddity, error)
    after = priced(found)
    for key in after.keys() & sound.keys():
        # A part of it may have lost its price, as the address of Hetzner's cheapest: an eighth.
        assert after[key] >= sound[key] * Decimal("0.8"), (oddity, key)
    assert all(one.isprintable() for one in found.left_out), oddity
    if error is None and oddity.in_an_entry:
        lost = types - {kind for *_, kind in after}
        assert len(lost) <= LISTS[cloud.provider], (oddity, lost, found.left_out)
