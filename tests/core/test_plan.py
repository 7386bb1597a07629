"""Which stages share a machine, on what, and how that is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from materia.compute import Billing, Money, Offer
from materia.errors import NoOfferError
from materia_runner.config.pipeline import Stage
from materia_runner.planning.plan import BOOT_LIMIT, TEARDOWN_LIMIT, Plan, make_plan, offer_key
from materia_runner.pricing.currency import Exchange, Rate
from strategies.stages import EXTRACT, TRANSFORM, an_offer

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
EURO = Exchange()
BY_SECOND = Billing(increment=timedelta(seconds=1), minimum=MINUTE)
BY_CLOCK = Billing(increment=HOUR, minimum=HOUR, alignment="clock")
SMALL = an_offer("acme", "small", "0.06", vcpus=2, memory=8)
LARGE = an_offer("acme", "large", "0.10", vcpus=4, memory=16)
MINE = an_offer("mine", "this", "0", vcpus=1, memory=1)


def plan(*offers: Offer, stages: tuple[Stage, ...] = (EXTRACT, TRANSFORM), **more: Any) -> Plan:
    options = {"start": NOON, "exchange": EURO, **more}
    return make_plan(stages, offers, **options)


def machines(found: Plan) -> list[tuple[str, str]]:
    return [
        (placement.name, placement.chosen.offer.instance_type) for placement in found.placements
    ]


def test_two_short_stages_share_the_hour_that_is_paid() -> None:
    found = plan(SMALL, LARGE)

    assert machines(found) == [("extract and transform", "large")]
    assert found.total == Money(Decimal("0.10"), "EUR")
    assert found.why == (
        "extract and transform share one machine: expected cost 0.1000 EUR, "
        "instead of 0.1600 EUR if extract and transform have a machine each"
    )
    (other,) = found.alternatives
    assert other.machines == ("acme small in north", "acme large in north")
    assert other.total == Money(Decimal("0.16"), "EUR")


def test_stages_billed_by_the_second_have_what_each_of_them_needs() -> None:
    small, large = replace(SMALL, billing=BY_SECOND), replace(LARGE, billing=BY_SECOND)
    long = EXTRACT.expecting(50 * MINUTE)

    found = plan(small, large, stages=(long, TRANSFORM))

    assert machines(found) == [("extract", "small"), ("transform", "large")]
    assert found.total.amount == Decimal("0.06") * 50 / 60 + Decimal("0.10") / 6
    assert "have a machine each: expected cost " in found.why


def test_sharing_saves_the_boot_of_the_second_stage() -> None:
    (placement,) = plan(LARGE).placements

    assert placement.requirements.expected == 19 * MINUTE
    assert (placement.requirements.vcpus, placement.requirements.memory_gib) == (4, Decimal(16))


def test_the_deadline_of_a_machine_has_room_for_its_stages_its_boot_and_its_end() -> None:
    (placement,) = plan(LARGE).placements

    assert placement.deadline == EXTRACT.deadline + TRANSFORM.deadline + BOOT_LIMIT + TEARDOWN_LIMIT
    assert placement.worst == Money(Decimal("0.30"), "EUR")  # 2 h 20 min


def test_the_worst_case_is_of_the_least_lucky_clock_hours() -> None:
    found = plan(replace(LARGE, billing=BY_CLOCK))

    assert found.total.amount == Decimal("0.10")
    assert found.worst.amount == Decimal("0.40")  # 2 h 20 min touch four of them from :50 on
    (said,) = found.worst_case
    assert said == (
        "extract and transform: acme large in north at 0.1 EUR/h for at most 2 h 20 min, "
        "in total 0.4000 EUR"
    )


def test_a_later_machine_is_billed_from_when_it_starts() -> None:
    """At 12:35 two stages of 20 minutes touch two clock hours apart, and two together."""
    small, large = replace(SMALL, billing=BY_CLOCK), replace(LARGE, billing=BY_CLOCK)
    stages = (EXTRACT.expecting(25 * MINUTE), TRANSFORM.expecting(20 * MINUTE))

    found = plan(small, large, stages=stages, start=NOON + 35 * MINUTE)

    assert machines(found) == [("extract", "small"), ("transform", "large")]
    assert [placement.start.minute for placement in found.placements] == [35, 0]
    assert found.total.amount == Decimal("0.16")
    assert found.alternatives[0].total == Money(Decimal("0.20"), "EUR")


def test_data_that_leaves_is_paid_at_the_place_it_leaves() -> None:
    """Extract alone is cheapest at acme, but taking its data away eats what that saves."""
    far = replace(
        SMALL,
        billing=BY_SECOND,
        egress_included_gib=Decimal(0),
        egress_per_gib=Money(Decimal("0.01"), "EUR"),
    )
    near = replace(LARGE, provider="bolt", billing=BY_SECOND, hourly=Money(Decimal("0.07"), "EUR"))
    stages = (replace(EXTRACT, output_gib=Decimal(1)), TRANSFORM)

    moved = plan(far, near, stages=stages)
    little = plan(far, near, stages=(replace(EXTRACT, output_gib=Decimal("0.01")), TRANSFORM))
    free = plan(far, near, stages=(replace(EXTRACT, output_gib=Decimal(0)), TRANSFORM))

    assert machines(moved) == [("extract and transform", "large")]
    assert [one.chosen.offer.provider for one in free.placements] == ["acme", "bolt"]
    assert moved.alternatives[0].machines == ("bolt large in north", "bolt large in north")
    assert little.placements[0].chosen.lines[-1].amount == Money(Decimal("0.0001"), "EUR")


def test_the_ranking_of_a_leg_counts_what_moving_data_to_it_costs() -> None:
    out: dict[str, Any] = {
        "egress_included_gib": Decimal(0),
        "egress_per_gib": Money(Decimal("0.03"), "EUR"),
    }
    small = replace(SMALL, billing=BY_SECOND, **out)
    large = replace(LARGE, billing=BY_SECOND, **out)
    cheaper = replace(large, provider="bolt", hourly=Money(Decimal("0.09"), "EUR"))
    stages = (replace(EXTRACT.expecting(HOUR), output_gib=Decimal(1)), TRANSFORM)

    first, second = plan(small, large, cheaper, stages=stages).placements

    assert first.chosen.offer == small
    assert [quote.offer for quote in second.ranking.quotes] == [large, cheaper]
    assert second.ranking.quotes[1].shown.amount < second.chosen.shown.amount
    assert second.arrival is not None
    assert second.arrival.added(cheaper) == Decimal("0.03")
    assert second.arrival.added(large) == 0


def test_traffic_within_the_allowance_costs_nothing() -> None:
    allowed = replace(
        SMALL,
        billing=BY_SECOND,
        egress_included_gib=Decimal(1),
        egress_per_gib=Money(Decimal(5), "EUR"),
    )
    bolt = replace(LARGE, provider="bolt", billing=BY_SECOND, hourly=Money(Decimal("0.2"), "EUR"))
    stages = (EXTRACT, TRANSFORM)

    assert len(plan(allowed, bolt, stages=stages).placements) == 2
    more = replace(EXTRACT, output_gib=Decimal("1.1"))
    assert len(plan(allowed, bolt, stages=(more, TRANSFORM)).placements) == 1


def test_data_without_a_way_out_stays() -> None:
    """No price above the allowance: the offer cannot be used where its data must leave."""
    shut = replace(SMALL, egress_included_gib=Decimal(0))
    bolt = replace(LARGE, provider="bolt")

    found = plan(shut, bolt)
    assert machines(found) == [("extract and transform", "large")]
    assert found.alternatives[0].machines == ("bolt large in north", "bolt large in north")

    with pytest.raises(NoOfferError, match="no machines can run extract and transform: their"):
        plan(shut, replace(bolt, architecture="arm64"), stages=(X86_EXTRACT, ARM_TRANSFORM))


X86_EXTRACT = replace(
    EXTRACT, requirements=replace(EXTRACT.requirements, architectures=("x86_64",))
)
ARM_TRANSFORM = replace(
    TRANSFORM, requirements=replace(TRANSFORM.requirements, architectures=("arm64",))
)


def test_stages_for_different_processors_share_no_machine() -> None:
    found = plan(SMALL, replace(LARGE, architecture="arm64"), stages=(X86_EXTRACT, ARM_TRANSFORM))

    assert machines(found) == [("extract", "small"), ("transform", "large")]
    assert found.why == (
        "extract and transform have a machine each, because no other plan is possible: extract and "
        "transform: the stages need different processors"
    )


def test_an_owned_machine_is_taken_as_it_is_and_costs_nothing() -> None:
    found = plan(MINE, LARGE, owned={"mine"})

    assert machines(found) == [("extract and transform", "this")]
    assert found.worst == found.total == Money(Decimal(0), "EUR")
    assert found.why.endswith("share one machine, because more machines would cost the same")
    assert machines(plan(MINE, LARGE)) == [("extract and transform", "large")]


def test_what_could_not_be_had_is_passed_over_for_that_reason() -> None:
    found = plan(SMALL, LARGE, replace(LARGE, provider="bolt"), excluded={offer_key(LARGE)})

    assert found.placements[0].chosen.offer.provider == "bolt"
    reasons = {one.offer: one.reason for one in found.placements[0].ranking.passed_over}
    assert reasons == {
        SMALL: "2 vCPU, 4 needed",
        LARGE: "this run tried it and could not rent it",
    }


def test_no_machine_for_a_stage_is_told_with_each_provider_and_its_reasons() -> None:
    sold_out = replace(LARGE, provider="bolt", availability="unavailable")

    with pytest.raises(NoOfferError) as raised:
        plan(
            SMALL,
            replace(SMALL, region="south"),
            sold_out,
            unanswered=("ovh: set OVH_APPLICATION_KEY to use it",),
        )

    assert str(raised.value).splitlines() == [
        "no machine can run the stage transform",
        "  acme: 2 x less than 4 vCPU",
        "  bolt: 1 x sold out",
        "  ovh: set OVH_APPLICATION_KEY to use it",
        "  try again later, name other providers, or ask for less under [stages.<name>]",
    ]


def test_offers_in_other_currencies_are_compared_in_one() -> None:
    dollars = replace(LARGE, provider="bolt", hourly=Money(Decimal("0.11"), "USD"))
    rate = Rate(currency="USD", worth=Decimal("0.9"), on=date(2026, 11, 20))

    found = plan(LARGE, dollars, exchange=Exchange(rates=(rate,)))

    assert found.placements[0].chosen.offer == dollars
    assert found.total == Money(Decimal("0.099"), "EUR")
    assert found.worst == Money(Decimal("0.297"), "EUR")
    assert found.placements[0].chosen.rates == (rate,)


def test_one_stage_has_one_machine() -> None:
    found = plan(SMALL, LARGE, stages=(EXTRACT,))

    assert machines(found) == [("extract", "small")]
    assert found.why == "extract has a machine, because it is the only stage"
    assert found.alternatives == ()


def test_the_deadline_follows_what_was_learnt_unless_it_is_configured() -> None:
    assert EXTRACT.expecting(30 * MINUTE).deadline == 3 * HOUR
    assert EXTRACT.expecting(MINUTE).deadline == HOUR
    fixed = replace(EXTRACT, deadline=20 * MINUTE, deadline_configured=True)
    assert fixed.expecting(30 * MINUTE).deadline == 20 * MINUTE
