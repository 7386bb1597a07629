"""An offer that cannot be true is no offer, whichever plugin made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from materia.compute import Billing, Extra, Money, Offer
from materia.errors import CredentialsError, ProviderError
from materia_providers.list_entries import LINES, Entries, LeftOut, amount, left_out_of, whole
from materia_runner.pricing.offer_check import checked, flaw

EUR = "EUR"
HOURS = Billing(increment=timedelta(hours=1), minimum=timedelta(hours=1))
ADDRESS = Extra(name="IPv4 address", hourly=Money(Decimal("0.004"), EUR), source="a page")
GOOD = Offer(
    provider="acme",
    region="moon-1",
    instance_type="m2",
    vcpus=2,
    cpu="shared",
    architecture="x86_64",
    memory_gib=Decimal(8),
    disk_gib=40,
    hourly=Money(Decimal("0.02"), EUR),
    billing=HOURS,
    availability="available",
    price_as_of=datetime(2026, 11, 29, tzinfo=UTC),
    price_source="a page",
    monthly_cap=Money(Decimal("12.4"), EUR),
    extras=(ADDRESS,),
    egress_included_gib=Decimal(100),
    egress_per_gib=Money(Decimal("0.01"), EUR),
)


def unchecked(**changes: Any) -> Offer:
    """An offer as a plugin without a type checker would make it."""
    offer = replace(GOOD)
    for name, value in changes.items():
        object.__setattr__(offer, name, value)
    return offer


def euros(amount: Any) -> Money:
    return Money(amount, EUR)


def test_an_offer_as_they_are_sold_has_no_flaw() -> None:
    assert flaw(GOOD) is None
    assert flaw(replace(GOOD, monthly_cap=None, extras=(), egress_per_gib=None)) is None


@pytest.mark.parametrize(
    "price",
    [
        Decimal(0),
        Decimal("-0.02"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E-9"),
        Decimal("0.0001"),  # for two vCPUs
        Decimal("1E+30"),
        0.02,
        "0.02",
        None,
        [],
        True,
    ],
)
def test_an_hour_costs_what_an_hour_can_cost(price: Any) -> None:
    assert flaw(unchecked(hourly=euros(price))) is not None
    assert checked([unchecked(hourly=euros(price)), GOOD], provider="acme") == (GOOD,)


@pytest.mark.parametrize(
    "changes",
    [
        {"hourly": None},
        {"hourly": Money(Decimal("0.02"), "euro")},
        {"hourly": Money(Decimal("0.02"), None)},  # type: ignore[arg-type]  # as a plugin may
        {"hourly": Money(Decimal("0.02"), "USD")},
        {"vcpus": None},
        {"vcpus": 0},
        {"vcpus": -2},
        {"vcpus": "2"},
        {"vcpus": 10**9},
        {"vcpus": True},
        {"memory_gib": None},
        {"memory_gib": Decimal(0)},
        {"memory_gib": 8.0},
        {"memory_gib": Decimal("NaN")},
        {"disk_gib": None},
        {"disk_gib": 0},
        {"disk_gib": "40"},
        {"architecture": "riscv"},
        {"cpu": "quantum"},
        {"availability": "soon"},
        {"instance_type": ""},
        {"instance_type": None},
        {"instance_type": "m2\x1b[2J"},
        {"region": None},
        {"minimum": Money(Decimal(-1), EUR)},
        {"minimum": Money(Decimal("NaN"), EUR)},
        {"monthly_cap": Money(Decimal(0), EUR)},
        {"monthly_cap": Money(Decimal("0.5"), EUR)},  # of 25 hours
        {"monthly_cap": Money(Decimal(-1), EUR)},
        {"extras": (replace(ADDRESS, hourly=euros(Decimal(-1))),)},
        {"extras": (replace(ADDRESS, hourly=euros(Decimal("NaN"))),)},
        {"extras": (replace(ADDRESS, hourly=euros("0.004")),)},
        {"extras": (replace(ADDRESS, hourly=Money(Decimal("0.004"), "USD")),)},
        {"extras": (replace(ADDRESS, minimum=euros(Decimal(-1))),)},
        {"extras": (replace(ADDRESS, monthly_cap=euros(Decimal(0))),)},
        {"extras": None},
        {"extras": (None,)},
        {"egress_per_gib": euros(Decimal("-0.01"))},
        {"egress_included_gib": Decimal(-1)},
        {"billing": None},
        {"billing": replace(HOURS, increment=timedelta(0))},
        {"billing": replace(HOURS, alignment="moon")},  # type: ignore[arg-type]  # as a plugin may
        {"price_as_of": None},
        {"price_as_of": datetime(2026, 11, 29)},  # noqa: DTZ001 -- that is the flaw
        {"retires_on": "2027-01-01"},
        {"retires_on": datetime(2027, 1, 1, tzinfo=UTC)},
    ],
)
def test_an_offer_with_something_that_cannot_be_is_left_out_with_a_line(
    changes: dict[str, Any],
) -> None:
    found = checked([unchecked(**changes), GOOD], provider="acme")

    assert list(found) == [GOOD]
    (line,) = found.left_out
    assert line.startswith("acme: ")
    assert " is left out: " in line
    assert line.isprintable()


@pytest.mark.parametrize("thing", [None, 7, "m2", {"hourly": 1}, ()])
def test_what_is_no_offer_at_all_is_left_out(thing: object) -> None:
    found = checked([thing, GOOD], provider="acme")

    assert list(found) == [GOOD]
    assert len(found.left_out) == 1


def test_a_machine_that_is_there_already_costs_nothing() -> None:
    free = replace(GOOD, hourly=euros(Decimal(0)), monthly_cap=None, extras=(), egress_per_gib=None)

    assert flaw(free, rents=False) is None
    assert flaw(free) is not None


def test_what_a_plugin_left_out_stays_said() -> None:
    given = Entries([GOOD], ["acme: moon-2 is left out: HTTP 503"])

    assert left_out_of(checked(given, provider="acme")) == ("acme: moon-2 is left out: HTTP 503",)
    assert left_out_of([GOOD]) == ()


def test_a_list_that_is_odd_from_end_to_end_is_told_in_a_few_lines() -> None:
    left = LeftOut("acme")
    for number in range(500):
        left.add(f"m{number}", "its price is missing")

    assert len(left.lines()) == LINES + 1
    assert left.lines()[-1] == f"acme: {500 - LINES} more entries are left out"


def test_a_place_that_fails_is_left_out_and_credentials_that_are_refused_are_not() -> None:
    left = LeftOut("acme")

    def fail(error: ProviderError) -> None:
        raise error

    with left.place("moon-1"):
        fail(ProviderError("acme: list machines: HTTP 503"))
    with pytest.raises(CredentialsError), left.place("moon-2"):
        fail(CredentialsError("acme: the token is not accepted"))

    assert left.lines() == ("acme: moon-1 is left out: list machines: HTTP 503",)


@pytest.mark.parametrize(
    ("value", "exact"), [(3, "3"), (0.1, "0.1"), (Decimal("1.50"), "1.50"), (1e-7, "1e-7")]
)
def test_a_number_keeps_the_digits_it_was_written_with(value: object, exact: str) -> None:
    assert amount(value, "price") == Decimal(exact)


@pytest.mark.parametrize("value", [True, None, "3", [], {}, float("nan"), float("inf"), -1, 1e300])
def test_what_is_no_number_that_can_be_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="its price is "):
        amount(value, "price")


@pytest.mark.parametrize("value", [2.5, 0, -1, "2", None])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="its number of vCPUs is "):
        whole(value, "number of vCPUs")
