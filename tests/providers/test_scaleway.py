from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from fakes.scaleway_open import NEEDS, offer_of, opened, request
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
from materia.testing.cloud.scaleway import Scaleway as Cloud
from materia_scaleway import errors as plugin_errors
from materia_scaleway import materia_providers
from scaleway_core import api as sdk


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=100)) as cloud:
        yield cloud


def opening(cloud: Cloud, **settings: object) -> Opening:
    return Opening(
        secrets=cloud.secrets(), settings={**cloud.settings(), **settings}, directory=Path()
    )


def test_declaring_the_plugin_imports_neither_its_sdk_nor_an_http_client() -> None:
    program = (
        "import sys, materia_scaleway; materia_scaleway.materia_providers(); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert not {"scaleway", "scaleway_core", "requests", "httpx"} & set(answer.stdout.split())


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


# Offers


def test_prices_are_exact_to_the_last_digit_of_the_catalog(cloud: Cloud) -> None:
    offer = offer_of(opened(cloud), "BASIC3-X2C-8G")

    assert Decimal("0.059225") == offer.hourly.amount
    assert offer.hourly.currency == "EUR"


def test_address_and_volume_are_billed_beside_the_instance(cloud: Cloud) -> None:
    address, volume = offer_of(opened(cloud), "DEV1-L").extras

    assert address.hourly.amount == Decimal("0.004")
    assert address.minimum is not None
    assert address.minimum.amount == Decimal("0.01")
    # 20 GiB are 21.5 GB, and volumes are sold by the whole GB.
    assert volume.hourly.amount == 22 * Decimal("0.000118")
    assert volume.source.startswith(cloud.url)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (10, Decimal("0.04284") + Decimal("0.01") + Decimal("0.002596")),
        (60, Decimal("0.04284") + Decimal("0.01") + Decimal("0.002596")),
        (61, 2 * Decimal("0.04284") + Decimal("0.01") + 2 * Decimal("0.002596")),
        (240, 4 * Decimal("0.04284") + Decimal("0.016") + 4 * Decimal("0.002596")),
    ],
)
def test_a_job_costs_started_hours_of_each_of_the_three(
    cloud: Cloud, minutes: int, expected: Decimal
) -> None:
    offer = offer_of(opened(cloud), "DEV1-L")

    assert cost(offer, timedelta(minutes=minutes)).cost.amount == expected


def test_the_bill_is_what_was_predicted() -> None:
    with Cloud(clock=Clock(speed=0)) as cloud:
        cloud.behaviour.delete = timedelta(0)
        provider = opened(cloud)
        offer = offer_of(provider, "DEV1-L")
        made = provider.create_instance(request(offer))
        cloud.clock.advance(timedelta(minutes=75))
        provider.destroy_instance(made)

        predicted = cost(offer, timedelta(minutes=75)).cost

        assert cloud.billed() == {"EUR": predicted.amount}


def test_stock_is_part_of_an_offer(cloud: Cloud) -> None:
    cloud.behaviour.sold_out = frozenset({"DEV1-L"})
    provider = opened(cloud)

    assert offer_of(provider, "DEV1-L").availability == "unavailable"
    assert offer_of(provider, "PRO2-XXS").availability == "available"
    assert offer_of(provider, "BASIC2-A2C-8G").availability == "scarce"


def test_retired_types_and_windows_types_are_no_offers(cloud: Cloud) -> None:
    names = {offer.instance_type for offer in opened(cloud).offers(NEEDS)}

    assert "DEV1-L" in names
    assert not names & {"ENT1-S", "POP2-2C-8G-WIN"}


def test_a_type_that_will_be_retired_says_when(cloud: Cloud) -> None:
    retires_on = offer_of(opened(cloud), "PLAY2-MICRO").retires_on

    assert retires_on == datetime(2027, 6, 30, tzinfo=UTC).date()


def test_the_catalog_says_whether_a_processor_is_shared(cloud: Cloud) -> None:
    provider = opened(cloud)

    assert offer_of(provider, "POP2-2C-8G").cpu == "dedicated"
    assert offer_of(provider, "PRO2-XXS").cpu == "shared"
    assert offer_of(provider, "GP1-XS").cpu == "shared"  # by its range: the catalog is silent
    assert offer_of(provider, "BASIC3-X2C-8G").cpu == "unknown"


def test_pages_are_walked_to_the_end(cloud: Cloud) -> None:
    whole = opened(cloud).offers(NEEDS)
    cloud.page_limit = 3

    paged = opened(cloud).offers(NEEDS)

    assert [one.instance_type for one in paged] == [one.instance_type for one in whole]


