from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import oci  # type: ignore[import-untyped]
import pytest
from fakes.oracle_open import NEEDS, offer_of, opened, request
from materia import Opening
from materia.cost import cost
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    NoOfferError,
    OrphanError,
    ProviderError,
    ReadyTimeoutError,
)
from materia.machines import Instance
from materia.testing.cloud import Clock, Fault
from materia.testing.cloud.oracle import Oracle as Cloud
from materia_oracle import errors as plugin_errors
from materia_oracle import materia_providers

E4 = "VM.Standard.E4.Flex"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=100)) as cloud:
        yield cloud


def opening(cloud: Cloud, **settings: object) -> Opening:
    return Opening(
        secrets=cloud.secrets(), settings={**cloud.settings(), **settings}, directory=Path()
    )


def launches(cloud: Cloud) -> int:
    return sum((one.method, one.path) == cloud.create_call for one in cloud.exchanges)


def modules_after(program: str) -> set[str]:
    answer = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(answer.stdout.split())


def test_declaring_the_plugin_imports_neither_its_sdk_nor_an_http_client() -> None:
    loaded = modules_after("import materia_oracle; materia_oracle.materia_providers()")

    assert not {"oci", "httpx", "cryptography"} & loaded


def test_prices_need_no_sdk(cloud: Cloud) -> None:
    program = (
        "from pathlib import Path; import materia_oracle; from materia import Opening;"
        "from materia.machines import Requirements;"
        f"opening = Opening(secrets={{}}, settings={cloud.settings()!r}, directory=Path());"
        "assert materia_oracle.public_offers(opening, Requirements())"
    )
    loaded = modules_after(program)

    assert "httpx" in loaded
    assert "oci" not in loaded


def test_the_sdk_is_imported_without_the_clients_of_every_service() -> None:
    loaded = modules_after("import materia_oracle.opening")

    assert "oci.core" in loaded
    assert "oci.database" not in loaded


def test_every_setting_of_the_emulator_is_declared(cloud: Cloud) -> None:
    (plugin,) = materia_providers()

    assert set(cloud.settings()) <= {setting.name for setting in plugin.settings}
    assert set(cloud.secrets()) == set(plugin.secrets)


def test_what_the_plugin_opens_can_rent(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    provider = plugin.open(opening(cloud))
    made = provider.create_instance(request(provider.offers(NEEDS)[0]))

    provider.destroy_instance(made)

    assert cloud.still_billed() == []


def test_line_ends_that_were_copied_with_the_credentials_do_no_harm(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    copied = {name: f"{value}\n" for name, value in cloud.secrets().items()}

    provider = plugin.open(replace(opening(cloud), secrets=copied))

    assert provider.offers(NEEDS)


def test_a_key_that_is_none_is_refused_and_not_told(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), "OCI_CLI_KEY_CONTENT": "passwörd"}

    with pytest.raises(CredentialsError, match="OCI_CLI_KEY_CONTENT has a character") as raised:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "passw" not in str(raised.value)


# Offers


def test_a_shape_is_offered_in_the_domains_that_have_it(cloud: Cloud) -> None:
    offers = opened(cloud).offers(NEEDS)
    zones = {
        name: [one.zone[-1] for one in offers if one.instance_type == name]
        for name in (E4, "VM.Standard.E6.Flex", "VM.Standard.A1.Flex")
    }

    assert list(zones.values()) == [["1", "2", "3"], ["1", "3"], ["2"]]
    assert {one.region for one in offers} == {"eu-frankfurt-1"}


def test_shapes_without_a_price_and_shapes_for_free_are_no_offers(cloud: Cloud) -> None:
    names = {offer.instance_type for offer in opened(cloud).offers(NEEDS)}

    assert "VM.Standard2.2" in names  # a fixed shape: its memory is in the price
    assert not names & {"VM.Standard.E2.1.Micro", "BM.Standard.E4.128"}


def test_stock_is_what_the_capacity_report_says(cloud: Cloud) -> None:
    cloud.behaviour.sold_out = frozenset({E4})
    provider = opened(cloud)

    assert offer_of(provider, E4).availability == "unavailable"
    assert offer_of(provider, "VM.Standard.E5.Flex").availability == "available"


def test_an_account_that_may_not_ask_for_capacity_still_sees_prices(cloud: Cloud) -> None:
    cloud.faults.next("POST", "*/computeCapacityReports", Fault(error="not_found"), times=None)

    assert offer_of(opened(cloud), E4).availability == "unknown"


def test_pages_are_walked_to_the_end(cloud: Cloud) -> None:
    whole = opened(cloud).offers(NEEDS)
    cloud.page_limit = 2

    paged = opened(cloud).offers(NEEDS)

    assert [one.instance_type for one in paged] == [one.instance_type for one in whole]


@pytest.mark.parametrize("asked", ["eu-frankfurt-1", "Emul:EU-FRANKFURT-1-AD-2"])
def test_a_region_and_a_domain_can_be_asked_for(cloud: Cloud, asked: str) -> None:
    offers = opened(cloud).offers(replace(NEEDS, regions=(asked,)))

    assert {asked} <= {offer.region for offer in offers} | {offer.zone for offer in offers}


def test_another_region_than_the_configured_one_is_no_offer(cloud: Cloud) -> None:
    with pytest.raises(NoOfferError, match="only the region in OCI_CLI_REGION is in use, not us-"):
        opened(cloud).offers(replace(NEEDS, regions=("us-ashburn-1",)))


@pytest.mark.parametrize("seconds", [1, 60, 61, 600, 3661])
def test_the_bill_is_what_was_predicted(seconds: int) -> None:
    with Cloud(clock=Clock(speed=0)) as cloud:
        cloud.behaviour.delete = timedelta(0)
        provider = opened(cloud)
        offer = offer_of(provider, E4)
        made = provider.create_instance(request(offer))
        cloud.clock.advance(timedelta(seconds=seconds))
        provider.destroy_instance(made)

        predicted = cost(offer, timedelta(seconds=seconds)).cost

        assert set(cloud.billed()) == {"EUR"}
        assert abs(cloud.billed()["EUR"] - predicted.amount) < 10**-20  # Decimal's last digits


# Create and destroy


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

    made = provider.create_instance(replace(request(offer_of(provider, E4)), user_data=text))

    (instance,) = cloud.instances.values()
    assert made.host_key == "ssh-ed25519 BBBB"
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

    with pytest.raises(ConfigError, match=r"set subnet in \[providers.oracle\]"):
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


# Settings, credentials, errors


def test_the_key_may_have_its_line_ends_written_out(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    key = cloud.key.private_pem.strip().replace("\n", "\\n")
    secrets = {**cloud.secrets(), "OCI_CLI_KEY_CONTENT": key}

    assert plugin.open(replace(opening(cloud), secrets=secrets)).offers(NEEDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCI_CLI_KEY_CONTENT", "hunter2"),
        ("OCI_CLI_FINGERPRINT", "hunter2"),
        ("OCI_CLI_USER", "hunter2"),
    ],
)
def test_malformed_credentials_are_refused_without_repeating_them(
    cloud: Cloud, name: str, value: str
) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), name: value}

    with pytest.raises(CredentialsError) as caught:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "hunter2" not in str(caught.value)


