"""A provider with one good offer, which creates no machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fakes.rows import OFFER
from materia import Opening, Plugin, Provider, hookimpl
from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.errors import ProviderError


class Stubborn:
    """Offers a machine, and refuses to create it."""

    def __init__(self, _opening: Opening) -> None: ...

    def offers(self, _requirements: Requirements, /) -> Sequence[Offer]:
        large = replace(OFFER, vcpus=8, memory_gib=Decimal(32), disk_gib=200)
        return [replace(large, provider="stubborn", price_as_of=datetime.now(UTC))]

    def create_instance(self, _request: InstanceRequest, /) -> Instance:
        raise ProviderError("stubborn: no machine can be created")

    def list_instances(self) -> Sequence[Instance]:
        return []

    def destroy_instance(self, _instance: Instance, /) -> None: ...

    def wait_for_ssh(self, _instance: Instance, /, *, timeout: timedelta) -> Instance:
        raise AssertionError(f"there is no machine to wait {timeout} for")


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [Plugin(name="stubborn", summary="creates nothing", open=Stubborn)]
