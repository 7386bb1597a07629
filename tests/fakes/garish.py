"""A provider whose API writes to the terminal: its names and errors have control characters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import Billing, Extra, Instance, InstanceRequest, Money, Offer, Requirements
from materia.errors import CapacityError, OrphanError, ProviderError

ESC = "\x1b]0;PWNED\x07\x1b[2J\x9b2J\u202e\u200b\x7fred\nmateria: all is well"
EURO = Money(Decimal("0.01"), "EUR")


class Garish:
    """Offers one machine, and has one that is not ours to know."""

    def __init__(self, opening: Opening) -> None:
        self._how = str(opening.settings["how"])

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        if self._how == "fails":
            raise ProviderError(f"garish: {ESC}")
        return [
            Offer(
                provider="garish",
                region=f"here{ESC}",
                zone=f"zone{ESC}",
                instance_type=f"large{ESC}",
                vcpus=64,
                cpu="dedicated",
                architecture="x86_64",
                memory_gib=Decimal(256),
                disk_gib=900,
                hourly=EURO,
                billing=Billing(
                    increment=timedelta(hours=1), minimum=timedelta(hours=1), source=ESC
                ),
                availability="available",
                price_as_of=datetime.now(UTC),
                price_source=ESC,
                extras=(Extra(name=f"address{ESC}", hourly=EURO, source=ESC),),
            )
        ]

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        raise CapacityError(f"garish: {ESC}")

    def list_instances(self) -> Sequence[Instance]:
        return [
            Instance(
                provider="garish",
                id=f"i{ESC}",
                name=f"materia-x{ESC}",
                run=f"r{ESC}",
                stage=f"s{ESC}",
                region=f"here{ESC}",
                instance_type=f"large{ESC}",
                expires_at=datetime.now(UTC) - timedelta(hours=1),
                host="127.0.0.1",
            )
        ]

    def destroy_instance(self, instance: Instance, /) -> None:
        raise OrphanError(f"garish: {ESC} is left")

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        raise AssertionError("there is never a machine")


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    how = Setting(name="how", kind="text", default="offers", help="What it does.")
    return [Plugin(name="garish", summary="in all colours", open=Garish, settings=(how,))]
