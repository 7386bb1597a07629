"""What the hetzner plugin does that no contract says: prices, names, errors, leaks, crashes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import hcloud
import hcloud.actions
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
import requests
from fakes.recorded import absent, recorded
from hcloud.actions.domain import ActionError
from materia import Opening
from materia.bootstrap import generate_key
from materia.cost import cost
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    NoOfferError,
    ProviderError,
)
from materia.machines import InstanceRequest, Offer, Requirements
from materia.testing.cloud import Behaviour, Clock, Fault
from materia.testing.cloud.hetzner import Hetzner as Cloud
from materia_hetzner import materia_providers, open_hetzner
from materia_hetzner.offers import read_offers
from materia_hetzner.problems import translate
from materia_hetzner.provider import Hetzner
from materia_hetzner.settings import Settings, read_settings

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=100)) as cloud:
        yield cloud


def opened(cloud: Cloud, settings: Settings | None = None, *, token: str = "") -> Hetzner:
    return Hetzner(
        token or cloud.token,
        settings or read_settings(cloud.settings()),
        request_timeout=timedelta(seconds=1),
        patience=timedelta(seconds=1),
        settle=timedelta(seconds=0.2),
        first_retry=timedelta(milliseconds=1),
    )


def offer_of(provider: Hetzner, instance_type: str = "ccx13", region: str = "fsn1") -> Offer:
    return next(
        offer
        for offer in provider.offers(Requirements())
        if (offer.instance_type, offer.region) == (instance_type, region)
    )


def request_for(offer: Offer, stage: str = "extract", **changes: Any) -> InstanceRequest:
    request = InstanceRequest(
        name=f"materia-20261124t085500-ab12cd-{stage}",
        run="20261124T085500-ab12cd",
        stage=stage,
        offer=offer,
        expires_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
        user_data="",
        public_key=generate_key().public,
    )
    return replace(request, **changes)


# Offers ----------------------------------------------------------------------------------------


def server_type(**changes: Any) -> dict[str, Any]:
    price = {
        "location": "fsn1",
        "price_hourly": {"net": "0.0689000000", "gross": "0.0819910000000000"},
        "price_monthly": {"net": "42.9900000000", "gross": "51.1581000000000000"},
        "included_traffic": 21990232555520,
        "price_per_tb_traffic": {"net": "1.0000000000", "gross": "1.1900000000000000"},
    }
    place = {"id": 1, "name": "fsn1", "deprecation": None, "available": True, "recommended": True}
    return {
        "id": 96,
        "name": "ccx13",
        "cores": 2,
        "memory": 8.0,
        "disk": 80,
        "cpu_type": "dedicated",
        "architecture": "x86",
        "prices": [price],
        "locations": [place],
        **changes,
    }


PRICING: dict[str, Any] = {
    "currency": "EUR",
    "vat_rate": "19.000000",
    "primary_ips": [
        {
            "type": kind,
            "prices": [
                {
                    "location": "fsn1",
                    "price_hourly": {"net": net, "gross": "9"},
                    "price_monthly": {"net": "0.5", "gross": "9"},
                }
            ],
        }
        for kind, net in (("ipv6", "0.0000000000"), ("ipv4", "0.0008000000"))
    ],
}


def read(*types: Mapping[str, Any]) -> list[Offer]:
    return read_offers(types, PRICING, source="https://api.hetzner.cloud/v1", now=NOW)


def test_an_offer_has_the_net_prices_of_its_location_and_the_address_beside_it() -> None:
    (offer,) = read(server_type())

    assert offer.hourly.amount == Decimal("0.0689")
    assert offer.monthly_cap is not None
    assert offer.monthly_cap.amount == Decimal("42.99")
    assert [extra.hourly.amount for extra in offer.extras] == [Decimal("0.0008")]
    assert offer.extras[0].monthly_cap is not None
    assert offer.extras[0].monthly_cap.amount == Decimal("0.50")
    assert (offer.vcpus, offer.memory_gib, offer.disk_gib) == (2, Decimal(8), 80)
    assert (offer.cpu, offer.architecture, offer.availability) == (
        "dedicated",
        "x86_64",
        "available",
    )
    assert offer.egress_included_gib == 20 * 1024
    assert offer.egress_per_gib is not None
    assert offer.egress_per_gib.amount * 1024 == 1


@pytest.mark.parametrize(
    ("place", "availability", "retires_on"),
    [
        ({"available": True, "deprecation": None}, "available", None),
        ({"available": False, "deprecation": None}, "unavailable", None),
        ({"deprecation": None}, "unknown", None),
        (
            {"available": True, "deprecation": {"unavailable_after": "2026-12-31T00:00:00Z"}},
            "available",
            date(2026, 12, 31),
        ),
        (
            {"available": True, "deprecation": {"unavailable_after": "2026-01-01T00:00:00+00:00"}},
            "unavailable",
            date(2026, 1, 1),
        ),
    ],
)
def test_availability_and_retirement_are_those_of_the_location(
    place: dict[str, Any], availability: str, retires_on: date | None
) -> None:
    (offer,) = read(server_type(locations=[{"id": 1, "name": "fsn1", **place}]))

    assert (offer.availability, offer.retires_on) == (availability, retires_on)


def test_a_location_that_has_a_price_and_no_longer_the_type_is_no_offer() -> None:
    assert read(server_type(locations=[{"id": 2, "name": "nbg1", "available": True}])) == []


def test_types_with_a_processor_nobody_builds_for_are_left_out() -> None:
    assert read(server_type(architecture="riscv")) == []


def test_types_recorded_before_availability_was_published_are_read_as_unknown() -> None:
    types = recorded("hetzner/spec-examples/GET_server_types.json")["server_types"]
    pricing = recorded("hetzner/spec-examples/GET_pricing.json")["pricing"]

    (offer,) = read_offers(types, pricing, source="s", now=NOW)

    assert offer.hourly.amount == 1
    assert offer.retires_on == date(2023, 9, 1)
    assert offer.availability == "unavailable"


def test_every_page_of_the_server_types_is_read(cloud: Cloud) -> None:
    provider = opened(cloud)

    provider.offers(Requirements())

    types = {offer.instance_type for offer in provider.offers(Requirements())}
    assert {"cx22", "ccx33", "cax31"} <= types


def test_a_region_of_the_settings_that_is_no_location_is_an_error_that_names_the_known(
    cloud: Cloud,
) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("fsn1", "muc1"))

    with pytest.raises(NoOfferError, match=r"muc1.*known: ash, fsn1, hel1, nbg1, sin"):
        opened(cloud, settings).offers(Requirements())


def test_only_the_regions_of_the_settings_are_offered(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("hel1",))

    assert {offer.region for offer in opened(cloud, settings).offers(Requirements())} == {"hel1"}


@pytest.mark.parametrize("minutes", [1, 59, 60, 61, 119, 121, 24 * 60, 31 * 24 * 60, 40 * 24 * 60])
def test_what_is_charged_is_what_was_quoted(minutes: int) -> None:
    clock = Clock(speed=0, start=datetime(2026, 10, 1, tzinfo=UTC))
    instant = Behaviour(boot=timedelta(0), delete=timedelta(0))
    with Cloud(clock=clock, behaviour=instant) as cloud:
        provider = opened(cloud)
        offer = offer_of(provider)
        instance = provider.create_instance(request_for(offer))
        clock.advance(timedelta(minutes=minutes))
        provider.destroy_instance(instance)

        charged = cloud.billed()["EUR"]

    quote = cost(offer, timedelta(minutes=minutes), datetime(2026, 10, 1, tzinfo=UTC))
    assert charged == quote.cost.amount


# Create and destroy ----------------------------------------------------------------------------


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


def test_the_requests_are_as_the_published_description_has_them(cloud: Cloud) -> None:
    description = recorded("hetzner/hcloud-openapi.json")
    provider = opened(cloud)
    provider.destroy_instance(provider.create_instance(request_for(offer_of(provider))))
    checked = set()
    for exchange in cloud.exchanges:
        path = exchange.path.removeprefix("/v1")
        named = next(
            known
            for known in description["paths"]
            if known == path or (path.count("/") == 2 and known == f"/{path.split('/')[1]}/{{id}}")
        )
        operation = description["paths"][named][exchange.method.lower()]
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            body = {**schema, "components": description["components"]}
            jsonschema.validate(json.loads(exchange.body), body)
            checked.add(f"{exchange.method} {named}")
    assert checked >= {"POST /servers", "POST /ssh_keys", "PUT /primary_ips/{id}"}


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

    with pytest.raises(ProviderError, match=r"is there .* and is not materia's"):
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
        opened(cloud).destroy_instance(made[0])
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


def test_a_read_only_token_is_said_to_be_one_and_leaves_nothing(cloud: Cloud) -> None:
    provider = opened(cloud, token=cloud.read_only_token)

    with pytest.raises(CredentialsError, match="may only read"):
        provider.create_instance(request_for(offer_of(provider)))

    assert cloud.still_billed() == []


def test_a_short_rate_limit_is_waited_out(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider))
    cloud.faults.next(*cloud.create_call, Fault(error="rate_limit"), times=2)

    provider.create_instance(request)

    assert len(cloud.servers) == 1


def test_no_message_tells_the_token(cloud: Cloud) -> None:
    provider = opened(cloud, token="s3cr3t-token-that-is-wrong")  # noqa: S106 -- none

    with pytest.raises(CredentialsError) as caught:
        provider.offers(Requirements())

    assert "s3cr3t" not in str(caught.value)
    assert "HCLOUD_TOKEN" in str(caught.value)


# Errors ----------------------------------------------------------------------------------------


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_subclasses(each) for each in kind.__subclasses__()))


def one_of(kind: type[Exception]) -> Exception:
    if issubclass(kind, hcloud.APIException):
        return kind("server_error", "message", None)
    if issubclass(kind, hcloud.actions.ActionException):
        return kind(action=hcloud.actions.Action(id=1, command="create_server", status="error"))
    # Some of requests' exceptions want arguments of their own and do nothing with them here.
    return kind.__new__(kind, "message")


def test_every_exception_of_the_sdk_becomes_one_of_materias() -> None:
    roots = (hcloud.HCloudException, requests.exceptions.RequestException)
    kinds = {kind for root in roots for kind in all_subclasses(root)}
    kinds = {kind for kind in kinds if kind.__module__.startswith(("hcloud", "requests"))}

    unknown = [kind for kind in kinds if translate(one_of(kind), "do it") is None]

    assert len(kinds) > 20
    assert unknown == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("resource_unavailable", CapacityError),
        ("resource_limit_exceeded", CapacityError),
        ("placement_error", CapacityError),
        ("unauthorized", CredentialsError),
        ("token_readonly", CredentialsError),
        ("forbidden", CredentialsError),
        (401, CredentialsError),
        ("rate_limit_exceeded", ProviderError),
        ("deprecated_api_endpoint", ProviderError),
        (502, ProviderError),
    ],
)
def test_codes_of_the_api_become_the_decision_that_follows(
    code: str | int, expected: type[MateriaError]
) -> None:
    error = translate(hcloud.APIException(code, "message", None, correlation_id="c-1"), "do it")

    assert type(error) in {expected, *expected.__subclasses__()}
    assert "cannot do it: message" in str(error)
    assert "c-1" in str(error)


def test_a_failed_action_for_want_of_room_is_a_capacity_error() -> None:
    action = hcloud.actions.Action(
        id=1,
        command="create_server",
        status="error",
        error=ActionError(code="resource_unavailable", message="no room", details={}),
    )

    error = translate(hcloud.actions.ActionFailedException(action=action), "do it")

    assert isinstance(error, CapacityError)


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    assert translate(NotImplementedError(), "do it") is None


def test_the_recorded_refusal_is_what_the_emulator_answers() -> None:
    response = recorded("hetzner/recorded_412_resource_unavailable.json")["response"]

    ours = Cloud.errors["sold_out"]

    assert (ours.status, ours.body) == (response["status"], response["body"])


# Settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_url": "api.hetzner.cloud"}, r"providers.hetzner.api_url must be an address"),
        ({"ssh_port": 70000}, r"providers.hetzner.ssh_port must be at most 65535, is 70000"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(values)


def test_the_plugin_opens_with_its_declared_defaults(tmp_path: Path) -> None:
    (plugin,) = materia_providers()
    settings = {setting.name: setting.default for setting in plugin.settings}

    opening = Opening(secrets={"HCLOUD_TOKEN": "t"}, settings=settings, directory=tmp_path)

    assert isinstance(open_hetzner(opening), Hetzner)
    assert read_settings(settings) == Settings()


def test_the_waiting_of_the_sdk_can_still_be_hurried() -> None:
    client = hcloud.Client("t")

    assert callable(client._client._retry_interval_func)


@pytest.mark.parametrize("token", ["two words\n", "schl\u00fcssel\u20ac"])
def test_a_token_that_cannot_be_sent_is_a_matter_of_credentials(cloud: Cloud, token: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        Hetzner(token, read_settings(cloud.settings())).list_instances()

    assert "copy it again" in str(caught.value)
    assert token.strip() not in str(caught.value)


def test_an_answer_that_is_not_json_is_called_that(cloud: Cloud) -> None:
    cloud.faults.next("GET", "*", Fault(error="not_json"))

    with pytest.raises(ProviderError, match=r"hetzner: .*: the answer is not JSON$"):
        opened(cloud).list_instances()


# Shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["servers", "server_types", "primary_ips", "volumes", "locations", "pricing"]
)
def test_the_emulated_bodies_have_what_the_described_ones_have(cloud: Cloud, path: str) -> None:
    theirs = recorded(f"hetzner/spec-examples/GET_{path}.json")
    cloud.add_foreign()
    client = hcloud.Client(cloud.token, f"{cloud.url}/v1", timeout=2)

    missing = list(absent(theirs, client.request("GET", f"/{path}")))

    # `datacenter` was removed on 2026-07-01; labels are anybody's.
    assert [key for key in missing if "datacenter" not in key and ".labels." not in key] == []


def test_the_emulated_answer_to_a_create_has_what_the_described_one_has(cloud: Cloud) -> None:
    theirs = recorded("hetzner/spec-examples/POST_servers.json")
    client = hcloud.Client(cloud.token, f"{cloud.url}/v1", timeout=2)
    body = {"name": "a", "server_type": "ccx13", "image": "debian-12", "location": "fsn1"}

    missing = list(absent(theirs, client.request("POST", "/servers", json=body)))

    unset = (".image.created_from", ".server.iso", ".server.placement_group")
    assert [
        key
        for key in missing
        if "datacenter" not in key and ".labels." not in key and not key.startswith(unset)
    ] == []