@pytest.mark.parametrize(("asked", "zones"), [("fr-par", {"fr-par-1"}), ("nl-ams-1", {"nl-ams-1"})])
def test_a_region_and_a_zone_can_be_asked_for(cloud: Cloud, asked: str, zones: set[str]) -> None:
    offers = opened(cloud).offers(replace(NEEDS, regions=(asked,)))

    assert {offer.zone for offer in offers} == zones
    assert not [one for one in cloud.exchanges if "nl-ams-1" in one.target and asked == "fr-par"]


def test_a_region_that_is_not_in_use_is_no_offer(cloud: Cloud) -> None:
    with pytest.raises(NoOfferError, match="no zone in pl-waw; in use: fr-par-1, nl-ams-1"):
        opened(cloud).offers(replace(NEEDS, regions=("pl-waw",)))


def test_a_catalog_that_is_gone_leaves_the_prices_of_the_types(cloud: Cloud) -> None:
    cloud.faults.next(*cloud.offers_call, Fault(error="not_found"), times=None)

    assert offer_of(opened(cloud), "BASIC3-X2C-8G").hourly.amount == Decimal("0.059225")


def test_without_credentials_the_catalog_still_answers(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    assert plugin.public_offers is not None
    keyless = Opening(secrets={}, settings=cloud.settings(), directory=Path())

    offers = plugin.public_offers(keyless, NEEDS)

    assert {offer.availability for offer in offers} == {"unknown"}
    assert {offer.zone for offer in offers} == {"fr-par-1", "nl-ams-1"}
    names = {offer.instance_type for offer in offers}
    assert "DEV1-L" in names
    assert "ENT1-S" not in names
    assert {one.status for one in cloud.exchanges} == {200}


# Create and destroy


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

    with pytest.raises(ConfigError, match=r"set project in \[providers.scaleway\]"):
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


# Settings, credentials, errors


def test_the_message_for_a_malformed_key_does_not_repeat_it(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {"SCW_ACCESS_KEY": "SCWEMULATED000000000", "SCW_SECRET_KEY": "hunter2"}

    with pytest.raises(CredentialsError) as caught:
        plugin.open(replace(opening(cloud), secrets=secrets))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_is_refused_is_said_to_be(cloud: Cloud) -> None:
    (plugin,) = materia_providers()
    secrets = {**cloud.secrets(), "SCW_SECRET_KEY": "22222222-1111-1111-1111-111111111111"}
    provider = plugin.open(replace(opening(cloud), secrets=secrets))

    with pytest.raises(CredentialsError, match="denied_authentication") as caught:
        provider.offers(NEEDS)

    assert "22222222" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("project", "my-project", "project in .* must be a UUID"),
        ("regions", ("fr-pra",), "unknown 'fr-pra'; known: fr-par, fr-par-1"),
        ("api_url", "api.scaleway.com", "api_url in .* must be http"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    cloud: Cloud, setting: str, value: object, message: str
) -> None:
    (plugin,) = materia_providers()

    with pytest.raises(ConfigError, match=message):
        plugin.open(opening(cloud, **{setting: value}))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("sold_out", CapacityError),
        ("quota", CapacityError),
        ("older_quota", CapacityError),
        ("unauthorized", CredentialsError),
        ("forbidden", CredentialsError),
        ("precondition", ProviderError),
        ("invalid", ProviderError),
    ],
)
def test_a_refusal_is_the_error_its_body_says(
    cloud: Cloud, error: str, expected: type[MateriaError]
) -> None:
    provider = opened(cloud)
    offer = offer_of(provider, "DEV1-L")
    cloud.faults.next(*cloud.create_call, Fault(error=error))

    with pytest.raises(expected, match="create DEV1-L in fr-par-1"):
        provider.create_instance(request(offer))

    assert cloud.still_billed() == []


def test_every_exception_of_the_sdk_and_its_http_client_is_translated() -> None:
    found = [
        kind
        for module in (sdk, requests.exceptions)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    response = requests.Response()
    response.status_code = 418

    assert len(found) > 20
    for kind in found:
        if not issubclass(kind, sdk.ScalewayException | requests.RequestException):
            assert not kind.__module__.startswith("scaleway"), kind
            continue
        error = kind.__new__(kind)
        error.response = response
        with pytest.raises(ProviderError), plugin_errors.translated("try"):
            raise error


def test_no_request_waits_for_ever(cloud: Cloud) -> None:
    cloud.faults.next("*", "*", Fault(slow=0.6), times=None)

    with pytest.raises(ProviderError, match="no answer in time"):
        opened(cloud).list_instances()
