"""Servers of the hetzner plugin, made and destroyed with all that is theirs and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import hcloud
import pytest
from fakes.hetzner_open import offer_of, opened
from fakes.renting import request_for
from materia.errors import CapacityError, ConfigError, ProviderError
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_hetzner.settings import read_settings
from materia_providers.cloud_init import generate_key
from materia_testing.emulation import Fault


def test_a_server_is_made_with_its_labels_key_image_and_one_address(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider))

    made = provider.create_instance(request)

    server = cloud.servers[int(made.id)]
    assert server.labels == {
        "materia-name": request.name,
        "materia-run": request.run,
        "materia-stage": "extract",
        "materia-expires": str(int(request.expires_at.timestamp())),
    }
    assert server.image["name"] == "debian-12"
    assert server.keys == (request.public_key,)
    assert server.ipv6 is None
    assert [attached.kind for attached in made.attached] == ["address"]
    assert made.instance_type == "ccx13"


def test_two_stages_of_a_run_share_a_key_and_both_go(cloud: Cloud) -> None:
    provider = opened(cloud)
    offer = offer_of(provider)
    key = generate_key().public
    one = provider.create_instance(request_for(offer, public_key=key))
    other = provider.create_instance(request_for(offer, "transform", public_key=key))

    provider.destroy_instance(one)
    provider.destroy_instance(other)

    assert cloud.still_billed() == []


def test_a_key_of_the_users_own_is_used_and_never_deleted(cloud: Cloud) -> None:
    provider = opened(cloud)
    key = generate_key().public
    client = hcloud.Client(cloud.token, f"{cloud.url}/v1", timeout=2)
    client.ssh_keys.create("laptop", key)

    provider.destroy_instance(
        provider.create_instance(request_for(offer_of(provider), public_key=key))
    )

    assert [line.name for line in cloud.still_billed()] == ["laptop"]


def test_a_server_of_that_name_that_is_not_materias_is_left_alone(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    cloud.add_foreign()
    stranger = next(iter(cloud.servers.values()))
    stranger.name = request.name

    with pytest.raises(ProviderError, match=r"exists .* and is not materia's"):
        provider.create_instance(request)

    assert cloud.still_billed() == []
    assert stranger.id in cloud.servers


def test_two_processes_that_create_one_name_at_a_time_get_one_machine(cloud: Cloud) -> None:
    request = request_for(offer_of(opened(cloud)))
    for _ in range(5):
        both = [opened(cloud), opened(cloud)]
        with ThreadPoolExecutor(2) as threads:
            made = list(threads.map(lambda one: one.create_instance(request), both))

        assert len({instance.id for instance in made}) == 1
        assert len(cloud.servers) == 1
        opened(cloud, patience=timedelta(seconds=30)).destroy_instance(made[0])
    assert cloud.still_billed() == []


def test_what_is_being_deleted_is_not_adopted(cloud: Cloud) -> None:
    cloud.behaviour.delete = timedelta(seconds=20)
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    made = provider.create_instance(request)
    cloud.servers[int(made.id)].gone_at = cloud.now() + timedelta(seconds=20)
    cloud.meter.stop("instance", made.id, cloud.now() + timedelta(seconds=20))

    again = opened(cloud).create_instance(request)

    assert again.id != made.id
    assert [line.id for line in cloud.still_billed() if line.kind == "instance"] == [again.id]


def test_destroying_what_is_not_materias_is_refused(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request_for(offer_of(provider)))
    cloud.servers[int(made.id)].labels = {"materia": "yes"}

    with pytest.raises(ProviderError, match="is not materia's"):
        provider.destroy_instance(made)

    assert int(made.id) in cloud.servers


def test_addresses_that_outlive_their_server_are_deleted(cloud: Cloud) -> None:
    cloud.leaks_addresses = True
    provider = opened(cloud)

    provider.destroy_instance(provider.create_instance(request_for(offer_of(provider))))

    assert cloud.still_billed() == []


def test_a_volume_that_was_left_with_materias_labels_is_listed_and_deleted(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request_for(offer_of(provider)))
    volume = cloud.add_volume(cloud.servers[int(made.id)])
    (listed,) = opened(cloud).list_instances()

    opened(cloud).destroy_instance(listed)

    assert ("volume", str(volume.id)) in [(one.kind, one.id) for one in listed.attached]
    assert cloud.still_billed() == []


def test_an_image_that_is_not_there_is_an_error_that_lists_those_that_are(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), image="debian-9")
    provider = opened(cloud, settings)

    with pytest.raises(ConfigError, match=r"providers.hetzner.image .* debian-12, debian-13"):
        provider.create_instance(request_for(offer_of(provider)))

    assert cloud.still_billed() == []


def test_user_data_over_the_limit_is_refused_before_any_request(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider), user_data="#" * (32 * 1024 + 1))
    before = cloud.faults.seen

    with pytest.raises(ProviderError, match="32,768"):
        provider.create_instance(request)

    assert cloud.faults.seen == before


def test_a_type_that_is_listed_and_sold_out_is_a_capacity_error(cloud: Cloud) -> None:
    provider = opened(cloud)

    with pytest.raises(CapacityError, match="error during placement"):
        provider.create_instance(request_for(offer_of(provider, "cx33")))

    assert cloud.still_billed() == []


def test_a_short_rate_limit_is_waited_out(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    cloud.faults.next(*cloud.create_call, Fault(error="rate_limit"), times=2)

    provider.create_instance(request)

    assert len(cloud.servers) == 1
