"""What the ovh plugin does that no contract says: catalog, names, signature, errors, kills."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ovh  # type: ignore[import-untyped]  # the SDK has no types
import pytest
import requests
from fakes.recorded import absent, recorded
from hypothesis import given
from hypothesis import strategies as st
from materia import Opening
from materia.bootstrap import generate_key
from materia.cost import cost
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    MateriaError,
    NoOfferError,
    OrphanError,
    ProviderError,
)
from materia.machines import InstanceRequest, Offer, Requirements
from materia.marks import Mark
from materia.testing.cloud import Behaviour, Clock, Fault
from materia.testing.cloud.ovh import Ovh as Cloud
from materia_ovh import materia_providers, open_ovh, public_offers
from materia_ovh.credentials import Credentials
from materia_ovh.names import read_name, write_name
from materia_ovh.offers import read_offers, read_public_offers
from materia_ovh.problems import translate
from materia_ovh.provider import Ovh
from materia_ovh.settings import Settings, read_settings
from ovh import exceptions

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=100)) as cloud:
        yield cloud


def credentials_of(cloud: Cloud) -> Credentials:
    return Credentials(
        application_key=cloud.application_key,
        application_secret=cloud.application_secret,
        consumer_key=cloud.consumer_key,
    )


def opened(
    cloud: Cloud, settings: Settings | None = None, credentials: Credentials | None = None
) -> Ovh:
    return Ovh(
        credentials or credentials_of(cloud),
        settings or read_settings(cloud.settings()),
        request_timeout=timedelta(seconds=1),
        patience=timedelta(seconds=1),
        settle=timedelta(seconds=0.2),
    )


def offer_of(provider: Ovh, instance_type: str = "b3-8", region: str = "GRA11") -> Offer:
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


def addon(plan: str = "b3-8.consumption", price: int = 5_760_000, **changes: Any) -> dict[str, Any]:
    pricing = {
        "capacities": ["consumption"],
        "interval": 1,
        "intervalUnit": "hour",
        "price": price,
        "tax": 1,
    }
    return {
        "planCode": plan,
        "invoiceName": plan.split(".", maxsplit=1)[0],
        "product": "publiccloud-instance",
        "pricings": [{**pricing, "intervalUnit": "month", "price": 1}, pricing],
        "blobs": {
            "commercial": {"brickSubtype": "general purpose"},
            "technical": {
                "os": {"family": "linux"},
                "cpu": {"cores": 2},
                "memory": {"size": 8},
                "storage": {"disks": [{"capacity": 50}]},
            },
            "tags": ["active"],
        },
        **changes,
    }


def flavor(**changes: Any) -> dict[str, Any]:
    return {
        "id": "f",
        "name": "b3-8",
        "region": "GRA11",
        "ram": 8,
        "disk": 50,
        "vcpus": 2,
        "osType": "linux",
        "available": True,
        "quota": 5,
        "planCodes": {"hourly": "b3-8.consumption", "monthly": None, "license": None},
        **changes,
    }


def read(flavors: list[dict[str, Any]], *addons: dict[str, Any]) -> list[Offer]:
    catalog = {"locale": {"currencyCode": "EUR"}, "addons": list(addons or [addon()])}
    return read_offers(catalog, flavors, source="s", now=NOW)


def test_a_flavor_has_the_price_of_its_plan_to_the_last_digit() -> None:
    (offer,) = read([flavor()], addon(price=5_760_123))

    assert offer.hourly.amount == Decimal("0.05760123")
    assert (offer.vcpus, offer.memory_gib, offer.disk_gib) == (2, Decimal(8), 50)
    assert (offer.cpu, offer.availability, offer.region) == ("dedicated", "available", "GRA11")
    assert offer.extras == ()
    assert offer.billing.alignment == "clock"
    assert offer.billing.meter_from == "active"


@pytest.mark.parametrize(
    ("changes", "availability"),
    [
        ({"available": True, "quota": 3}, "available"),
        ({"available": True}, "available"),
        ({"available": False, "quota": 3}, "unavailable"),
        ({"available": False, "quota": 0}, "unavailable"),
        ({"available": True, "quota": 0}, "no_quota"),
        ({"available": None, "quota": None}, "unknown"),
    ],
)
def test_availability_is_stock_and_then_quota(changes: dict[str, Any], availability: str) -> None:
    (offer,) = read([flavor(**changes)])

    assert offer.availability == availability


@pytest.mark.parametrize(
    ("ram", "size", "gib"),
    [(8, 8, 8), (8192, 8, 8), (7, 7, 7), (7168, 7, 7), (760, 760, 760), (7, None, 7), (2000, 2, 2)],
)
def test_memory_is_read_in_either_unit(ram: int, size: int | None, gib: int) -> None:
    plan = addon()
    plan["blobs"]["technical"]["memory"] = {"size": size} if size else None

    (offer,) = read([flavor(ram=ram)], plan)

    assert abs(offer.memory_gib - gib) < Decimal("0.1")


def test_a_discovery_flavor_is_shared_and_one_of_no_family_unknown() -> None:
    shared, unknown = addon(), addon()
    shared["blobs"]["commercial"]["brickSubtype"] = "discovery"
    del unknown["blobs"]["commercial"]

    assert read([flavor()], shared)[0].cpu == "shared"
    assert read([flavor()], unknown)[0].cpu == "unknown"


def test_windows_and_what_has_no_price_by_the_hour_are_left_out() -> None:
    monthly = addon()
    monthly["pricings"] = monthly["pricings"][:1]

    assert read([flavor(osType="windows")]) == []
    assert read([flavor(planCodes={"hourly": None})]) == []
    assert read([flavor()], monthly) == []


def test_a_region_of_three_zones_has_the_price_of_its_own_plan() -> None:
    plans = {"hourly": "b3-8.consumption.3AZ"}
    found = read([flavor(planCodes=plans)], addon(), addon("b3-8.consumption.3AZ", 6_700_000))

    assert [offer.hourly.amount for offer in found] == [Decimal("0.067")]


def test_traffic_out_costs_in_asia_and_nowhere_else() -> None:
    europe, asia = read([flavor(), flavor(region="SGP1")])

    assert (europe.egress_included_gib, europe.egress_per_gib) == (None, None)
    assert asia.egress_included_gib == 1024
    assert asia.egress_per_gib is not None
    assert asia.egress_per_gib.amount == Decimal("0.01")


def test_the_catalog_alone_gives_offers_without_availability() -> None:
    catalog = {
        "locale": {"currencyCode": "EUR"},
        "addons": [
            addon(),
            addon("b3-8.consumption.3AZ", 9),
            addon("b3-8.monthly.postpaid", 9),
            addon("volume.classic.consumption", 9, product="publiccloud-volume"),
        ],
    }

    (offer,) = read_public_offers(catalog, source="s", now=NOW)

    assert offer.hourly.amount == Decimal("0.0576")
    assert (offer.availability, offer.region) == ("unknown", "any region")
    assert offer.memory_gib == 8


def test_the_shape_that_others_describe_is_read() -> None:
    catalog = recorded("ovh/catalog-shape.constructed.json")

    (offer,) = read_public_offers(catalog, source="s", now=NOW)

    assert (offer.instance_type, offer.hourly.amount) == ("b3-8", Decimal("0.0576"))


def test_prices_come_in_the_currency_asked_for(cloud: Cloud) -> None:
    provider = opened(cloud)

    for currency in ("EUR", "USD", "GBP", "PLN"):
        offers = provider.offers(Requirements(currency=currency))
        assert {offer.hourly.currency for offer in offers} == {currency}


def test_a_subsidiary_in_the_settings_decides_the_currency(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), subsidiary="GB")

    offers = opened(cloud, settings).offers(Requirements(currency="EUR"))

    assert {offer.hourly.currency for offer in offers} == {"GBP"}


def test_the_catalog_is_read_without_credentials(cloud: Cloud, tmp_path: Path) -> None:
    settings = {"api_url": f"{cloud.url}/1.0"}
    opening = Opening(secrets={}, settings=settings, directory=tmp_path)

    offers = public_offers(opening, Requirements())

    assert {offer.instance_type for offer in offers} >= {"b3-8", "c3-4", "d2-4"}
    assert all(offer.availability == "unknown" for offer in offers)
    assert [exchange.path for exchange in cloud.exchanges] == ["/1.0/order/catalog/public/cloud"]


@pytest.mark.parametrize("error", ["server_error", "bad_gateway", "not_json", "rate_limit"])
def test_a_catalog_that_cannot_be_read_is_an_error(
    cloud: Cloud, tmp_path: Path, error: str
) -> None:
    opening = Opening(secrets={}, settings={"api_url": f"{cloud.url}/1.0"}, directory=tmp_path)
    cloud.faults.next("GET", "*", Fault(error=error))

    with pytest.raises(ProviderError, match="cannot read the prices"):
        public_offers(opening, Requirements())


def test_a_region_that_is_not_active_is_an_error_that_names_the_active(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), regions=("GRA11", "WAW1"))

    with pytest.raises(NoOfferError, match=r"WAW1.*active: BHS5, EU-WEST-PAR, GRA11, SBG5, SGP1"):
        opened(cloud, settings).offers(Requirements())


@pytest.mark.parametrize("minutes", [1, 30, 59, 60, 61, 121, 198 * 60 + 50])
def test_every_clock_hour_from_active_to_delete_is_charged(minutes: int) -> None:
    start = datetime(2026, 10, 4, 9, 40, tzinfo=UTC)
    clock = Clock(speed=0, start=start)
    instant = Behaviour(boot=timedelta(0), delete=timedelta(0))
    with Cloud(clock=clock, behaviour=instant) as cloud:
        provider = opened(cloud)
        offer = offer_of(provider)
        instance = provider.create_instance(request_for(offer))
        clock.advance(timedelta(minutes=minutes))
        provider.destroy_instance(instance)

        charged = cloud.billed()["EUR"]

    touched = -(-(40 + minutes) // 60)  # from 09:40
    assert charged == Decimal("0.0576") * touched
    assert cost(offer, timedelta(minutes=minutes), start).cost.amount >= charged


# Names -----------------------------------------------------------------------------------------

WORDS = st.from_regex(r"[A-Za-z0-9._]{1,12}(-[A-Za-z0-9._]{1,12}){0,3}", fullmatch=True)


@given(
    name=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    run=WORDS,
    stage=WORDS,
    second=st.integers(min_value=10**9, max_value=10**11 - 1),
)
def test_a_name_is_read_back_as_it_was_written_or_refused(
    name: str, run: str, stage: str, second: int
) -> None:
    expires_at = datetime.fromtimestamp(second, UTC)
    mark = Mark(name=name, run=run, stage=stage, expires_at=expires_at)
    try:
        written = write_name(mark)
    except ProviderError:
        assert "--" in name
        return

    assert read_name(written) == mark


@pytest.mark.parametrize(
    "name",
    [
        "materia-web",
        "materia-20261001t000000-abcdef-extract",
        "build--1--2--3",
        "a--b--c--materia",
        "a--b--c--materia12",
        "--b--c--materia1795510500",
        "A Name--b--c--materia1795510500",
    ],
)
def test_a_strangers_name_is_not_materias(name: str) -> None:
    assert read_name(name) is None


# Create and destroy ----------------------------------------------------------------------------


def test_an_instance_is_made_by_the_hour_with_its_key_and_image(cloud: Cloud) -> None:
    provider = opened(cloud)
    request = request_for(offer_of(provider), user_data="")

    made = provider.create_instance(request)

    instance = cloud.instances[made.id]
    assert read_name(instance.name) == Mark(
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


# Credentials and errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("application_key", "OVH_APPLICATION_KEY is not accepted"),
        ("application_secret", "OVH_APPLICATION_SECRET is not the application's"),
        ("consumer_key", "OVH_CONSUMER_KEY is not accepted"),
    ],
)
def test_each_wrong_credential_is_named_and_none_is_told(
    cloud: Cloud, wrong: str, message: str
) -> None:
    changes: dict[str, Any] = {wrong: "s3cr3t-and-wrong"}
    credentials = replace(credentials_of(cloud), **changes)

    with pytest.raises(CredentialsError, match=message) as caught:
        opened(cloud, credentials=credentials).list_instances()

    assert "s3cr3t" not in str(caught.value)
    assert cloud.application_secret not in repr(credentials_of(cloud))


def test_a_clock_that_is_wrong_does_not_matter() -> None:
    for skew in (timedelta(days=-3), timedelta(hours=5)):
        with Cloud(skew=skew) as cloud:
            assert opened(cloud).list_instances() == []


def test_without_a_project_the_error_says_where_to_find_it(cloud: Cloud) -> None:
    settings = replace(read_settings(cloud.settings()), project="")

    with pytest.raises(ConfigError, match=r"set providers.ovh.project .* Control Panel"):
        opened(cloud, settings).list_instances()


def test_other_credentials_of_the_environment_are_an_error_that_says_which(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVH_CLIENT_ID", "x")
    monkeypatch.setenv("OVH_CLIENT_SECRET", "y")

    with pytest.raises(ConfigError, match="OVH_CLIENT_ID must not be set"):
        opened(cloud)


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_subclasses(each) for each in kind.__subclasses__()))


def test_every_exception_of_the_sdk_becomes_one_of_materias() -> None:
    roots = (exceptions.APIError, requests.exceptions.RequestException)
    kinds = {kind for root in roots for kind in all_subclasses(root)}
    kinds = {kind for kind in kinds if kind.__module__.startswith(("ovh", "requests"))}

    unknown = []
    for kind in kinds:
        from_sdk = issubclass(kind, exceptions.APIError)
        error = kind("message") if from_sdk else kind.__new__(kind, "message")
        if translate(error, "do it") is None:
            unknown.append(kind)

    assert len(kinds) > 30
    assert unknown == []


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers["X-OVH-QUERYID"] = "EU.ext.1"
    return response


@pytest.mark.parametrize(
    ("kind", "status", "told", "expected"),
    [
        (exceptions.NotGrantedCall, 403, "This call has not been granted", CredentialsError),
        (exceptions.InvalidKey, 403, "This application key is invalid", CredentialsError),
        (exceptions.APIError, 401, "Unauthorized", CredentialsError),
        (exceptions.APIError, 403, "Quota exceeded for cores", CapacityError),
        (exceptions.ResourceConflictError, 409, "Insufficient quota (instances)", CapacityError),
        (exceptions.BadParametersError, 400, "No more stock", CapacityError),
        (exceptions.APIError, 500, "No valid host was found", CapacityError),
        (exceptions.APIError, 429, "Too many requests", ProviderError),
        (exceptions.ResourceExpiredError, 460, "expired", ProviderError),
        (exceptions.InvalidRegion, 0, "Unknown endpoint", ConfigError),
    ],
)
def test_words_and_classes_become_the_decision_that_follows(
    kind: type[Exception], status: int, told: str, expected: type[MateriaError]
) -> None:
    error = translate(kind(told, **({"response": answer(status)} if status else {})), "do it")

    assert type(error) in {expected, *expected.__subclasses__()}
    assert f"cannot do it: {told}" in str(error)
    if status:
        assert "EU.ext.1" in str(error)


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    assert translate(NotImplementedError(), "do it") is None


# Settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_url": "ovh-eu"}, r"providers.ovh.api_url must be an address"),
        ({"ssh_port": 70000}, r"providers.ovh.ssh_port must be at most 65535, is 70000"),
        ({"project": "my project"}, r"providers.ovh.project must be the id .* is 'my project'"),
        ({"subsidiary": "France"}, r"providers.ovh.subsidiary must be two capital letters"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(values)


def test_the_plugin_opens_with_its_declared_defaults(tmp_path: Path) -> None:
    (plugin,) = materia_providers()
    settings = {setting.name: setting.default for setting in plugin.settings}
    secrets = dict.fromkeys(plugin.secrets, "x")

    opening = Opening(secrets=secrets, settings=settings, directory=tmp_path)

    assert isinstance(open_ovh(opening), Ovh)
    assert read_settings(settings) == Settings()


@pytest.mark.parametrize("content", [b"application_secret=hush", b"[ovh-eu]\nhush", b"\xff\xfe"])
def test_a_damaged_configuration_of_the_sdk_is_named_without_its_lines(
    cloud: Cloud, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "ovh.conf").write_bytes(content)
    (tmp_path / "materia.toml").write_text(
        f'[providers.ovh]\napi_url = "{cloud.url}/1.0"\nproject = "{cloud.project}"\n'
    )

    ended = subprocess.run(
        [sys.executable, "-m", "materia", "providers", "list", "--provider", "ovh"],
        cwd=tmp_path,
        env={**os.environ, **cloud.secrets(), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "ovh: the SDK reads ovh.conf in this folder" in ended.stdout
    assert "hush" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("key", ["two words\n", "schl\u00fcssel\u20ac"])
def test_a_key_that_cannot_be_sent_is_a_matter_of_credentials(cloud: Cloud, key: str) -> None:
    provider = Ovh(
        replace(credentials_of(cloud), consumer_key=key), read_settings(cloud.settings())
    )

    with pytest.raises(CredentialsError) as caught:
        provider.list_instances()

    assert "copy them again" in str(caught.value)
    assert key.strip() not in str(caught.value)


# Shapes ----------------------------------------------------------------------------------------


def client_of(cloud: Cloud) -> Any:
    url = f"{cloud.url}/1.0"
    ovh.client.ENDPOINTS[url] = url
    return ovh.Client(
        endpoint=url,
        application_key=cloud.application_key,
        application_secret=cloud.application_secret,
        consumer_key=cloud.consumer_key,
        timeout=2,
    )


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("flavor_get", "flavor"),
        ("image_get", "image"),
        ("ssh_get", "sshkey"),
        ("volume_get", "volume"),
        ("region_get", "region"),
        ("instance_get", "instance"),
    ],
)
def test_the_emulated_lists_have_what_recorded_ones_have(
    cloud: Cloud, file: str, path: str
) -> None:
    theirs = recorded(f"ovh/{file}.json")
    cloud.add_foreign()
    client = client_of(cloud)

    ours = client.get(f"/cloud/project/{cloud.project}/{path}")

    assert list(absent(theirs, ours)) == []


def test_an_emulated_instance_has_what_the_recorded_one_has(cloud: Cloud) -> None:
    theirs = recorded("ovh/instance_get.2025-09-24.json")["body"]
    cloud.add_foreign()
    first = next(iter(cloud.instances))

    ours = client_of(cloud).get(f"/cloud/project/{cloud.project}/instance/{first}")

    assert list(absent(theirs, ours)) == []


def test_the_emulated_catalog_has_what_is_described(cloud: Cloud) -> None:
    theirs = recorded("ovh/catalog-shape.constructed.json")
    client = client_of(cloud)

    ours = client.get("/order/catalog/public/cloud", ovhSubsidiary="IE", _need_auth=False)

    assert list(absent(theirs, ours)) == ["._note"]
