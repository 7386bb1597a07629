"""Fixtures of the provider contract: the scene before and the checks after each test."""

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
    """A provider, the world behind it, and requests for the provider.

    Attributes:
        open: Opens a provider as a new process would.
        world: The service behind the provider.
        offer: The best offer for the needs of the suite.
        host_key: The host key that every machine requested here must show.
        login_key: The login key that every machine requested here must accept.
    """

    open: Callable[[], Provider]
    world: World
    offer: Offer
    host_key: KeyPair
    login_key: KeyPair

    def request(self, stage: str = "extract") -> InstanceRequest:
        """A unique request."""
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
        """The remaining resources of one kind or of all, one sorted line each."""
        found = self.world.still_billed()
        return sorted(f"{item.kind} {item.id}" for item in found if kind in {"", item.kind})

    def sweep(self) -> None:
        """Destroy everything that is listed, as the next process does."""
        provider = self.open()
        for instance in provider.list_instances():
            provider.destroy_instance(instance)

    def requests_of(self, action: Callable[[], object]) -> int:
        """The number of requests of *action*."""
        before = self.world.requests()
        action()
        return self.world.requests() - before

    def listed(self, name: str) -> Instance:
        """The instances that a new process lists under *name*."""
        (found,) = [one for one in self.open().list_instances() if one.name == name]
        return found

    @contextmanager
    def killed_at(self, number: int, *, handled: bool) -> Iterator[None]:
        """Simulate a crash of the process at the request with that *number*, counted from 1.

        With *handled* the request reaches the service; no later request does. This catches every
        error of the provider.
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
        """Skip the test when the world lacks that fault or ability, with the world's reason."""
        if reason := self.world.lacks.get(name):
            pytest.skip(f"{ABILITIES.get(name) or FAULTS[name]}: {reason}")


def fitting(offers: Sequence[Offer], needs: Requirements) -> list[Offer]:
    """The suitable offers, the lowest hourly price first."""
    today = datetime.now(UTC).date()
    found = [one for one in offers if misfit(one, needs, today) is None]
    return sorted(found, key=lambda one: one.hourly.amount)


class ProviderScene(Contract):
    """Fixtures: a subclass gives `world` and `open_provider`, and may give other `needs`."""

    section = "a-provider"

    @pytest.fixture
    def world(self) -> World:
        """The service behind the provider; a fixture of the provider's own test class."""
        raise NotImplementedError("a ProviderContract needs a fixture `world`")

    @pytest.fixture
    def open_provider(self, world: World) -> Callable[[], Provider]:
        """A function that opens a provider; a fixture of the provider's own test class."""
        raise NotImplementedError("a ProviderContract needs a fixture `open_provider`")

    @pytest.fixture
    def needs(self) -> Requirements:
        """The requirements; override them for a provider without a suitable offer."""
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
        """The scene of a test; checks at its end: nothing of materia left, nothing foreign lost."""
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
