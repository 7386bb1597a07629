"""`materia plan` and `materia run --dry-run`, as a user runs them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from fakes.rentals import GOOD_TOKEN
from fakes.workshop import Workshop
from materia_runner.cli.commands.machines.emulator import toml
from materia_testing.emulation.services import service_class

CREDENTIALS = {"HOURS_TOKEN": GOOD_TOKEN, "SECONDS_TOKEN": GOOD_TOKEN}
NEEDS = """
provider = "auto"
[stages.extract]
minutes = 12
[stages.transform]
vcpus = 2
memory_gib = 8
minutes = 20
"""


@pytest.fixture
def rented(workshop: Workshop) -> Workshop:
    """A workshop with the providers of `fakes.rentals`, for which both stages are alike."""
    workshop.install("rentals", "fakes.rentals")
    workshop.write("materia.toml", NEEDS)
    return workshop


def planned(workshop: Workshop, *arguments: str, **environment: str) -> dict[str, Any]:
    ended = workshop.run(*arguments, "--json", environment={**CREDENTIALS, **environment})
    assert ended.returncode == 0, ended.stderr
    plan: dict[str, Any] = json.loads(ended.stdout)
    return plan


def chosen(plan: dict[str, Any]) -> list[tuple[list[str], str]]:
    return [
        ([stage["name"] for stage in placement["stages"]], placement["chosen"]["provider"])
        for placement in plan["placements"]
    ]


def test_without_a_provider_named_this_machine_is_planned_for_nothing(workshop: Workshop) -> None:
    plan = planned(workshop, "plan")

    assert chosen(plan) == [(["extract", "transform"], "local")]
    assert (plan["total"], plan["worst"]) == ({"amount": "0", "currency": "EUR"},) * 2


def test_the_stages_share_the_hour_of_the_cheapest(rented: Workshop) -> None:
    """31 minutes: an hour costs 0.06 + 0.001, as many seconds 31 / 60 of 0.12 + 0.001."""
    plan = planned(rented, "plan")

    assert chosen(plan) == [(["extract", "transform"], "hours")]
    assert plan["total"]["amount"] == "0.061"
    assert plan["worst"]["amount"] == "0.244"  # 12 min and 20 min may be 3 h 12 min, and 20 min
    (placement,) = plan["placements"]
    assert [one["offer"]["provider"] for one in placement["quotes"]] == ["hours", "seconds"]
    seconds = Decimal(placement["quotes"][1]["cost"]["amount"])
    assert round(seconds, 6) == Decimal("0.062517")
    assert placement["passed_over"] == [
        {"provider": "dollars", "reason": DOLLARS, "count": 1},
        {"provider": "hours", "reason": "less than 8 GiB of memory", "count": 1},
    ]
    assert [one["provider"] for one in plan["unanswered"]] == [
        "broken",
        "hetzner",
        "oracle",
        "ovh",
        "scaleway",
    ]


DOLLARS = (
    "prices in USD cannot be compared in EUR: materia.toml has no rate; add [currency.rates.USD] "
    'with worth = "..." (what 1 USD is worth in EUR) and date = YYYY-MM-DD'
)


def test_under_auto_this_machine_takes_no_part(rented: Workshop) -> None:
    assert "local" not in json.dumps(planned(rented, "plan", "--provider", "auto"))
    both = planned(rented, "plan", "--provider", "hours,local")
    assert chosen(both) == [(["extract", "transform"], "local")]


def test_who_cannot_rent_is_left_out_with_the_remedy(rented: Workshop) -> None:
    plan = planned(rented, "plan", "--provider", "hours,seconds", HOURS_TOKEN="")

    assert plan["placements"][0]["chosen"]["provider"] == "seconds"
    assert plan["unanswered"] == [
        {"provider": "hours", "reason": "hours: set HOURS_TOKEN to use it", "lacking": True}
    ]


def test_public_prices_are_no_machine_that_can_be_had(rented: Workshop) -> None:
    plan = planned(rented, "plan", "--provider", "hours,seconds", SECONDS_TOKEN="")

    assert plan["placements"][0]["chosen"]["provider"] == "hours"
    assert "SECONDS_TOKEN" in plan["unanswered"][0]["reason"]


def test_the_text_has_the_choice_the_reasons_and_the_sums(rented: Workshop) -> None:
    ended = rented.run(
        "run", "--dry-run", "--provider", "hours,seconds,dollars", environment=CREDENTIALS
    )

    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    said = ended.stdout
    assert said.startswith(
        "machine 1 for extract and transform: 2 vCPU, 8 GiB memory, 20 GiB disk, x86_64 or arm64, "
        "for 31 min; net of VAT\n"
        "  expected: extract 12 min (materia.toml), transform 20 min (materia.toml); one boot"
    )
    row = next(line for line in lines if line[:1] == ["->"])
    assert row[1:4] == ["hours", "h8", "north"]
    assert row[-5:-3] == ["0.0610", "EUR"]
    assert "chosen: hours h8 in north, the cheapest of 2 that fit\n" in said
    assert (
        "  h8 in north: 1 h x 0.06 = 0.0600 EUR (started hours from create, at least 1 h)" in said
    )
    assert "passed over:\n  dollars: 1 x prices in USD cannot be compared in EUR" in said
    assert "  hours: 1 x less than 8 GiB of memory\n" in said
    assert (
        "extract and transform share one machine: expected cost 0.0610 EUR, instead of "
        "0.0645 EUR if extract and transform have a machine each.\n"
    ) in said
    assert ["expected", "total", "0.0610", "EUR"] in lines
    assert ["worst", "case", "0.2440", "EUR"] in lines
    assert "at 0.06 EUR/h for at most 3 h 32 min, in total 0.2440 EUR\n" in said
    assert said.endswith("cap per run      1.0000 EUR\n")


def test_a_cap_below_the_worst_case_refuses_after_the_plan_is_shown(rented: Workshop) -> None:
    ended = rented.run("plan", "--provider", "hours", "--max-cost", "0.24", environment=CREDENTIALS)

    assert ended.returncode == 4
    assert "cap per run      0.2400 EUR\n" in ended.stdout
    assert ended.stderr.startswith(
        "materia: this run could cost 0.2440 EUR, over its cap of 0.2400 EUR (--max-cost, or "
        "[budget] run in materia.toml)\n"
    )
    assert "at 0.06 EUR/h for at most 3 h 32 min" in ended.stderr
    assert (
        rented.run(
            "plan", "--provider", "hours", "--max-cost", "0.244", environment=CREDENTIALS
        ).returncode
        == 0
    )


def test_a_cap_on_the_month_is_shown_and_kept(rented: Workshop) -> None:
    rented.write("materia.toml", f"{NEEDS}[budget]\nmonthly = '0.2'\n")

    ended = rented.run("plan", "--provider", "hours", environment=CREDENTIALS)

    assert ended.returncode == 4
    assert "cap per month    0.2000 EUR, 0.0000 EUR of it used\n" in ended.stdout
    assert (
        "this month could cost 0.2440 EUR, over its cap of 0.2000 EUR ([budget] monthly"
        in ended.stderr
    )


def test_no_machine_is_told_with_each_provider_and_why(rented: Workshop) -> None:
    ended = rented.run("plan", "--provider", "hours,seconds", environment={**CREDENTIALS})
    assert ended.returncode == 0
    rented.write("materia.toml", NEEDS.replace("vcpus = 2", "vcpus = 64"))

    ended = rented.run(
        "plan", "--provider", "hours,seconds", environment={**CREDENTIALS, "SECONDS_TOKEN": ""}
    )

    assert ended.returncode == 4
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[:2] == [
        "materia: no machine can run the stage transform",
        "  hours: 2 x less than 64 vCPU",
    ]
    assert "SECONDS_TOKEN" in ended.stderr


def test_a_rate_for_another_currency_is_used_and_shown(rented: Workshop) -> None:
    rate = '[currency.rates.USD]\nworth = "0.9"\ndate = 2026-11-20\n'
    rented.write("materia.toml", NEEDS + rate)

    ended = rented.run("plan", "--provider", "dollars", environment=CREDENTIALS)

    assert ended.returncode == 0, ended.stderr
    assert "0.0459 EUR*" in ended.stdout
    assert "* converted with the rates in materia.toml: 1 USD = 0.9 (2026-11-20)" in ended.stdout


def test_a_plan_creates_nothing(workshop: Workshop) -> None:
    assert planned(workshop, "run", "--dry-run", "--sample")["total"]["amount"] == "0"
    assert list(workshop.directory.iterdir()) == []
    assert workshop.workers() == []


def test_a_machine_made_to_measure_is_as_large_as_its_stages_need(workshop: Workshop) -> None:
    """Asked for the smallest need alone, it would have nothing for the stage transform."""
    with service_class("oracle")() as service:
        workshop.write("materia.toml", toml({"oracle": service.settings()}))
        plan = planned(workshop, "plan", "--provider", "oracle", **service.secrets())
        assert len(service.exchanges) > 1
        assert service.billed() == {}

    sizes = [
        (placement["quotes"][0]["offer"]["vcpus"], placement["quotes"][0]["offer"]["memory_gib"])
        for placement in plan["placements"]
    ]
    assert sizes == [(2, "8"), (4, "16")]