def test_a_clock_that_is_wrong_is_a_matter_of_credentials(cloud: Cloud) -> None:
    cloud.ahead = timedelta(minutes=6)

    with pytest.raises(CredentialsError, match="this machine's clock"):
        opened(cloud).offers(NEEDS)


@pytest.mark.parametrize(
    ("setting", "value"), [("compartment", "materia"), ("subnet", "ocid1.vcn.oc1..x")]
)
def test_a_setting_that_is_no_ocid_is_named(cloud: Cloud, setting: str, value: str) -> None:
    (plugin,) = materia_providers()

    with pytest.raises(ConfigError, match=f"{setting} in .* must be the OCID of a {setting}"):
        plugin.open(opening(cloud, **{setting: value}))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("sold_out", CapacityError),
        ("quota", CapacityError),
        ("compartment_quota", CapacityError),
        ("no_shape", CapacityError),
        ("unauthorized", CredentialsError),
        ("forbidden", CredentialsError),
        ("not_found", ProviderError),
        ("rate_limit", ProviderError),
        ("conflict", ProviderError),
        ("invalid", ProviderError),
        ("unavailable", ProviderError),
    ],
)
def test_a_refusal_is_the_error_its_body_says(
    cloud: Cloud, error: str, expected: type[MateriaError]
) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, E4)
    cloud.faults.next(*cloud.create_call, Fault(error=error), times=None)

    with pytest.raises(expected, match=f"launch {E4}"):
        provider.create_instance(request(offer))

    assert cloud.still_billed() == []


def test_the_page_of_a_gateway_is_told_by_its_status(
    cloud: Cloud,
) -> None:
    cloud.faults.next("GET", "*", Fault(error="bad_gateway"), times=None)
    with pytest.raises(ProviderError, match=r"^oracle: list availability domains: HTTP 502$"):
        opened(cloud).offers(NEEDS)


def test_every_exception_of_the_sdk_is_translated() -> None:
    found = [
        kind
        for kind in vars(oci.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]

    assert len(found) > 15
    for kind in found:
        error: Any = kind.__new__(kind)
        if issubclass(kind, oci.exceptions.ServiceError):
            error.status, error.code, error.message = 418, "Teapot", ""
        with pytest.raises(ProviderError), plugin_errors.translated("try"):
            raise error
