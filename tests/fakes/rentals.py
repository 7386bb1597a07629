"""A plugin with providers that rent nothing real: each does one thing a comparison must stand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from materia import Opening, Plugin, Provider, Setting, hookimpl
from materia.compute import (
    Attached,
    Billing,
    Extra,
    Instance,
    InstanceRequest,
    Money,
    Offer,
    Requirements,
)
from materia.errors import CapacityError, CredentialsError, ProviderError

HOUR = timedelta(hours=1)
BY_THE_HOUR = Billing(increment=HOUR, minimum=HOUR, source="https://hour.example/rule")
BY_THE_SECOND = Billing(
    increment=timedelta(seconds=1),
    minimum=timedelta(minutes=1),
    source="https://second.example/rule",
)
GOOD_TOKEN = "a-token-that-is-good"  # noqa: S105 -- it opens nothing


@dataclass
class Rental:
    """Offers the types it was made with; has what it was made with running."""

    name: str
    settings: Mapping[str, object]
    prices: Mapping[str, str]
    billing: Billing
    currency: str = "EUR"
    running: Sequence[Instance] = ()

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        self._delay()
        if failure := str(self.settings["failure"]):
            raise ProviderError(f"{self.name}: {failure}")
        address = Extra(
            name="IPv4 address",
            hourly=Money(Decimal("0.001"), self.currency),
            source=f"https://{self.name}.example/addresses",
        )
        return [
            Offer(
                provider=self.name,
                region="north",
                instance_type=kind,
                vcpus=2,
                cpu="dedicated",
                architecture="x86_64",
                memory_gib=Decimal(8 if kind.endswith("8") else 2),
                disk_gib=40,
                hourly=Money(Decimal(price), self.currency),
                billing=self.billing,
                availability="available",
                price_as_of=datetime(2026, 11, 20, 8, 30, tzinfo=UTC),
                price_source=f"https://{self.name}.example/prices",
                extras=(address,),
            )
            for kind, price in self.prices.items()
        ]

    def list_instances(self) -> Sequence[Instance]:
        self._delay()
        return self.running

    def _delay(self) -> None:
        # In a pool, as providers ask their regions: Python waits for its threads at the end.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            pool.submit(time.sleep, float(str(self.settings["delay"]))).result()

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        raise CapacityError(f"{self.name}: it rents nothing real")

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        raise ProviderError(f"{self.name}: it rents nothing real")

    def destroy_instance(self, instance: Instance, /) -> None:
        """Nothing is there."""


LEFT = Instance(
    provider="hours",
    id="i-1",
    name="materia-r1-extract",
    run="r1",
    stage="extract",
    region="north",
    expires_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    instance_type="h8",
    attached=(Attached(kind="volume", id="v-1", region="north"),),
)


def open_hours(opening: Opening) -> Provider:
    token = opening.secrets["HOURS_TOKEN"]
    if token != GOOD_TOKEN:
        raise CredentialsError(f"hours: it does not take the token {token}")
    return Rental(
        "hours", opening.settings, {"h8": "0.06", "h2": "0.01"}, BY_THE_HOUR, running=[LEFT]
    )


def open_seconds(opening: Opening) -> Provider:
    token = opening.secrets["SECONDS_TOKEN"]
    if token != GOOD_TOKEN:
        raise CredentialsError(f"seconds: it does not take the token {token}")
    return Rental("seconds", opening.settings, {"s8": "0.12"}, BY_THE_SECOND)


def public_seconds(opening: Opening, requirements: Requirements) -> Sequence[Offer]:
    return Rental("seconds", opening.settings, {"s8": "0.12"}, BY_THE_SECOND).offers(requirements)


def open_dollars(opening: Opening) -> Provider:
    return Rental("dollars", opening.settings, {"d8": "0.05"}, BY_THE_HOUR, currency="USD")


def open_broken(opening: Opening) -> Provider:
    raise KeyError(f"a fault of the plugin, in {opening.directory.name or 'here'}")


SETTINGS = (
    Setting(name="delay", kind="text", default="0", help="Seconds before it answers."),
    Setting(name="failure", kind="text", default="", help="Why it does not."),
)


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [
        Plugin(
            name="hours",
            summary="rents by the hour",
            open=open_hours,
            secrets=("HOURS_TOKEN",),
            settings=SETTINGS,
        ),
        Plugin(
            name="seconds",
            summary="rents by the second, prices are public",
            open=open_seconds,
            secrets=("SECONDS_TOKEN",),
            settings=SETTINGS,
            public_offers=public_seconds,
        ),
        Plugin(name="dollars", summary="rents in USD", open=open_dollars, settings=SETTINGS),
        Plugin(name="broken", summary="has a fault", open=open_broken, settings=SETTINGS),
    ]
