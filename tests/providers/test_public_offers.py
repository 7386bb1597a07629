"""Providers whose prices anyone may read keep the promises of offers without credentials, too."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from materia.compute import Offer, Requirements
from materia.hookspecs import Opening, Plugin
from materia.protocols import Provider
from materia_oracle.emulator.service import Oracle
from materia_ovh.emulator.service import Ovh
from materia_runner.bundled import load_registry
from materia_scaleway.emulator.service import Scaleway
from materia_testing.contracts.provider import PublicOffersContract
from materia_testing.contracts.providers.public import PublicOffers
from materia_testing.emulation.service import Service

CLOUDS: dict[str, type[Service]] = {"oracle": Oracle, "ovh": Ovh, "scaleway": Scaleway}


def declared(name: str) -> Plugin[Provider]:
    (plugin,) = importlib.import_module(f"materia_{name}").materia_providers()
    assert isinstance(plugin, Plugin)
    return plugin


def opening_of(cloud: Service, **secrets: str) -> Opening:
    plugin = declared(cloud.provider)
    settings = {setting.name: setting.default for setting in plugin.settings}
    return Opening(secrets=secrets, settings={**settings, **cloud.settings()}, directory=Path())


class PublicOffersOfACloud(PublicOffersContract):
    name: str

    @pytest.fixture
    def cloud(self) -> Iterator[Service]:
        with CLOUDS[self.name]() as cloud:
            yield cloud

    @pytest.fixture
    def public_offers(self, cloud: Service) -> PublicOffers:
        ask = declared(self.name).public_offers
        assert ask is not None
        return lambda requirements: ask(opening_of(cloud), requirements)

    def test_they_cost_what_they_cost_with_credentials(
        self, cloud: Service, public_offers: PublicOffers, needs: Requirements
    ) -> None:
        provider = declared(self.name).open(opening_of(cloud, **cloud.secrets()))
        known = costs_by_type(provider.offers(needs))
        public = costs_by_type(public_offers(needs))

        both = known.keys() & public.keys()
        assert both
        # Some regions are dearer; without an account the usual ones are known.
        assert all(known[name] & public[name] for name in both)

    def test_what_can_be_had_now_is_not_claimed_to_be_known(
        self, public_offers: PublicOffers, needs: Requirements
    ) -> None:
        assert {offer.availability for offer in public_offers(needs)} <= {"unknown", "unavailable"}


class TestOracle(PublicOffersOfACloud):
    name = "oracle"


class TestOvh(PublicOffersOfACloud):
    name = "ovh"


class TestScaleway(PublicOffersOfACloud):
    name = "scaleway"


def costs_by_type(offers: Sequence[Offer]) -> dict[str, set[tuple[object, ...]]]:
    costs: dict[str, set[tuple[object, ...]]] = {}
    for offer in offers:
        extras = tuple(extra.hourly for extra in offer.extras)
        cost = (offer.hourly, offer.monthly_cap, offer.billing, extras)
        costs.setdefault(offer.instance_type, set()).add(cost)
    return costs


def test_every_bundled_provider_with_public_prices_is_tested_here() -> None:
    public = {
        found.plugin.name
        for found in load_registry(bundled_only=True).of_kind("provider")
        if found.plugin.public_offers is not None
    }

    assert public == set(CLOUDS)
