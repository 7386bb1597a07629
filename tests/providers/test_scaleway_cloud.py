"""The emulated Scaleway refuses what the real one refuses, and bills what the real one bills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from fakes.scaleway_open import offer_of, opened, request
from materia_scaleway.emulator.service import Scaleway as Cloud
from materia_testing.emulation import Clock

ZONE = "/instance/v1/zones/fr-par-1"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=0)) as cloud:
        yield cloud


def ask(cloud: Cloud, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"X-Auth-Token": cloud.secret_key, **options.pop("headers", {})}
    return requests.request(method, f"{cloud.url}{path}", headers=headers, timeout=5, **options)


def body_of(cloud: Cloud, **changes: object) -> dict[str, object]:
    return {
        "name": "x",
        "commercial_type": "DEV1-S",
        "image": "ubuntu_noble",
        "project": cloud.project,
        **changes,
    }


@pytest.mark.parametrize("token", ["", "11111111-1111-1111-1111-111111111111"])
def test_a_wrong_token_is_refused_everywhere_but_in_the_catalog(cloud: Cloud, token: str) -> None:
    headers = {"X-Auth-Token": token}
    catalog = "/product-catalog/v2alpha1/public-catalog/products"

    assert ask(cloud, "GET", f"{ZONE}/servers", headers=headers).status_code == 401
    assert ask(cloud, "POST", f"{ZONE}/servers", headers=headers, json={}).status_code == 401
    assert ask(cloud, "GET", "/nowhere", headers=headers).status_code == 401
    assert ask(cloud, "GET", catalog, headers=headers).status_code == 200


def test_pages_have_a_total_and_end_with_an_empty_one(cloud: Cloud) -> None:
    cloud.page_limit = 5
    answers = [
        ask(cloud, "GET", f"{ZONE}/products/servers", params={"page": page}) for page in range(1, 5)
    ]

    total = int(answers[0].headers["X-Total-Count"])
    assert [len(answer.json()["servers"]) for answer in answers] == [5, 5, total - 10, 0]
    assert 'rel="next"' in answers[0].headers["Link"]


@pytest.mark.parametrize("what", ["servers", "ips", "products/servers/availability"])
def test_a_zone_that_does_not_exist_is_refused_by_the_gateway(cloud: Cloud, what: str) -> None:
    unknown = ask(cloud, "GET", f"/instance/v1/zones/xx-yyy-1/{what}")
    volumes = ask(cloud, "GET", "/block/v1/zones/xx-yyy-1/volumes")

    for answer in (unknown, volumes):
        assert (answer.status_code, answer.json()) == (400, {"message": "Unknown zone in path"})


def test_a_zone_where_nothing_is_sold_has_empty_lists(cloud: Cloud) -> None:
    assert ask(cloud, "GET", "/instance/v1/zones/pl-waw-1/servers").json() == {"servers": []}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 201),
        ({"commercial_type": "ENT1-S"}, 400),  # retired
        ({"commercial_type": "STANDARD3-X4C-16G"}, 400),  # not in this zone
        ({"image": "slackware"}, 404),
        ({"project": "00000000-0000-0000-0000-000000000000"}, 403),
        ({"name": None}, 400),
        ({"tags": "one,two"}, 400),
        ({"public_ips": ["00000000-0000-0000-0000-000000000000"]}, 404),
    ],
)
def test_a_create_is_checked(cloud: Cloud, changes: dict[str, object], status: int) -> None:
    answer = ask(cloud, "POST", f"{ZONE}/servers", json=body_of(cloud, **changes))

    assert answer.status_code == status


def test_a_boot_volume_comes_without_tags_and_outlives_its_server(cloud: Cloud) -> None:
    made = ask(cloud, "POST", f"{ZONE}/servers", json=body_of(cloud, tags=["mine"])).json()
    identity = made["server"]["volumes"]["0"]["id"]
    volume = f"/block/v1/zones/fr-par-1/volumes/{identity}"
    server = f"{ZONE}/servers/{made['server']['id']}"

    assert ask(cloud, "GET", volume).json()["tags"] == []
    assert ask(cloud, "DELETE", volume).status_code == 412
    assert ask(cloud, "DELETE", server).status_code == 204
    assert ask(cloud, "GET", server).status_code == 404
    assert ask(cloud, "GET", volume).json()["status"] == "available"
    assert ask(cloud, "DELETE", volume).status_code == 204
    assert ask(cloud, "GET", volume).status_code == 404


def test_a_server_walks_its_states_by_the_clock(cloud: Cloud) -> None:
    made = ask(cloud, "POST", f"{ZONE}/servers", json=body_of(cloud)).json()["server"]
    path = f"{ZONE}/servers/{made['id']}"
    states = [made["state"]]

    def act(action: str) -> int:
        return ask(cloud, "POST", f"{path}/action", json={"action": action}).status_code

    assert act("terminate") == 400  # it is stopped
    assert act("poweron") == 202
    states.append(ask(cloud, "GET", path).json()["server"]["state"])
    assert act("terminate") == 400  # it is starting
    cloud.clock.advance(cloud.behaviour.boot)
    states.append(ask(cloud, "GET", path).json()["server"]["state"])
    assert act("terminate") == 202
    states.append(ask(cloud, "GET", path).json()["server"]["state"])
    cloud.clock.advance(cloud.behaviour.delete)

    assert states == ["stopped", "starting", "running", "stopping"]
    assert ask(cloud, "GET", path).status_code == 404


def test_user_data_is_plain_text_of_a_limited_size(cloud: Cloud) -> None:
    made = ask(cloud, "POST", f"{ZONE}/servers", json=body_of(cloud)).json()["server"]
    path = f"{ZONE}/servers/{made['id']}/user_data/cloud-init"
    plain = {"Content-Type": "text/plain"}

    assert ask(cloud, "PATCH", path, json={}).status_code == 400
    assert ask(cloud, "PATCH", path, data=b"x" * 127_999, headers=plain).status_code == 400
    assert ask(cloud, "PATCH", path, data=b"#cloud-config\n", headers=plain).status_code == 204
    assert ask(cloud, "GET", path).content == b"#cloud-config\n"


def test_server_volume_and_address_are_billed_apart_by_the_started_hour(cloud: Cloud) -> None:
    provider = opened(cloud)
    provider.create_instance(request(offer_of(provider, "DEV1-S")))
    cloud.clock.advance(timedelta(hours=3, seconds=1))

    expected = 4 * (Decimal("0.008976") + 22 * Decimal("0.000118") + Decimal("0.004"))
    assert cloud.billed() == {"EUR": expected}


def test_an_address_costs_a_cent_at_least(cloud: Cloud) -> None:
    made = ask(cloud, "POST", f"{ZONE}/ips", json={"project": cloud.project}).json()["ip"]

    assert ask(cloud, "DELETE", f"{ZONE}/ips/{made['id']}").status_code == 204
    assert cloud.billed() == {"EUR": Decimal("0.01")}
    assert cloud.still_billed() == []


def test_a_dynamic_address_goes_with_its_server(cloud: Cloud) -> None:
    body = body_of(cloud, dynamic_ip_required=True)
    made = ask(cloud, "POST", f"{ZONE}/servers", json=body).json()["server"]
    assert made["public_ips"][0]["dynamic"] is True

    ask(cloud, "DELETE", f"{ZONE}/servers/{made['id']}")

    assert [line.kind for line in cloud.still_billed()] == ["volume"]
