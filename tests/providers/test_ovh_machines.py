"""Instances of the ovh plugin, made and destroyed with all that is theirs and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.ovh_catalog import flavor, read
from fakes.ovh_open import offer_of, opened
from fakes.renting import request_for
from materia.compute import Offer
from materia.errors import CapacityError, ConfigError, MateriaError, OrphanError, ProviderError
from materia_ovh.emulator.service import Ovh as Cloud
from materia_ovh.names import read_name
from materia_ovh.settings import read_settings
from materia_providers.labels import Owner


def test_an_instance_is_made_by_the_hour_with_its_key_and_image(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider), user_data="")

    made = provider.create_instance(request)

    instance = cloud.instances[made.id]
    assert read_name(instance.name) == Owner(
        name=request.name, run=request.run, stage="extract", expires_at=request.expires_at
    )
    assert instance.image["name"] == "Debian 12"
    assert instance.key is not None
    assert instance.key.public_key == request.public_key
    posted = next(each for each in cloud.exchanges if (each.method, each.status) == ("POST", 200))
    assert posted.path.endswith("/sshkey")
    assert b'"monthlyBilling":false' in cloud.exchanges[-1].body
    assert made.instance_type == "b3-8"


def test_flavors_and_images_are_those_of_the_region(cloud: Cloud) -> None:
    provider = opened(cloud)

    made = provider.create_instance(request_for(offer_of(provider, region="BHS5")))

    assert cloud.instances[made.id].region == "BHS5"
    assert made.region == "BHS5"


def test_a_key_that_was_left_alone_is_listed_and_deleted(cloud: Cloud) -> None:
    provider = opened(cloud)
    cloud.faults.cut(7, handled=False)  # after the key, before the instance
    with pytest.raises(MateriaError):
        provider.create_instance(request_for(_any_offer()))
    cloud.faults.clear()
    left = opened(cloud).list_instances()

    assert [[one.kind for one in instance.attached] for instance in left] == [["key"]]
    for instance in left:
        opened(cloud).destroy_instance(instance)

    assert cloud.still_billed() == []


def test_two_instances_of_one_name_both_go(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    made = provider.create_instance(request)
    first = cloud.instances[made.id]
    first.created -= timedelta(seconds=5)
    cloud._add_instance(
        first.name, first.region, flavor=first.flavor, image=first.image, key=first.key
    )

    assert provider.create_instance(request).id == made.id
    opened(cloud).destroy_instance(made)

    assert cloud.still_billed() == []


def test_an_instance_that_cannot_be_built_is_destroyed_and_the_next_offer_is_tried(
    cloud: Cloud,
) -> None:
    cloud.behaviour.boot_fails = True
    provider = opened(cloud)
    made = provider.create_instance(request_for(offer_of(provider)))

    with pytest.raises(CapacityError, match="status ERROR"):
        provider.wait_for_ssh(made, timeout=timedelta(seconds=5))

    assert cloud.still_billed() == []
    assert cloud.billed() == {"EUR": 0}


def test_two_processes_that_create_one_name_at_a_time_get_one_machine(cloud: Cloud) -> None:
    request = request_for(offer_of(opened(cloud)))
    for _ in range(5):
        both = [opened(cloud), opened(cloud)]
        with ThreadPoolExecutor(2) as threads:
            made = list(threads.map(lambda one: one.create_instance(request), both))

        assert len({instance.id for instance in made}) == 1
        assert len(cloud.instances) == 1
        opened(cloud).destroy_instance(made[0])
    assert cloud.still_billed() == []


def test_what_is_being_deleted_is_not_adopted(cloud: Cloud) -> None:
    cloud.behaviour.delete = timedelta(seconds=20)
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    made = provider.create_instance(request)
    cloud.instances[made.id].gone_at = cloud.now() + timedelta(seconds=20)
    cloud.meter.stop("instance", made.id, cloud.now() + timedelta(seconds=20))

    again = opened(cloud).create_instance(request)

    assert again.id != made.id
    assert [line.id for line in cloud.still_billed() if line.kind == "instance"] == [again.id]


def test_destroying_what_is_not_materias_is_refused(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request_for(offer_of(provider)))
    cloud.instances[made.id].name = "materia-web"

    with pytest.raises(ProviderError, match="is not materia's"):
        provider.destroy_instance(made)

    assert made.id in cloud.instances


def test_sold_out_and_over_quota_are_capacity_errors_and_leave_nothing(cloud: Cloud) -> None:
    provider = opened(cloud)

    for name, region in (("c3-4", "SBG5"), ("r3-16", "GRA11")):
        with pytest.raises(CapacityError):
            provider.create_instance(request_for(offer_of(provider, name, region)))

    assert cloud.still_billed() == []


def test_an_image_that_is_not_there_is_an_error_that_lists_those_that_are(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), image="Debian 9")
    provider = opened(cloud, settings)

    with pytest.raises(ConfigError, match=r"providers.ovh.image .* Debian 12, Debian 13"):
        provider.create_instance(request_for(offer_of(provider)))

    assert cloud.still_billed() == []


def test_user_data_over_the_limit_is_refused_before_any_request(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider), user_data="#" * 50_000)
    before = cloud.faults.seen

    with pytest.raises(ProviderError, match="65,535"):
        provider.create_instance(request)

    assert cloud.faults.seen == before


def test_giving_up_names_the_instance_and_where_to_delete_it(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request_for(offer_of(provider)))
    cloud.behaviour.never_deletes = True

    with pytest.raises(OrphanError, match=rf"{made.id}.*GRA11.*ovh.com/manager"):
        provider.destroy_instance(made)


def _any_offer() -> Offer:
    (offer,) = read([flavor()])
    return offer
