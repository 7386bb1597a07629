"""Promises of a provider without failures: one test each, in the order of a run."""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from materia.compute import Offer, Requirements
from materia.errors import MateriaError, ReadyTimeoutError
from materia.protocols import HasClock, Provider

from materia_testing.contracts.odd_answers import ODD
from materia_testing.contracts.providers.scene import ProviderScene, Scene, fitting

ONCE = ("drop_before", "drop_after", "slow")
MOMENT = timedelta(seconds=1)
MINUTES = timedelta(minutes=5)
# How long a machine of the world may take to boot; real machines take minutes.
BOOT = timedelta(minutes=5)
IMPOSSIBLE = Requirements(vcpus=100_000, memory_gib=Decimal(10**7))


def _identity(offer: Offer) -> tuple[str, str, str]:
    return (offer.region, offer.zone, offer.instance_type)


class OffersPromises(ProviderScene):
    """Offers are net of VAT, dated, in one currency, with availability, and never silently none."""

    def test_some_offer_fits_what_is_needed(self, provider: Provider, needs: Requirements) -> None:
        """Its prices are in another currency: override the fixture `needs`."""
        assert fitting(provider.offers(needs), needs)

    def test_an_offer_says_who_where_what_and_from_which_source(
        self, provider: Provider, needs: Requirements
    ) -> None:
        for offer in provider.offers(needs):
            assert offer.provider
            assert offer.region
            assert offer.instance_type
            assert offer.price_source
            assert all(extra.name and extra.source for extra in offer.extras)

    def test_offers_of_one_answer_differ_in_what_can_be_asked_for(
        self, provider: Provider, needs: Requirements
    ) -> None:
        """It lists a type once for each price or image."""
        identities = [_identity(offer) for offer in provider.offers(needs)]

        assert len(identities) == len(set(identities))

    def test_prices_are_dated_in_utc_when_they_were_read(
        self, provider: Provider, needs: Requirements
    ) -> None:
        """It dates prices without a time zone."""
        for offer in provider.offers(needs):
            assert offer.price_as_of.utcoffset() == timedelta(0)
            assert offer.price_as_of <= datetime.now(UTC) + MOMENT

    def test_prices_are_amounts_of_a_named_currency(
        self, provider: Provider, needs: Requirements
    ) -> None:
        """It makes a price of a float."""
        for offer in provider.offers(needs):
            amounts = [offer.hourly, offer.minimum, offer.monthly_cap, offer.egress_per_gib]
            for extra in offer.extras:
                amounts += [extra.hourly, extra.minimum, extra.monthly_cap]
            for money in amounts:
                if money is not None:
                    assert isinstance(money.amount, Decimal)
                    assert money.amount >= 0
                    assert len(money.currency) == 3
                    assert money.currency == money.currency.upper()

    def test_the_currency_is_the_one_asked_for_or_always_the_same(
        self, provider: Provider, needs: Requirements
    ) -> None:
        """It ignores `requirements.currency` in a part of its offers."""
        answers = {}
        for asked in ("EUR", "USD"):
            found = provider.offers(replace(needs, currency=asked))
            answers[asked] = {offer.hourly.currency for offer in found}

        assert answers["EUR"] == answers["USD"] or answers == {"EUR": {"EUR"}, "USD": {"USD"}}

    def test_time_is_rounded_by_a_rule_that_can_be_computed(
        self, provider: Provider, needs: Requirements
    ) -> None:
        for offer in provider.offers(needs):
            rules = [offer.billing, *(extra.billing for extra in offer.extras)]
            for rule in rules:
                assert rule is None or rule.increment > timedelta(0)
                assert rule is None or rule.minimum >= timedelta(0)

    def test_what_the_use_will_be_does_not_change_the_offers(
        self, provider: Provider, needs: Requirements
    ) -> None:
        """It filters by the expected time or traffic."""
        longer = replace(needs, expected=timedelta(days=3), egress_gib=Decimal(5))

        one = sorted(map(_identity, provider.offers(needs)))
        other = sorted(map(_identity, provider.offers(longer)))

        assert one == other

    def test_prices_are_as_old_as_the_answer(self, provider: Provider, needs: Requirements) -> None:
        """It dates a price by the price list, or by a constant of its own."""
        asked = datetime.now(UTC) - MOMENT
        for offer in provider.offers(needs):
            assert offer.price_as_of >= asked

    @pytest.mark.parametrize(
        "impossible",
        [IMPOSSIBLE, replace(IMPOSSIBLE, vcpus=1, regions=("no-such-place",))],
        ids=["size", "region"],
    )
    def test_when_nothing_can_do_it_there_is_an_answer_or_a_reason(
        self, provider: Provider, impossible: Requirements
    ) -> None:
        """It returns an empty list."""
        try:
            answer = provider.offers(impossible)
        except MateriaError:
            return

        assert answer


