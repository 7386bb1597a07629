"""Promises of a provider on teardown: destroy removes all, is idempotent, and reports orphans."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from materia.compute import Requirements
from materia.errors import OrphanError
from materia.protocols import Provider

from materia_testing.contracts.providers.scene import ProviderScene, Scene
from materia_testing.contracts.world import World

ONCE = ("drop_before", "drop_after", "slow")
MOMENT = timedelta(seconds=1)
MINUTES = timedelta(minutes=5)
# How long a machine of the world may take to boot; real machines take minutes.
BOOT = timedelta(minutes=5)
IMPOSSIBLE = Requirements(vcpus=100_000, memory_gib=Decimal(10**7))


class DestroyPromises(ProviderScene):
    """Destroy removes the machine and its attachments, is idempotent, and reports orphans."""

    def test_nothing_is_left_when_destroy_returns(self, provider: Provider, scene: Scene) -> None:
        """It returns when the deletion is accepted, or forgets a key, a volume or an address."""
        made = provider.create_instance(scene.request())

        provider.destroy_instance(made)

        assert scene.billed() == []
        assert list(scene.open().list_instances()) == []

    def test_what_a_new_process_lists_it_can_destroy(
        self, provider: Provider, scene: Scene
    ) -> None:
        request = scene.request()
        provider.create_instance(request)

        scene.open().destroy_instance(scene.listed(request.name))

        assert scene.billed() == []

    def test_an_instance_that_is_gone_already_is_not_an_error(
        self, provider: Provider, scene: Scene
    ) -> None:
        made = provider.create_instance(scene.request())
        provider.destroy_instance(made)

        provider.destroy_instance(made)
        scene.open().destroy_instance(made)

        assert scene.billed() == []

    def test_a_name_can_be_used_again_after_it_was_destroyed(
        self, provider: Provider, scene: Scene
    ) -> None:
        request = scene.request()
        provider.destroy_instance(provider.create_instance(request))

        provider.create_instance(request)

        assert len(scene.billed("instance")) == 1

    def test_the_instances_of_other_runs_stay(self, provider: Provider, scene: Scene) -> None:
        one = provider.create_instance(scene.request())
        other = provider.create_instance(scene.request())

        provider.destroy_instance(one)

        assert [found.id for found in scene.open().list_instances()] == [other.id]
        assert scene.billed("instance") == [f"instance {other.id}"]

    def test_a_machine_that_is_late_to_be_listed_is_destroyed_by_what_create_returned(
        self, open_provider: Callable[[], Provider], scene: Scene
    ) -> None:
        scene.need("late_to_list")
        scene.world.inject("late_to_list")
        provider = open_provider()

        provider.destroy_instance(provider.create_instance(scene.request()))

        assert scene.billed() == []

    def test_giving_up_is_an_error_that_says_what_remains(
        self, provider: Provider, scene: Scene, world: World
    ) -> None:
        scene.need("never_deletes")
        made = provider.create_instance(scene.request())
        world.inject("never_deletes")

        with pytest.raises(OrphanError) as caught:
            provider.destroy_instance(made)

        assert made.id in str(caught.value) or made.name in str(caught.value)
