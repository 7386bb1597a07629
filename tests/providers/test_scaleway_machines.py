"""Servers of the scaleway plugin, made and destroyed with all that is theirs and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.scaleway_open import offer_of, opened, request
from materia.compute import Instance
from materia.errors import ConfigError, MateriaError, OrphanError, ProviderError, ReadyTimeoutError
from materia_scaleway.emulator.service import Scaleway as Cloud


def test_a_server_gets_its_user_data_before_it_is_started(cloud: Cloud) -> None:
    provider = opened(cloud)
    wanted = request(offer_of(provider, "DEV1-L"))
    before = len(cloud.exchanges)

    provider.create_instance(wanted)

    changes = [
        (one.method, one.path.rpartition("/")[2])
        for one in cloud.exchanges[before:]
        if one.method != "GET"
    ]
    (volume,) = cloud.volumes
    assert changes == [
        ("POST", "ips"),
        ("POST", "servers"),
        ("PATCH", volume),
        ("PATCH", "cloud-init"),
        ("POST", "action"),
    ]


def test_everything_that_is_made_carries_the_tags(cloud: Cloud) -> None:
    provider = opened(cloud)

    provider.create_instance(request(offer_of(provider, "DEV1-L")))

    tags = [
        "materia",
        "materia-name=materia-r1-extract",
        "materia-run=r1",
        "materia-stage=extract",
        "materia-expires=1893456000",
    ]
    (server,), (volume,) = cloud.servers.values(), cloud.volumes.values()
    (address,) = cloud.addresses.values()
    assert [server.tags, volume.tags, address.tags] == [tags, tags, tags]


def test_the_image_fits_the_processor(cloud: Cloud) -> None:
    provider = opened(cloud)

    provider.create_instance(request(offer_of(provider, "BASIC2-A2C-8G")))

    (server,) = cloud.servers.values()
    assert (server.image, server.kind.architecture) == ("ubuntu_noble", "arm64")


def test_an_image_that_does_not_exist_is_a_mistake_in_the_settings(cloud: Cloud) -> None:
    provider = opened(cloud, image="slackware")

    with pytest.raises(ConfigError, match=r"no image 'slackware' for x86_64 boots DEV1-L"):
        provider.create_instance(request(offer_of(provider, "DEV1-L")))

    assert cloud.still_billed() == []


def test_without_a_project_nothing_is_created(cloud: Cloud) -> None:
    provider = opened(cloud, project="")

    with pytest.raises(ConfigError, match=r"providers.scaleway.project is not set; set it"):
        provider.create_instance(request(offer_of(opened(cloud), "DEV1-L")))

    assert cloud.still_billed() == []


def test_a_server_that_is_left_stopped_is_started_when_it_is_adopted(cloud: Cloud) -> None:
    provider = opened(cloud)
    wanted = request(offer_of(provider, "DEV1-L"))
    creates = provider.create_instance
    seen = cloud.faults.seen
    creates(wanted)
    number = cloud.faults.seen - seen
    provider.destroy_instance(provider.list_instances()[0])
    cloud.faults.cut(number, handled=False)  # killed just before the power comes on
    with pytest.raises(MateriaError):
        creates(wanted)
    cloud.faults.clear()

    adopted = opened(cloud).create_instance(wanted)

    (server,) = cloud.servers.values()
    assert adopted.id == server.id
    assert server.powered is not None


def test_a_volume_that_its_server_left_is_found_by_its_tag_and_deleted(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.create_instance(request(offer_of(provider, "DEV1-L")))
    (server,) = cloud.servers.values()
    server.gone_at = cloud.now()  # terminated by somebody; volume and address stay
    cloud.meter.stop("instance", server.id, cloud.now())
    cloud.collect()

    (left,) = opened(cloud).list_instances()
    opened(cloud).destroy_instance(left)

    assert (left.id, left.name) == ("", "materia-r1-extract")
    assert sorted(one.kind for one in left.attached) == ["address", "volume"]
    assert cloud.still_billed() == []


def test_an_untagged_boot_volume_goes_with_its_server(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.create_instance(request(offer_of(provider, "DEV1-L")))
    for volume in cloud.volumes.values():
        volume.tags = []  # as after a crash between create and tag

    (found,) = opened(cloud).list_instances()
    opened(cloud).destroy_instance(replace(found, attached=()))

    assert cloud.still_billed() == []


def test_a_crash_in_create_and_one_in_destroy_leave_a_volume_that_is_found(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.create_instance(request(offer_of(provider, "DEV1-L")))
    for volume in cloud.volumes.values():
        volume.tags = []  # as after a crash between create and tag
    cloud.clock.advance(cloud.behaviour.boot)
    (found,) = opened(cloud).list_instances()
    cloud.faults.cut(6, handled=True)  # dead once the terminate was accepted
    with pytest.raises(OrphanError):
        opened(cloud).destroy_instance(found)
    cloud.faults.clear()
    assert "instance" not in {line.kind for line in cloud.still_billed()}

    for left in opened(cloud).list_instances():
        opened(cloud).destroy_instance(left)

    assert cloud.still_billed() == []


def test_a_server_of_somebody_else_is_left_alone(cloud: Cloud) -> None:
    cloud.add_foreign()
    (identity, *_) = cloud.servers
    stranger = Instance(
        provider="scaleway",
        id=identity,
        name="materia-web",
        run="",
        stage="",
        region="fr-par",
        expires_at=datetime(2020, 1, 1, tzinfo=UTC),
    )

    with pytest.raises(ProviderError, match="was not made by materia"):
        opened(cloud).destroy_instance(stranger)

    assert identity in cloud.servers


def test_giving_up_names_everything_and_how_to_delete_it(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, "DEV1-L")))
    cloud.behaviour.never_deletes = True

    with pytest.raises(OrphanError) as caught:
        provider.destroy_instance(made)

    (volume,), (address,) = cloud.volumes, cloud.addresses
    for command in (
        f"scw instance server terminate {made.id} zone=fr-par-1 with-ip=true with-block=true",
        f"scw block volume delete {volume} zone=fr-par-1",
        f"scw instance ip delete {address} zone=fr-par-1",
        "the tag materia-name=materia-r1-extract",
    ):
        assert command in str(caught.value)


def test_a_server_that_falls_back_to_stopped_never_answers(cloud: Cloud) -> None:
    cloud.behaviour.boot_fails = True
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, "DEV1-L")))

    with pytest.raises(ReadyTimeoutError):
        provider.wait_for_ssh(made, timeout=timedelta(seconds=1))