class CreatePromises(ProviderScene):
    """An instance carries its run, stage and expiry; the same name again adopts it."""

    def test_an_instance_carries_its_name_run_stage_and_expiry(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It writes fewer than the four labels of `labels.owner_of`, or makes up a time."""
        request = scene.request()

        made = provider.create_instance(request)

        assert made.id
        assert made.created_at == scene.listed(request.name).created_at, "its bill begins then"
        for one in (made, scene.listed(request.name)):
            assert one.id == made.id
            assert one.provider == request.offer.provider
            assert one.region == request.offer.region
            assert (one.name, one.run, one.stage) == (request.name, request.run, request.stage)
            assert one.expires_at == request.expires_at

    def test_the_same_name_again_adopts_and_never_makes_a_second(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It does not look for a machine of that name before it makes one."""
        request = scene.request()
        first = provider.create_instance(request)
        billed = scene.billed()

        again = provider.create_instance(request)
        after_a_restart = scene.open().create_instance(request)

        assert [again.id, after_a_restart.id] == [first.id, first.id]
        assert scene.billed() == billed

    def test_an_instance_that_is_late_to_be_listed_is_adopted_too(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It believes a list that does not show a new machine yet; names are not unique there."""
        scene.need("late_to_list")
        request = scene.request()
        scene.world.inject("late_to_list")
        first = provider.create_instance(request)

        again = scene.open().create_instance(request)

        assert again.id == first.id
        assert len(scene.billed("instance")) == 1

    def test_an_instance_is_of_the_type_that_was_asked_for(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It rents a type of its own choice, or mixes up the types of two answers."""
        request = scene.request()
        made = provider.create_instance(request)

        for one in (made, scene.listed(request.name)):
            assert one.instance_type in {request.offer.instance_type, ""}, "empty: not known"

    def test_an_instance_costs_what_its_offer_says(self, provider: Provider, scene: Scene) -> None:
        """It reads the price of another unit: a month, a second, gross, or half of it."""
        request = scene.request()
        provider.create_instance(request)
        billed = scene.world.still_billed()
        offer = request.offer
        (machine,) = [one for one in billed if one.kind == "instance"]
        if machine.hourly is None or machine.billing is None:
            pytest.skip("this world does not know what a machine costs")

        assert offer.hourly == machine.hourly
        assert offer.minimum == machine.minimum
        assert offer.monthly_cap == machine.monthly_cap
        rounding = (offer.billing.increment, offer.billing.minimum, offer.billing.alignment)
        assert rounding == (
            machine.billing.increment,
            machine.billing.minimum,
            machine.billing.alignment,
        )
        beside = [one.hourly.amount for one in billed if one.kind != "instance" and one.hourly]
        assert sum(extra.hourly.amount for extra in offer.extras) == sum(beside)

    def test_two_names_are_two_instances(self, provider: Provider, scene: Scene) -> None:
        """It adopts by the run and not by the name."""
        one = provider.create_instance(scene.request("extract"))
        other = provider.create_instance(scene.request("transform"))

        assert one.id != other.id
        assert len(scene.billed("instance")) == 2

    def test_a_machine_is_given_its_user_data_unchanged(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It leaves out the user data, or encodes it twice."""
        scene.need("user_data")
        request = scene.request()

        made = provider.create_instance(request)

        assert scene.world.user_data(made.id) == request.user_data

    def test_user_data_that_no_provider_takes_is_refused_before_anything_is_made(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It does not call `cloud_init.check_size`."""
        scene.need("user_data")
        request = replace(scene.request(), user_data="#cloud-config\n" + "#" * 2**20)

        with pytest.raises(MateriaError):
            provider.create_instance(request)

        assert scene.billed() == []


class ListPromises(ProviderScene):
    """List only what materia made, from any run, with everything billable that is attached."""

    def test_what_others_made_is_never_listed(self, provider: Provider, scene: Scene) -> None:
        """It lists by one label, or by the beginning of a name."""
        scene.need("foreign")
        assert scene.world.foreign()
        assert list(provider.list_instances()) == []

    def test_a_copy_of_our_labels_on_another_machine_makes_nothing_ours(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It believes labels without comparing the name."""
        scene.need("look_alike")
        request = scene.request()
        made = provider.create_instance(request)
        before = set(scene.world.foreign())
        stranger = scene.world.add_look_alike(made.id)
        foreign = list(scene.world.foreign())
        assert set(foreign) > before

        listed = scene.open().list_instances()
        with suppress(
            MateriaError
        ):  # a provider that identifies by names finds nothing of that one
            scene.open().destroy_instance(replace(made, id=stranger, name=f"{made.name}-2"))
        scene.open().destroy_instance(scene.listed(request.name))

        assert [one.id for one in listed] == [made.id]
        assert scene.billed() == []
        assert list(scene.world.foreign()) == foreign

    def test_instances_of_every_run_are_listed(self, provider: Provider, scene: Scene) -> None:
        """It lists one page, one region or one run."""
        requests = [scene.request(stage) for stage in ("extract", "transform")]
        for request in requests:
            provider.create_instance(request)

        listed = scene.open().list_instances()

        assert sorted(one.run for one in listed) == sorted(request.run for request in requests)

    def test_a_clock_if_there_is_one_shows_the_time_in_utc(self, provider: Provider) -> None:
        if not isinstance(provider, HasClock):
            pytest.skip("the provider has no clock: deadlines use the clock of this computer")
        moment = provider.clock()

        assert moment is not None
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < MINUTES

    def test_what_hangs_on_an_instance_is_listed_with_it(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It leaves out volumes, addresses or keys."""
        request = scene.request()
        provider.create_instance(request)

        listed = scene.listed(request.name)

        found = [f"instance {listed.id}", *(f"{one.kind} {one.id}" for one in listed.attached)]
        assert sorted(found) == scene.billed()


class WaitPromises(ProviderScene):
    """A ready machine shows the host key that was sent to it; one that never boots is an error."""

    def test_a_machine_is_reached_and_shows_the_host_key_that_was_sent(
        self, provider: Provider, scene: Scene
    ) -> None:
        scene.need("ssh")
        made = provider.create_instance(scene.request())

        reached = provider.wait_for_ssh(made, timeout=BOOT)

        assert reached.host
        assert reached.id == made.id
        assert scene.world.host_key(made.id) == scene.host_key.public

    def test_a_machine_listed_by_a_new_process_is_reached_too(
        self, provider: Provider, scene: Scene
    ) -> None:
        scene.need("ssh")
        request = scene.request()
        provider.create_instance(request)
        listed = scene.listed(request.name)

        assert scene.open().wait_for_ssh(listed, timeout=BOOT).host

    def test_no_single_bad_answer_gives_up_a_machine_that_is_paid_for(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It raises the first error while it polls."""
        scene.need("ssh")
        world = scene.world
        faults = [one for one in (*ONCE, *ODD) if one not in world.lacks] + list(world.errors)
        made = provider.create_instance(scene.request())
        provider.wait_for_ssh(made, timeout=BOOT)
        looks = scene.requests_of(lambda: scene.open().wait_for_ssh(made, timeout=BOOT))

        for number in range(1, looks + 1):
            for fault in faults:
                world.inject(fault, at=number)
                reached = scene.open().wait_for_ssh(made, timeout=BOOT)
                world.heal()
                assert reached.id == made.id, f"{fault} at request {number}"
                assert reached.host, f"{fault} at request {number}"

        assert scene.billed("instance") == [f"instance {made.id}"]

    def test_a_machine_is_waited_for_through_a_service_that_is_down_while_it_boots(
        self, provider: Provider, scene: Scene
    ) -> None:
        scene.need("ssh")
        scene.need("drop_before")
        made = provider.create_instance(scene.request())
        for number in range(1, 6):
            scene.world.inject("drop_before", at=number)

        assert provider.wait_for_ssh(made, timeout=BOOT).id == made.id

    def test_a_boot_that_never_ends_is_given_up_in_time(
        self, provider: Provider, scene: Scene
    ) -> None:
        """It waits without a time limit, or raises another error."""
        scene.need("never_boots")
        scene.world.inject("never_boots")
        began = time.monotonic()
        try:
            made = provider.create_instance(scene.request())
        except MateriaError:  # a provider may wait for the boot in create; then nothing is left
            assert scene.billed() == []
            return

        with pytest.raises(ReadyTimeoutError, match=made.name):
            provider.wait_for_ssh(made, timeout=timedelta(seconds=2))

        assert time.monotonic() - began < 30
        provider.destroy_instance(made)
        assert scene.billed() == []
