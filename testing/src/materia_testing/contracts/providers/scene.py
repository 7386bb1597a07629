"""What every test of a provider's promises starts from and ends with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.errors import MateriaError
from materia.kit.fit import misfit
from materia.protocols import Provider
from materia_providers.cloud_init import KeyPair, cloud_config, generate_key, user_data

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.world import ABILITIES, FAULTS, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A provider, the world behind it, and requests to make of it.

    Attributes:
        open: Gives a provider as a new process would have it.
        world: The far end.
        offer: The best offer for the needs of the suite.
        host_key: What every machine requested here must show.
        login_key: What every machine requested here lets in.
    """

    open: Callable[[], Provider]
    world: World
    offer: Offer
    host_key: KeyPair
    login_key: KeyPair

    def request(self, stage: str = "extract") -> InstanceRequest:
        """A request that no other is equal to."""
        run = f"r{uuid.uuid4().hex[:10]}"
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = now + timedelta(hours=1)
        config = cloud_config(
            login_key=self.login_key.public, host_key=self.host_key, now=now, expires_at=expires_at
        )
        return InstanceRequest(
            name=f"materia-{run}-{stage}",
            run=run,
            stage=stage,
            offer=self.offer,
            expires_at=expires_at,
            user_data=user_data(config),
            public_key=self.login_key.public,
        )

    def billed(self, kind: str = "") -> list[str]:
        """What is still there, one sorted line for each thing; of one kind, or of all."""
        found = self.world.still_billed()
        return sorted(f"{item.kind} {item.id}" for item in found if kind in {"", item.kind})

    def sweep(self) -> None:
        """What the next process does: destroy whatever is listed."""
        provider = self.open()
        for instance in provider.list_instances():
            provider.destroy_instance(instance)

    def requests_of(self, action: Callable[[], object]) -> int:
        """How many requests *action* makes."""
        before = self.world.requests()
        action()
        return self.world.requests() - before

    def listed(self, name: str) -> Instance:
        """What a new process lists under *name*."""
        (found,) = [one for one in self.open().list_instances() if one.name == name]
        return found

    @contextmanager
    def killed_at(self, number: int, *, handled: bool) -> Iterator[None]:
        """As if the process died around its request with that *number*, the first being 1.

        The request reached the service when *handled*; nothing after it does. Whatever the
        provider raises ends here.
        """
        self.world.inject("drop_before", at=number + handled, lasting=True)
        if handled:
            self.world.inject("drop_after", at=number)
        try:
            yield
        except MateriaError:
            pass
        finally:
            self.world.heal()

    def need(self, name: str) -> None:
        """Skip the test when the world says why it lacks that fault or ability."""
        if reason := self.world.lacks.get(name):
            pytest.skip(f"{ABILITIES.get(name) or FAULTS[name]}: {reason}")


def fitting(offers: Sequence[Offer], needs: Requirements) -> list[Offer]:
    """The offers that fit, the lowest price of an hour first."""
    today = datetime.now(UTC).date()
    found = [one for one in offers if misfit(one, needs, today) is None]
    return sorted(found, key=lambda one: one.hourly.amount)


class ProviderScene(Contract):
    """Fixtures: a subclass gives `world` and `open_provider`, and may give other `needs`."""

    @pytest.fixture
    def world(self) -> World:
        """The far end; a fixture of the provider's own test class."""
        raise NotImplementedError("a ProviderContract needs a fixture `world`")

    @pytest.fixture
    def open_provider(self, world: World) -> Callable[[], Provider]:
        """What opens a provider on the world; a fixture of the provider's own test class."""
        raise NotImplementedError("a ProviderContract needs a fixture `open_provider`")

    @pytest.fixture
    def needs(self) -> Requirements:
        """What is asked for; a provider that has nothing of the kind gives its own."""
        return Requirements(
            vcpus=2,
            memory_gib=Decimal(4),
            disk_gib=20,
            architectures=("x86_64",),
            expected=timedelta(minutes=10),
        )

    @pytest.fixture
    def provider(self, open_provider: Callable[[], Provider]) -> Provider:
        """A provider on the world."""
        return open_provider()

    @pytest.fixture
    def scene(
        self,
        world: World,
        open_provider: Callable[[], Provider],
        provider: Provider,
        needs: Requirements,
    ) -> Iterator[Scene]:
        """The scene of a test; at its end nothing of ours is left and all that is foreign is."""
        foreign = list(world.foreign())
        offers = fitting(provider.offers(needs), needs)
        assert offers, "no offer of the provider fits the fixture `needs`"
        scene = Scene(
            open=open_provider,
            world=world,
            offer=offers[0],
            host_key=generate_key(),
            login_key=generate_key(),
        )
        yield scene
        world.heal()
        there = list(world.foreign())
        scene.sweep()
        assert scene.billed() == []
        assert list(world.foreign()) == there
        assert set(there) >= set(foreign)
