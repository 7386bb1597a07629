"""Stages and plain offers for plans, and any of them for property tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st
from materia.compute import Billing, Money, Offer, Requirements
from materia_runner.config.pipeline import Stage
from strategies.offers import NOW, moneys, offers

HOUR = timedelta(hours=1)
TEN_MINUTES = timedelta(minutes=10)
EXTRACT = Stage(
    name="extract",
    requirements=Requirements(vcpus=2, memory_gib=Decimal(8), expected=TEN_MINUTES),
    deadline=HOUR,
    output_gib=Decimal(1),
)
TRANSFORM = Stage(
    name="transform",
    requirements=Requirements(vcpus=4, memory_gib=Decimal(16), expected=TEN_MINUTES),
    deadline=HOUR,
)


def an_offer(provider: str, name: str, hourly: str, *, vcpus: int, memory: int) -> Offer:
    """Billed by started hours, in the north; traffic out is free."""
    return Offer(
        provider=provider,
        region="north",
        instance_type=name,
        vcpus=vcpus,
        cpu="shared",
        architecture="x86_64",
        memory_gib=Decimal(memory),
        disk_gib=40,
        hourly=Money(Decimal(hourly), "EUR"),
        billing=Billing(increment=HOUR, minimum=HOUR),
        availability="available",
        price_as_of=NOW,
        price_source="https://prices.example/",
    )


stages = st.builds(
    Stage,
    name=st.sampled_from("abcd"),
    requirements=st.builds(
        Requirements,
        vcpus=st.integers(1, 3),
        memory_gib=st.integers(1, 12).map(Decimal),
        disk_gib=st.integers(5, 20),
        dedicated=st.booleans(),
        architectures=st.sampled_from((("x86_64",), ("arm64",), ("x86_64", "arm64"))),
        expected=st.integers(0, 180).map(lambda minutes: timedelta(minutes=minutes)),
        egress_gib=st.sampled_from((Decimal(0), Decimal(2))),
    ),
    deadline=st.integers(1, 24).map(lambda hours: timedelta(hours=hours)),
    output_gib=st.sampled_from((Decimal(0), Decimal(1), Decimal(60))),
)


@st.composite
def large_offers(draw: st.DrawFn, currency: str = "EUR") -> Offer:
    """Offers that most stages fit on, and whose traffic mostly costs something."""
    return replace(
        draw(offers(currency)),
        vcpus=4,
        memory_gib=Decimal(16),
        disk_gib=40,
        availability="available",
        retires_on=None,
        egress_included_gib=draw(st.sampled_from((Decimal(0), Decimal(2), None))),
        egress_per_gib=draw(moneys(currency, "0.01")),
    )
