"""Requirements, offers, prices, instances: the values that providers and the runner exchange."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from materia._dataclass import dataclass

__all__ = [
    "ANY_REGION",
    "Architecture",
    "Attached",
    "Availability",
    "Billing",
    "Cpu",
    "Extra",
    "Instance",
    "InstanceRequest",
    "Money",
    "Offer",
    "Requirements",
]

Architecture = Literal["x86_64", "arm64"]
Availability = Literal["available", "scarce", "unavailable", "no_quota", "unknown"]
Cpu = Literal["dedicated", "shared", "burstable", "unknown"]
ANY_REGION = "any region"  # in an offer from a price list that is the same in every region


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a stage needs; an offer fits when it has at least this.

    Attributes:
        vcpus: Hardware threads.
        memory_gib: Main memory in GiB.
        disk_gib: Local or network disk in GiB, the operating system included.
        architectures: Processor architectures that the artifact was built for.
        dedicated: Whether to refuse shared and burstable processors.
        regions: Names of the provider's regions; empty means any.
        expected: Expected duration of the stage, boot and teardown included.
        egress_gib: Traffic that leaves the provider, in GiB.
        currency: ISO 4217 code of the currency wanted; a provider that has prices in several
            currencies quotes in this one, any other provider quotes in its own.
    """

    vcpus: int = 1
    memory_gib: Decimal = Decimal(1)
    disk_gib: int = 10
    architectures: tuple[Architecture, ...] = ("x86_64", "arm64")
    dedicated: bool = False
    regions: tuple[str, ...] = ()
    expected: timedelta = timedelta(minutes=10)
    egress_gib: Decimal = Decimal(0)
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency, net of VAT; never a float.

    Attributes:
        amount: Amount in units of the currency, for example euros and not cents.
        currency: ISO 4217 code, for example `EUR`.
    """

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """Billing rule: how a provider rounds the running time that it charges for.

    Attributes:
        increment: Unit that the provider rounds the time up to.
        minimum: Shortest time that the provider charges for.
        alignment: `start` counts from the meter's start, `clock` counts the clock hours touched.
        meter_from: Whether the meter starts when the instance is created or when it is active.
        source: Address of the page that states the rule.
        read_on: Day on which a person read that page; None when unknown.
    """

    increment: timedelta
    minimum: timedelta
    alignment: Literal["start", "clock"] = "start"
    meter_from: Literal["create", "active"] = "create"
    source: str = ""
    read_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Something created and billed together with an instance: an IP address, a boot disk.

    Attributes:
        name: Name for people, for example `IPv4 address`.
        hourly: Price of one hour, net of VAT.
        minimum: Smallest charge for each one, or None.
        monthly_cap: Highest charge for one in a calendar month, or None.
        billing: Billing rule of its own; None means the same as the instance.
        source: Address that the price was read from.
        as_of: When the price was read, in UTC; None means together with the offer.
        read_on: Day on which a person read it at *source*, if no API returns it; or None.
    """

    name: str
    hourly: Money
    source: str
    minimum: Money | None = None
    monthly_cap: Money | None = None
    billing: Billing | None = None
    as_of: datetime | None = None
    read_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An instance type that can be rented in one place, with its price at one moment.

    Attributes:
        provider: Name of the provider's plugin.
        region: The provider's name of the region; ANY_REGION when the region needs an account.
        zone: Zone in the region, where the provider rents by zone; otherwise empty.
        instance_type: The provider's name of the instance type.
        vcpus: Hardware threads.
        cpu: Whether the processor is dedicated, shared or burstable.
        architecture: Architecture of the processor.
        memory_gib: Main memory in GiB.
        disk_gib: Size of the boot disk in GiB.
        hourly: Price of one hour, net of VAT.
        billing: Billing rule: how the provider rounds the time.
        availability: Whether the provider says that it can be rented now.
        price_as_of: When the price was read, in UTC.
        price_source: Address that the price was read from.
        minimum: Smallest charge for one instance, however short it exists, or None.
        monthly_cap: Highest charge for one instance in a month, or None.
        extras: Things created and billed together with the instance.
        egress_included_gib: Free egress traffic in GiB; None means that all of it is free.
        egress_per_gib: Price of one GiB above that, or None.
        egress_source: Address that the egress prices were read from; empty means `price_source`.
        egress_read_on: Day on which a person read them there, if no API returns them; or None.
        retires_on: Last day on which the provider sells it, or None.
    """

    provider: str
    region: str
    instance_type: str
    vcpus: int
    cpu: Cpu
    architecture: Architecture
    memory_gib: Decimal
    disk_gib: int
    hourly: Money
    billing: Billing
    availability: Availability
    price_as_of: datetime
    price_source: str
    minimum: Money | None = None
    monthly_cap: Money | None = None
    extras: tuple[Extra, ...] = ()
    egress_included_gib: Decimal | None = None
    egress_per_gib: Money | None = None
    egress_source: str = ""
    retires_on: date | None = None
    zone: str = ""
    egress_read_on: date | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when the offer has prices in more than one currency."""
        amounts = [self.hourly, self.minimum, self.monthly_cap, self.egress_per_gib]
        for extra in self.extras:
            amounts += [extra.hourly, extra.minimum, extra.monthly_cap]
        currencies = {amount.currency for amount in amounts if amount is not None}
        if len(currencies) > 1:
            raise ValueError(
                f"{self.provider} {self.instance_type} has prices in several currencies: "
                + ", ".join(sorted(currencies))
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRequest:
    """Request to create an instance.

    Attributes:
        name: Name unique for this run and stage, at most 63 of `a-z`, `0-9` and `-`; creating the
            same name again adopts the instance.
        run: Identity of the run.
        stage: Name of the stage.
        offer: Offer to rent.
        expires_at: Deadline after which any sweep may destroy the instance, in UTC.
        user_data: Cloud-config that creates the login user, its key and the host key.
        public_key: SSH key that may log in, as one line of an authorized_keys file.
    """

    name: str
    run: str
    stage: str
    offer: Offer
    expires_at: datetime
    user_data: str = ""
    public_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """Something attached to an instance, or left over from one: a volume, an address, a key.

    Attributes:
        kind: `volume`, `address` or `key`.
        id: The provider's id.
        region: The provider's name of the region.
    """

    kind: str
    id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that materia created, or what is left of one.

    Attributes:
        provider: Name of the provider's plugin.
        id: The provider's id; empty when only attached things are left.
        name: Name from the request.
        run: Identity of the run that created it; empty when the provider does not know.
        stage: Name of the stage it was created for.
        region: The provider's name of the region.
        expires_at: Deadline after which any sweep may destroy it, in UTC.
        instance_type: The provider's name of the instance type.
        created_at: When the provider says it was created, in UTC, or None.
        host: Host name or IP address; None means the machine that materia runs on.
        port: Port of its SSH server.
        directory: A folder of its own on the instance, removed together with it.
        attached: Everything billable attached to it.
    """

    provider: str
    id: str
    name: str
    run: str
    stage: str
    region: str
    expires_at: datetime
    instance_type: str = ""
    created_at: datetime | None = None
    host: str | None = None
    port: int = 22
    directory: str = "/var/tmp"  # noqa: S108 -- the one folder every rented image has
    attached: tuple[Attached, ...] = ()
