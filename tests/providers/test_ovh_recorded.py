"""The emulated OVHcloud against bodies that the real one sent, or is said to send."""

from __future__ import annotations

from typing import Any

import ovh  # type: ignore[import-untyped]  # the SDK has no types
import pytest
from fakes.recorded import absent, recorded
from materia_ovh.emulator.service import Ovh as Cloud


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
