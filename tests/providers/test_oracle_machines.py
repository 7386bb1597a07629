"""Instances of the oracle plugin, made and destroyed with all that is theirs and nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes.oracle_open import E4, offer_of, opened, request
from materia.compute import Instance
from materia.errors import CapacityError, ConfigError, OrphanError, ProviderError, ReadyTimeoutError
from materia_oracle.emulator.service import Oracle as Cloud
from materia_testing.emulation import Fault


def launches(cloud: Cloud) -> int:
    return sum((one.method, one.path) == cloud.create_call for one in cloud.exchanges)


def test_no_capacity_is_asked_for_once_and_never_retried(cloud: Cloud) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, E4)
    cloud.faults.next(*cloud.create_call, Fault(error="sold_out"), times=None)

    with pytest.raises(CapacityError, match=r"Out of host capacity"):
        provider.create_instance(request(offer))

    assert launches(cloud) == 1
    assert cloud.still_billed() == []


def test_a_launch_without_an_answer_is_repeated_with_the_same_token(cloud: Cloud) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, E4)
    cloud.faults.next(*cloud.create_call, Fault(drop="after"))

    made = provider.create_instance(request(offer))

    assert launches(cloud) == 2
    assert list(cloud.instances) == [made.id]


def test_a_shape_that_a_domain_does_not_have_is_a_matter_of_capacity(cloud: Cloud) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, "VM.Standard.A1.Flex", domain=2)
    elsewhere = replace(offer, zone=offer.zone.replace("AD-2", "AD-1"))

    with pytest.raises(CapacityError, match=r"shape VM.Standard.A1.Flex not found"):
        provider.create_instance(request(elsewhere))


def test_an_instance_is_launched_as_large_as_the_offer_says(cloud: Cloud) -> None:
    provider = opened(cloud)

    provider.create_instance(request(offer_of(provider, E4)))

    (instance,) = cloud.instances.values()
    (volume,) = cloud.volumes.values()
    assert (instance.ocpus, instance.memory_gb, volume.size_gb, volume.vpus) == (1, 8, 50, 10)


@pytest.mark.parametrize(
    ("shape", "domain", "image"),
    [(E4, 1, "canonical-ubuntu-2404-20260731-0"), ("VM.Standard.A1.Flex", 2, "aarch64-20260731-0")],
)
def test_the_newest_full_image_for_the_processor_is_booted(
    cloud: Cloud, shape: str, domain: int, image: str
) -> None:
    provider = opened(cloud)

    provider.create_instance(request(offer_of(provider, shape, domain)))

    (instance,) = cloud.instances.values()
    assert instance.image.endswith(image)


def test_user_data_key_and_tags_go_with_the_launch(cloud: Cloud) -> None:
    provider = opened(cloud)
    text = '#cloud-config\n{"ssh_keys": {"ed25519_public": "ssh-ed25519 BBBB"}}\n'

    provider.create_instance(replace(request(offer_of(provider, E4)), user_data=text))

    (instance,) = cloud.instances.values()
    assert instance.metadata == {
        "user_data": base64.b64encode(text.encode()).decode(),
        "ssh_authorized_keys": "ssh-ed25519 AAAA",
    }
    assert instance.tags == {
        "materia-name": "materia-r1-extract",
        "materia-run": "r1",
        "materia-stage": "extract",
        "materia-expires": "1893456000",
    }


def test_user_data_is_limited_in_its_encoded_form(cloud: Cloud) -> None:
    provider = opened(cloud)
    wanted = replace(request(offer_of(provider, E4)), user_data="#" * 24_100)

    with pytest.raises(ProviderError, match="as base64"):
        provider.create_instance(wanted)

    assert launches(cloud) == 0


def test_an_image_that_does_not_exist_is_a_mistake_in_the_settings(cloud: Cloud) -> None:
    provider = opened(cloud, image="Slackware 15")

    with pytest.raises(ConfigError, match=f"no image 'Slackware 15' boots {E4}"):
        provider.create_instance(request(offer_of(provider, E4)))

    assert cloud.still_billed() == []


def test_without_a_subnet_nothing_is_created(cloud: Cloud) -> None:
    provider = opened(cloud, subnet="")

    with pytest.raises(ConfigError, match=r"providers.oracle.subnet is not set; set it"):
        provider.create_instance(request(offer_of(provider, E4)))

    assert launches(cloud) == 0


def test_a_terminated_instance_is_listed_by_oracle_and_not_by_materia(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.destroy_instance(provider.create_instance(request(offer_of(provider, E4))))

    assert len(cloud.instances) == 1
    assert list(provider.list_instances()) == []


@pytest.mark.parametrize("tagged", [True, False])
def test_a_boot_volume_that_stayed_is_found_and_deleted(cloud: Cloud, *, tagged: bool) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, E4)))
    cloud.keeps_boot_volumes = True
    if tagged:
        cloud.faults.next("DELETE", "*/bootVolumes/*", Fault(error="conflict"), times=None)
        with pytest.raises(OrphanError):
            provider.destroy_instance(made)
        cloud.faults.clear()
    else:  # terminated by somebody who did not know of the tags
        instance = cloud.instances[made.id]
        instance.deleted_at = instance.ended_at = cloud.now()
        cloud.meter.stop("instance", made.id, cloud.now())
    assert [line.kind for line in cloud.still_billed()] == ["volume"]

    (left,) = opened(cloud).list_instances()
    opened(cloud).destroy_instance(left)

    assert (left.id, left.name) == ("", "materia-r1-extract")
    assert cloud.still_billed() == []


def test_an_instance_of_somebody_else_is_left_alone(cloud: Cloud) -> None:
    cloud.add_foreign()
    (identity, *_) = cloud.instances
    stranger = Instance(
        provider="oracle",
        id=identity,
        name="materia-web",
        run="",
        stage="",
        region="eu-frankfurt-1",
        expires_at=datetime(2020, 1, 1, tzinfo=UTC),
    )

    with pytest.raises(ProviderError, match="was not made by materia"):
        opened(cloud).destroy_instance(stranger)

    (volume, *_) = cloud.volumes.values()
    assert cloud.instances[identity].deleted_at is None
    assert volume.tags == {}


def test_giving_up_names_everything_and_how_to_delete_it(cloud: Cloud) -> None:
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, E4)))
    cloud.behaviour.never_deletes = True

    with pytest.raises(OrphanError) as caught:
        provider.destroy_instance(made)

    (volume,) = cloud.volumes
    for command in (
        f"oci compute instance terminate --instance-id {made.id} --preserve-boot-volume false",
        f"oci bv boot-volume delete --boot-volume-id {volume}",
        "the freeform tag materia-name=materia-r1-extract",
    ):
        assert command in str(caught.value)


def test_an_instance_that_ends_while_it_boots_never_answers(cloud: Cloud) -> None:
    cloud.behaviour.boot_fails = True
    provider = opened(cloud)
    made = provider.create_instance(request(offer_of(provider, E4)))

    with pytest.raises(ReadyTimeoutError, match="did not start, it is TERMINATED"):
        provider.wait_for_ssh(made, timeout=timedelta(seconds=2))
