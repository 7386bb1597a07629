"""The emulated Oracle Cloud refuses what the real one refuses, and bills as it does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import oci  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fakes.oracle_open import E4, offer_of, opened, request
from materia.errors import CredentialsError
from materia_oracle.emulator.catalog import DOMAINS
from materia_oracle.emulator.service import Oracle as Cloud
from materia_oracle.emulator.tenancy import COMPARTMENT, PRICES, SUBNET, V
from materia_testing.emulation import Clock, Fault


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(clock=Clock(speed=0)) as cloud:
        yield cloud


def signer_of(cloud: Cloud) -> Any:
    secrets = cloud.secrets()
    return oci.signer.Signer(
        tenancy=secrets["OCI_CLI_TENANCY"],
        user=secrets["OCI_CLI_USER"],
        fingerprint=secrets["OCI_CLI_FINGERPRINT"],
        private_key_file_location=None,
        private_key_content=secrets["OCI_CLI_KEY_CONTENT"],
    )


def ask(cloud: Cloud, method: str, path: str, **options: Any) -> Any:
    requests = oci._vendor.requests
    return requests.request(
        method, f"{cloud.url}{V}{path}", auth=signer_of(cloud), timeout=5, **options
    )


def launch_body(**changes: object) -> dict[str, object]:
    images = "ocid1.image.oc1.eu-frankfurt-1.canonical-ubuntu-2404-20260731-0"
    return {
        "compartmentId": COMPARTMENT,
        "availabilityDomain": DOMAINS[0],
        "displayName": "x",
        "shape": E4,
        "shapeConfig": {"ocpus": 1, "memoryInGBs": 8},
        "sourceDetails": {"sourceType": "image", "imageId": images},
        "createVnicDetails": {"subnetId": SUBNET, "assignPublicIp": True},
        **changes,
    }


def test_another_key_is_refused(cloud: Cloud) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    with pytest.raises(CredentialsError, match="NotAuthenticated"):
        opened(cloud, key=other.decode()).list_instances()


def test_an_unsigned_request_is_refused(cloud: Cloud) -> None:
    assert httpx.get(f"{cloud.url}{V}/instances?compartmentId={COMPARTMENT}").status_code == 401


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_date_more_than_five_minutes_off_is_refused(cloud: Cloud, minutes: int) -> None:
    path = f"/instances?compartmentId={COMPARTMENT}"
    assert ask(cloud, "GET", path).status_code == 200

    cloud.ahead = timedelta(minutes=minutes)

    assert ask(cloud, "GET", path).status_code == 401


def test_a_body_that_is_not_the_signed_one_is_refused(cloud: Cloud) -> None:
    requests = oci._vendor.requests
    prepared = requests.Request(
        "POST", f"{cloud.url}{V}/instances", json=launch_body(), auth=signer_of(cloud)
    ).prepare()
    prepared.body = prepared.body.replace(b'"x"', b'"y"')

    assert requests.Session().send(prepared, timeout=5).status_code == 401
    assert cloud.instances == {}


def test_a_target_that_is_not_the_signed_one_is_refused(cloud: Cloud) -> None:
    requests = oci._vendor.requests
    prepared = requests.Request(
        "GET", f"{cloud.url}{V}/instances?compartmentId=x", auth=signer_of(cloud)
    ).prepare()
    prepared.url = f"{cloud.url}{V}/instances?compartmentId={COMPARTMENT}"

    assert requests.Session().send(prepared, timeout=5).status_code == 401


def test_pages_are_linked_by_a_token_in_a_header(cloud: Cloud) -> None:
    cloud.page_limit = 4
    path = f"/shapes?compartmentId={COMPARTMENT}"
    pages = [ask(cloud, "GET", path)]
    while token := pages[-1].headers.get("opc-next-page"):
        pages.append(ask(cloud, "GET", f"{path}&page={token}"))

    assert len(pages) > 1
    assert [len(page.json()) for page in pages[:-1]] == [4] * (len(pages) - 1)
    assert 1 <= len(pages[-1].json()) <= 4
    shapes = [one["shape"] for page in pages for one in page.json()]
    assert len(shapes) == len(set(shapes))


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, 200, "PROVISIONING"),
        ({"compartmentId": "ocid1.compartment.oc1..other"}, 404, "not found"),
        ({"availabilityDomain": "AD-9"}, 400, "availabilityDomain"),
        ({"shape": "VM.Standard.A1.Flex"}, 404, "shape VM.Standard.A1.Flex not found"),
        ({"shapeConfig": {"ocpus": 0, "memoryInGBs": 8}}, 400, "ocpus"),
        ({"shapeConfig": {"ocpus": 1, "memoryInGBs": 65}}, 400, "memoryInGBs"),
        ({"shapeConfig": None}, 400, "shapeConfig"),
        ({"createVnicDetails": {"subnetId": "ocid1.subnet.oc1..other"}}, 404, "not found"),
        ({"metadata": {"user_data": "A" * 32_000}}, 400, "metadata"),
    ],
)
def test_a_launch_is_checked(
    cloud: Cloud, changes: dict[str, object], status: int, words: str
) -> None:
    answer = ask(cloud, "POST", "/instances", json=launch_body(**changes))

    assert answer.status_code == status
    assert words in answer.text


def test_a_retry_token_gives_the_same_instance_until_that_is_gone(cloud: Cloud) -> None:
    token = {"opc-retry-token": "t"}
    first = ask(cloud, "POST", "/instances", json=launch_body(), headers=token).json()
    again = ask(cloud, "POST", "/instances", json=launch_body(), headers=token).json()
    other = ask(cloud, "POST", "/instances", json=launch_body(displayName="y"), headers=token)
    ask(cloud, "DELETE", f"/instances/{first['id']}")
    late = ask(cloud, "POST", "/instances", json=launch_body(), headers=token)

    assert again["id"] == first["id"]
    assert other.json()["code"] == late.json()["code"] == "InvalidatedRetryToken"
    assert len(cloud.instances) == 1


def test_an_instance_walks_its_states_and_stays_listed_for_an_hour(cloud: Cloud) -> None:
    made = ask(cloud, "POST", "/instances", json=launch_body()).json()
    path, states = f"/instances/{made['id']}", [made["lifecycleState"]]

    def look() -> None:
        answer = ask(cloud, "GET", path)
        states.append(answer.json().get("lifecycleState", str(answer.status_code)))

    cloud.clock.advance(cloud.behaviour.boot)
    look()
    assert ask(cloud, "DELETE", path).status_code == 204
    look()
    cloud.clock.advance(cloud.behaviour.delete)
    look()
    assert ask(cloud, "DELETE", path).status_code == 404
    cloud.clock.advance(timedelta(hours=1, seconds=1))
    look()

    assert states == ["PROVISIONING", "RUNNING", "TERMINATING", "TERMINATED", "404"]


@pytest.mark.parametrize(("keep", "left"), [("true", ["volume"]), ("false", [])])
def test_a_boot_volume_is_kept_for_those_who_ask(cloud: Cloud, keep: str, left: list[str]) -> None:
    made = ask(cloud, "POST", "/instances", json=launch_body()).json()

    ask(cloud, "DELETE", f"/instances/{made['id']}?preserveBootVolume={keep}")
    cloud.clock.advance(cloud.behaviour.delete)

    assert [line.kind for line in cloud.still_billed()] == left


def test_a_boot_volume_cannot_go_before_its_instance(cloud: Cloud) -> None:
    ask(cloud, "POST", "/instances", json=launch_body())
    (volume,) = cloud.volumes

    assert ask(cloud, "DELETE", f"/bootVolumes/{volume}").status_code == 409


def test_an_address_is_known_once_the_instance_runs(cloud: Cloud) -> None:
    made = ask(cloud, "POST", "/instances", json=launch_body()).json()
    path = f"/vnicAttachments?compartmentId={COMPARTMENT}&instanceId={made['id']}"
    before = ask(cloud, "GET", path).json()[0]
    cloud.clock.advance(cloud.behaviour.boot)
    after = ask(cloud, "GET", path).json()[0]

    assert (before["lifecycleState"], after["lifecycleState"]) == ("ATTACHING", "ATTACHED")
    assert ask(cloud, "GET", f"/vnics/{after['vnicId']}").json()["publicIp"].startswith("192.0.2.")


@pytest.mark.parametrize(("seconds", "billed"), [(1, 60), (60, 60), (61, 61), (3600, 3600)])
def test_instance_and_volume_are_billed_by_the_second_and_a_minute_at_least(
    seconds: int, billed: int
) -> None:
    with Cloud(clock=Clock(speed=0), currency="USD") as cloud:
        provider = opened(cloud)
        provider.create_instance(request(offer_of(provider, E4)))
        cloud.clock.advance(timedelta(seconds=seconds))

        hourly = Decimal("0.025") + 8 * Decimal("0.0015") + Decimal("0.0425") * 50 / 744
        assert abs(cloud.billed()["USD"] - hourly * billed / 3600) < Decimal("1e-20")


def test_the_price_list_is_public_and_its_path_form_is_not(cloud: Cloud) -> None:
    whole = httpx.get(f"{cloud.url}{PRICES}/", params={"currencyCode": "EUR"})
    one = httpx.get(f"{cloud.url}{PRICES}/", params={"partNumber": "B93113"})

    assert whole.status_code == one.status_code == 200
    assert len(whole.json()["items"]) > len(one.json()["items"]) == 1
    assert httpx.get(f"{cloud.url}{PRICES}/B93113").status_code == 403


def test_no_capacity_is_an_internal_error_as_the_real_one_has_it(cloud: Cloud) -> None:
    cloud.behaviour.sold_out = frozenset({E4})
    answer = ask(cloud, "POST", "/instances", json=launch_body())
    report = ask(
        cloud,
        "POST",
        "/computeCapacityReports",
        json={
            "compartmentId": COMPARTMENT,
            "availabilityDomain": DOMAINS[0],
            "shapeAvailabilities": [{"instanceShape": E4}],
        },
    ).json()

    assert (answer.status_code, answer.json()["message"]) == (500, "Out of host capacity.")
    assert report["shapeAvailabilities"][0]["availabilityStatus"] == "OUT_OF_HOST_CAPACITY"


def test_user_data_arrives_decoded(cloud: Cloud) -> None:
    content = base64.b64encode(b"#cloud-config\n").decode()
    body = launch_body(metadata={"user_data": content})
    made = ask(cloud, "POST", "/instances", json=body).json()

    assert cloud.user_data(made["id"]) == "#cloud-config\n"


def test_an_error_on_order_comes_with_the_headers_of_any_answer(cloud: Cloud) -> None:
    cloud.faults.next("GET", "*", Fault(error="rate_limit"))
    answer = ask(cloud, "GET", "/shapes")

    assert answer.status_code == 429
    assert answer.headers["opc-request-id"]
