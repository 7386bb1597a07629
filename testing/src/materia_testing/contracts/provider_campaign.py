"""Fault injection campaign: every fault at every request of a provider.

    class TestAcmeCampaign(FailureCampaign):
        ...                                         # the fixtures of its ProviderContract

This is the long form of the contract's failure tests. It takes minutes, so mark the class `slow`.
"""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from collections.abc import Iterator

import pytest
from materia.compute import Requirements
from materia.errors import MateriaError, OrphanError
from materia.protocols import Provider

from materia_testing.contracts.odd_answers import ODD
from materia_testing.contracts.providers.failures import destroy_under_fault
from materia_testing.contracts.providers.scene import ProviderScene, Scene
from materia_testing.contracts.world import World

ONCE = ("drop_before", "drop_after", "slow")


def _every(world: World, count: int) -> Iterator[tuple[str, int]]:
    """Every fault with the number of every request, of *count* requests."""
    faults = [*world.errors, *(one for one in (*ONCE, *ODD) if one not in world.lacks)]
    if not faults:
        pytest.skip("this world has no fault injection")
    for number in range(1, count + 1):
        for fault in faults:
            yield fault, number


class FailureCampaign(ProviderScene):
    """One fault at each request: only a MateriaError escapes, nothing billable stays unnoticed."""

    def test_no_fault_in_offers_gets_out_untranslated_or_empties_the_answer(
        self, provider: Provider, scene: Scene
    ) -> None:
        needs = Requirements(vcpus=1)
        count = scene.requests_of(lambda: provider.offers(needs))
        for fault, number in _every(scene.world, count):
            scene.world.inject(fault, at=number)
            try:
                assert scene.open().offers(needs), f"{fault} at request {number}"
            except MateriaError:
                continue
            finally:
                scene.world.heal()

    def test_no_fault_in_list_shortens_it(self, provider: Provider, scene: Scene) -> None:
        made = provider.create_instance(scene.request())
        count = scene.requests_of(lambda: scene.open().list_instances())
        for fault, number in _every(scene.world, count):
            scene.world.inject(fault, at=number)
            try:
                listed = [one.id for one in scene.open().list_instances()]
            except MateriaError:
                continue
            finally:
                scene.world.heal()
            assert listed == [made.id], f"{fault} at request {number}"

    def test_no_fault_in_create_leaves_anything(self, provider: Provider, scene: Scene) -> None:
        request = scene.request()
        count = scene.requests_of(lambda: provider.create_instance(request))
        scene.sweep()
        for fault, number in _every(scene.world, count):
            where = f"{fault} at request {number} of create"
            scene.world.inject(fault, at=number)
            made = None
            try:
                made = scene.open().create_instance(scene.request())
            except OrphanError as error:
                pytest.fail(f"{where}: {error}")
            except MateriaError:
                pass
            finally:
                scene.world.heal()
            if made is not None:
                assert len(scene.billed("instance")) == 1, where
                provider.destroy_instance(made)
            assert scene.billed() == [], where

    def test_no_fault_in_destroy_goes_unsaid(self, provider: Provider, scene: Scene) -> None:
        first = provider.create_instance(scene.request())
        count = scene.requests_of(lambda: scene.open().destroy_instance(first))
        for fault, number in _every(scene.world, count):
            destroy_under_fault(provider, scene, fault, number)
