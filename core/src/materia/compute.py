"""The values of renting: what is needed, what is offered, what was created. Units in the names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

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
ANY_REGION = "any region"  # of an offer that is the same in all of them, as a price list has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a stage needs; an offer fits when it has at least this.

    Attributes:
        vcpus: Hardware threads.
        memory_gib: Main memory in GiB.
        disk_gib: Local or network disk in GiB, the operating system included.
        architectures: The ones the artifact was built for.
        dedicated: Whether shared and burstable processors are refused.
        regions: Names of the provider's regions; empty means any.
        expected: How long the stage is thought to run, boot and teardown included.
        egress_gib: Traffic that leaves the provider, in GiB.
        currency: ISO 4217 code of the prices wanted; a provider that can choose quotes in it, one
            that cannot quotes in its own.
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
    """An amount of one currency, net of VAT; exact, never a float.

    Attributes:
        amount: In whole units of the currency.
        currency: ISO 4217 code, for example `EUR`.
    """

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """How a provider turns time into units it charges for.

    Attributes:
        increment: What is rounded up to.
        minimum: Charged at least, from the moment the meter starts.
        alignment: `start` counts from the meter's start, `clock` counts the clock hours touched.
        meter_from: Whether the meter starts when the instance is created or when it is active.
        source: Where the rule was read.
        read_on: When a person read it there; rules are prose, so no request can date them.
    """

    increment: timedelta
    minimum: timedelta
    alignment: Literal["start", "clock"] = "start"
    meter_from: Literal["create", "active"] = "create"
    source: str = ""
    read_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """Something billed beside the instance and created with it: an address, a boot disk.

    Attributes:
        name: For people, for example `IPv4 address`.
        hourly: Price of one hour, net of VAT.
        minimum: Charged at least for each one, or None.
        monthly_cap: The most one of it costs in a calendar month, or None.
        billing: How its time is rounded; None means as the instance's.
        source: Where the price was read.
        as_of: When the price was read, in UTC; None means with the offer's.
        read_on: When a person read it at *source*, for a price that no request told; or None.
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
        region: The provider's own name of the place; ANY_REGION when only an account can tell.
        zone: The part of the region, where machines are asked of a part; otherwise empty.
        instance_type: The provider's own name of the shape.
        vcpus: Hardware threads.
        cpu: Whether the processor is shared.
        architecture: Of the processor.
        memory_gib: Main memory in GiB.
        disk_gib: Of the boot disk in GiB.
        hourly: Price of one hour, net of VAT.
        billing: How time is rounded.
        availability: Whether it can be had now, as far as the provider says.
        price_as_of: When the price was read, in UTC.
        price_source: Where the price was read.
        monthly_cap: The most one instance costs in a month, or None.
        extras: What is billed beside it.
        egress_included_gib: Traffic out that costs nothing, in GiB; None means all of it.
        egress_per_gib: Price of one GiB above that, or None.
        egress_source: Where the two were read; empty means at `price_source`.
        egress_read_on: When a person read them there, for prices that no request told; or None.
        retires_on: The day after which it is no longer sold, or None.
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
    monthly_cap: Money | None = None
    extras: tuple[Extra, ...] = ()
    egress_included_gib: Decimal | None = None
    egress_per_gib: Money | None = None
    egress_source: str = ""
    retires_on: date | None = None
    zone: str = ""
    egress_read_on: date | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when the offer asks for amounts in more than one currency."""
        amounts = [self.hourly, self.monthly_cap, self.egress_per_gib]
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
    """What a provider needs to create an instance.

    Attributes:
        name: Unique for this run and stage, at most 63 of `a-z`, `0-9` and `-`; creating the same
            name again adopts the instance.
        run: Identity of the run.
        stage: Name of the stage.
        offer: What to rent.
        expires_at: After this moment the instance may be destroyed by anyone, in UTC.
        user_data: A cloud-config that makes the login user, its key and the host key.
        public_key: The key that may log in, as one line of an authorized_keys file.
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
    """Something billable that hangs on an instance, or is left of one.

    Attributes:
        kind: `volume`, `address` or `key`.
        id: The provider's own identity of it.
        region: The provider's own name of the place.
    """

    kind: str
    id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A machine that materia created, or what is left of one.

    Attributes:
        provider: Name of the provider's plugin.
        id: The provider's own identity of it; empty when only attached things are left.
        name: As in the request.
        run: Identity of the run that asked for it; empty when the provider cannot tell.
        stage: Name of the stage it was created for.
        region: The provider's own name of the place.
        expires_at: After this moment it may be destroyed by anyone, in UTC.
        instance_type: The provider's own name of the shape.
        created_at: When the provider says it was created, in UTC, or None.
        host: Address to reach it; None means this very machine.
        port: Where its SSH server listens.
        host_key: The public key it must show over SSH, as one line; None when only the process
            that created it can tell.
        directory: A folder on the instance that is its own and goes with it.
        attached: Everything billable that hangs on it.
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
    host_key: str | None = None
    directory: str = "/var/tmp"  # noqa: S108 -- the one folder every rented image has
    attached: tuple[Attached, ...] = ()
