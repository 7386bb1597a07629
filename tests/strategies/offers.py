"""Offers, durations and starts of any kind, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from hypothesis import strategies as st
from materia.compute import Billing, Extra, Money, Offer

NOW = datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC)
INCREMENTS = (1, 60, 3600)


def moneys(currency: str = "EUR", most: str = "3") -> st.SearchStrategy[Money]:
    amounts = st.decimals(min_value=0, max_value=most, places=6)
    return st.builds(Money, amounts, st.just(currency))


def durations(hours: int = 3000) -> st.SearchStrategy[timedelta]:
    return st.one_of(
        st.integers(0, hours * 3600).map(lambda seconds: timedelta(seconds=seconds)),
        st.integers(0, 4 * 3600 * 10**6).map(lambda micros: timedelta(microseconds=micros)),
    )


starts = st.none() | st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 -- hypothesis adds the time zone
    max_value=datetime(2028, 1, 1),  # noqa: DTZ001 -- as above
    timezones=st.just(UTC),
)
seconds = st.sampled_from(INCREMENTS).map(lambda length: timedelta(seconds=length))
billings = st.builds(
    Billing,
    increment=seconds,
    minimum=st.sampled_from((0, 60, 3600, 5400)).map(lambda length: timedelta(seconds=length)),
    alignment=st.sampled_from(("start", "clock")),
    meter_from=st.sampled_from(("create", "active")),
)


def extras(currency: str = "EUR") -> st.SearchStrategy[Extra]:
    return st.builds(
        Extra,
        name=st.just("address"),
        hourly=moneys(currency, "0.1"),
        source=st.just("https://prices.example/"),
        minimum=st.none() | moneys(currency, "0.1"),
        monthly_cap=st.none() | moneys(currency, "50"),
        billing=st.none() | billings,
    )


@st.composite
def offers(draw: st.DrawFn, currency: str = "EUR") -> Offer:
    architecture: Literal["x86_64", "arm64"] = draw(st.sampled_from(("x86_64", "arm64")))
    return Offer(
        provider=draw(st.sampled_from(("acme", "bolt", "cirrus"))),
        region=draw(st.sampled_from(("north", "south"))),
        instance_type=draw(st.sampled_from(("a1", "b2"))),
        vcpus=draw(st.integers(1, 4)),
        cpu=draw(st.sampled_from(("dedicated", "shared", "burstable", "unknown"))),
        architecture=architecture,
        memory_gib=Decimal(draw(st.integers(1, 16))),
        disk_gib=draw(st.integers(5, 40)),
        hourly=draw(moneys(currency)),
        billing=draw(billings),
        availability=draw(
            st.sampled_from(("available", "scarce", "unknown", "unavailable", "no_quota"))
        ),
        price_as_of=NOW,
        price_source="https://prices.example/",
        minimum=draw(st.none() | moneys(currency, "1")),
        monthly_cap=draw(st.none() | moneys(currency, "100")),
        extras=tuple(draw(st.lists(extras(currency), max_size=2))),
        egress_included_gib=draw(st.none() | st.just(Decimal(50))),
        egress_per_gib=draw(st.none() | moneys(currency, "0.1")),
        retires_on=draw(st.none() | st.dates(datetime(2026, 11, 1).date())),  # noqa: DTZ001 -- a day
    )
