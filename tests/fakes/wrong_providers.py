"""Providers that are right but for one thing: what the contract of a provider must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from fakes.nameless import Entry, Nameless
from materia import Instance, InstanceRequest, Money, Offer, Provider, Requirements
from materia.errors import MateriaError
from materia_providers.api.machines import Machine, Mark
from materia_providers.cloud_init import generate_key
from materia_providers.labels import EXPIRES, STAGE, Owner, from_tags, read_owner
from materia_testing.emulation.contract_world import CloudWorld

if TYPE_CHECKING:
    from materia_testing.contracts.providers.scene import Scene

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(4), disk_gib=20, currency="USD")


def scene(world: CloudWorld, open_provider: Callable[[], Provider]) -> Scene:
    """What a test of the contract acts in."""
    # pytest rewrites the asserts of this module when the contract itself imports it.
    from materia_testing.contracts.providers.scene import Scene, fitting

    offers = fitting(open_provider().offers(NEEDS), NEEDS)
    return Scene(
        open=open_provider,
        world=world,
        offer=offers[0],
        host_key=generate_key(),
        login_key=generate_key(),
    )


class ForgetsALabel(Nameless):
    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> Entry:
        return super().make(request, {key: one for key, one in labels.items() if key != STAGE})


class ForgetsTheExpiry(Nameless):
    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> Entry:
        later = int(labels[EXPIRES]) + 3600
        return super().make(request, {**labels, EXPIRES: str(later)})


class CreatedWhenItIsAsked(Nameless):
    def machine(self, entry: Entry) -> Machine:
        return replace(super().machine(entry), created_at=datetime.now(UTC))


class LeaksOnFailure(Nameless):
    def create_instance(self, request: InstanceRequest, /) -> Instance:
        return self._made(request)


class LeavesItsKey(Nameless):
    def delete_mark(self, mark: Mark) -> None:
        """Leave it."""


class MakesNoMark(Nameless):
    def add_mark(self, request: InstanceRequest, owner: Owner) -> None:
        """Rely on the list."""

    def marks(self) -> Iterable[Mark]:
        return ()


class PricesByTheMonth(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        offer = super().offer(entry, now)
        return replace(offer, hourly=Money(offer.hourly.amount * 730, "USD"))


class PricesHalf(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        offer = super().offer(entry, now)
        return replace(offer, hourly=Money(offer.hourly.amount / 2, "USD"))


class ForgetsTheLeastCharge(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        return replace(super().offer(entry, now), minimum=None)


class RoundsToHours(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        offer = super().offer(entry, now)
        return replace(offer, billing=replace(offer.billing, increment=timedelta(hours=1)))


class PricesOfLastYear(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        return super().offer(entry, now - timedelta(days=365))


class OffersOnceMore(Nameless):
    def types(self, requirements: Requirements) -> Iterable[tuple[str, Entry]]:
        return [*super().types(requirements), *super().types(requirements)]


class OffersWhatIsSoldOut(Nameless):
    def offer(self, entry: Entry, now: datetime) -> Offer:
        return replace(super().offer(entry, now), availability="available")


class ListsEverything(Nameless):
    """The labels are enough for it, whatever a machine is called."""

    def owner(self, entry: Entry) -> Owner | None:
        return read_owner(from_tags(entry.get("tags")))


class ListsNothingOnError(Nameless):
    def list_instances(self) -> Sequence[Instance]:
        try:
            return super().list_instances()
        except MateriaError:
            return []


class DestroysAndForgets(Nameless):
    """It takes an accepted request for a machine that is gone."""

    def destroy_instance(self, instance: Instance, /) -> None:
        self.delete(instance.id)


class DropsTheUserData(Nameless):
    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> Entry:
        return super().make(replace(request, user_data=""), labels)


WRONG: dict[str, type[Nameless]] = {
    one.__name__: one
    for one in list(vars().values())
    if isinstance(one, type) and issubclass(one, Nameless) and one is not Nameless
}
