"""Failure tests of a provider: faults of the service at every request."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from materia.compute import Requirements
from materia.errors import MateriaError, OrphanError
from materia.protocols import Provider
from materia_providers.list_entries import left_out_of

from materia_testing.contracts.odd_answers import ODD
from materia_testing.contracts.providers.scene import ProviderScene, Scene
from materia_testing.contracts.world import ABILITIES, FAULTS, World

ONCE = ("drop_before", "drop_after", "slow")


def _spoiled(world: World, count: int) -> Iterator[tuple[str, int]]:
    """Pairs of a fault and a request number, for *count* requests.

    Every request meets a dropped connection and a late answer; the documented errors and the
    malformed answers take turns, since a provider handles them in one place. Each occurs at least
    once.
    """
    faults = [fault for fault in ONCE if fault not in world.lacks]
    if not faults and not world.errors:
        pytest.skip("this world has no fault injection")
    for number in range(1, count + 1):
        for fault in faults:
            yield fault, number
    errors = [*world.errors, *(odd for odd in ODD if odd not in world.lacks)]
    for turn in range(max(count, len(errors)) if errors and count else 0):
        yield errors[turn % len(errors)], turn % count + 1


def destroy_under_fault(provider: Provider, scene: Scene, fault: str, number: int) -> None:
    """Check that a fault at a request of destroy leaves nothing, or an OrphanError says so."""
    where = f"{fault} at request {number} of destroy"
    made = provider.create_instance(scene.request())
    scene.world.inject(fault, at=number)
    failure = None
    try:
        scene.open().destroy_instance(made)
    except MateriaError as error:
        failure = error
    finally:
        scene.world.heal()
    if scene.billed():
        assert isinstance(failure, OrphanError), where
        provider.destroy_instance(made)
    assert scene.billed() == [], where


class Failures(ProviderScene):
    """Only a MateriaError escapes from a provider, and nothing billable stays unnoticed."""

    def test_a_world_says_why_it_lacks_what_it_cannot_do(self, world: World) -> None:
        assert set(world.lacks) <= {*FAULTS, *ABILITIES}
        assert all(reason.strip() for reason in world.lacks.values())
        assert world.errors or set(world.lacks) >= set(FAULTS)

    def test_offers_that_cannot_be_read_are_an_error_and_never_an_empty_answer(
        self, provider: Provider, open_provider: Callable[[], Provider], scene: Scene
    ) -> None:
        needs = Requirements(vcpus=1)
        count = scene.requests_of(lambda: provider.offers(needs))
        for fault, number in _spoiled(scene.world, count):
            scene.world.inject(fault, at=number)
            try:
                answer = open_provider().offers(needs)
            except MateriaError:
                continue
            finally:
                scene.world.heal()
            assert answer, f"{fault} at request {number}"

    def test_a_list_that_cannot_be_read_is_an_error_and_never_a_shorter_list(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It returns an empty list for an odd answer."""
        request = scene.request()
        provider.create_instance(request)
        whole = scene.listed(request.name)
        count = scene.requests_of(lambda: scene.open().list_instances())
        for fault, number in _spoiled(scene.world, count):
            scene.world.inject(fault, at=number)
            try:
                listed = scene.open().list_instances()
            except MateriaError:
                continue
            finally:
                scene.world.heal()
            # The provider names a part that it could not list: its absence then means nothing.
            said = left_out_of(listed) and not list(listed)
            # Its address may appear between the two lists; attached resources exist from the start.
            found = [(one.id, one.name, one.attached) for one in listed]
            assert said or found == [(whole.id, whole.name, whole.attached)], f"{fault}, {number}"

    def test_an_odd_entry_of_a_stranger_in_a_list_changes_nothing(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It reads entries of others as if they were its own."""
        scene.need("odd_stranger")
        request = scene.request()
        made = provider.create_instance(request)
        whole = scene.listed(request.name)

        scene.world.inject("odd_stranger", at=1, lasting=True)
        listed = scene.open().list_instances()
        scene.open().destroy_instance(made)

        assert [one.id for one in listed] == [whole.id]
        assert scene.billed() == []

    def test_each_documented_error_becomes_the_error_it_means(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It does not tell a full quota or a sold-out type from other refusals."""
        if not scene.world.errors:
            pytest.skip("this world has no fault injection")
        for fault, expected in scene.world.errors.items():
            scene.world.inject(fault)

            with pytest.raises(expected):
                provider.create_instance(scene.request())

            scene.world.heal()
            scene.sweep()
            assert scene.billed() == [], fault

    def test_a_create_that_fails_leaves_nothing(self, provider: Provider, scene: Scene) -> None:
        """It does not remove what an unanswered create may have made."""
        count = self._requests_of_create(provider, scene)
        for fault, number in _spoiled(scene.world, count):
            where = f"{fault} at request {number} of create"
            scene.world.inject(fault, at=number)
            made = None
            try:
                made = scene.open().create_instance(scene.request())
            except OrphanError:
                scene.world.heal()
                scene.sweep()
            except MateriaError:
                pass
            finally:
                scene.world.heal()
            if made is not None:
                assert len(scene.billed("instance")) == 1, where
                provider.destroy_instance(made)
            assert scene.billed() == [], where

    def test_a_create_whose_answer_is_lost_never_makes_two(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It repeats a create without a mark, where names are not unique."""
        scene.need("drop_after")
        count = self._requests_of_create(provider, scene)
        for number in range(1, count + 1):
            request = scene.request()
            if "late_to_list" not in scene.world.lacks:
                scene.world.inject("late_to_list")
            scene.world.inject("drop_after", at=number)
            for _ in range(2):
                try:
                    provider.create_instance(request)
                except MateriaError:
                    continue
            assert len(scene.billed("instance")) <= 1, f"request {number} of create"
            scene.world.heal()
            for _ in range(20):  # a later sweep finds what is listed late
                scene.sweep()
                if not scene.billed():
                    break
                time.sleep(0.1)
            assert scene.billed() == [], f"request {number} of create"

    @pytest.mark.parametrize("handled", [False, True], ids=["before", "after"])
    def test_a_process_killed_in_create_leaves_nothing_that_a_sweep_does_not_find(
        self, provider: Provider, scene: Scene, *, handled: bool
    ) -> None:
        scene.need("drop_before")
        if handled:
            scene.need("drop_after")
        count = self._requests_of_create(provider, scene)
        for number in range(1, count + 1):
            with scene.killed_at(number, handled=handled):
                scene.open().create_instance(scene.request())

            scene.sweep()

            assert scene.billed() == [], f"killed at request {number} of create"

    def test_a_destroy_that_fails_says_so_and_can_be_repeated(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It returns after an error, or raises another error than OrphanError."""
        count = self._requests_of_destroy(provider, scene)
        for fault, number in _spoiled(scene.world, count):
            destroy_under_fault(provider, scene, fault, number)

    @pytest.mark.parametrize("handled", [False, True], ids=["before", "after"])
    def test_a_process_killed_in_destroy_leaves_nothing_that_a_sweep_does_not_find(
        self, provider: Provider, scene: Scene, *, handled: bool
    ) -> None:
        scene.need("drop_before")
        if handled:
            scene.need("drop_after")
        count = self._requests_of_destroy(provider, scene)
        for number in range(1, count + 1):
            made = provider.create_instance(scene.request())
            with scene.killed_at(number, handled=handled):
                scene.open().destroy_instance(made)

            scene.sweep()

            assert scene.billed() == [], f"killed at request {number} of destroy"

    @staticmethod
    def _requests_of_create(provider: Provider, scene: Scene) -> int:
        request = scene.request()
        count = scene.requests_of(lambda: provider.create_instance(request))
        scene.sweep()
        return count

    @staticmethod
    def _requests_of_destroy(provider: Provider, scene: Scene) -> int:
        made = provider.create_instance(scene.request())
        return scene.requests_of(lambda: scene.open().destroy_instance(made))

    def test_a_type_that_is_sold_out_is_not_offered_as_available(
        self, scene: Scene, needs: Requirements
    ) -> None:
        """It calls every type available, or keeps an old answer of what is in stock."""
        scene.need("sell_out")
        kind = scene.offer.instance_type
        scene.world.sell_out(kind)
        try:
            offers = scene.open().offers(needs)
        except MateriaError:  # nothing is left, and it says so
            return

        assert "available" not in {one.availability for one in offers if one.instance_type == kind}
