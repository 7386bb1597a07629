"""Firewalls, volumes and changes of the emulated Hetzner Cloud, by the official SDK."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import hcloud
import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from fakes.recorded import recorded
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from materia_hetzner.emulator.service import Hetzner as Cloud
from materia_testing.emulation.exchange import Request

SSH = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["203.0.113.7/32"])


@pytest.fixture
def client(cloud: Cloud) -> Any:  # whose answers may lack almost everything, by its types
    cloud.behaviour.delete = timedelta(0)
    return hcloud.Client(cloud.token, f"{cloud.url}/v1", timeout=2, poll_interval=0.01)


def server(client: Any, name: str = "web", **more: Any) -> Any:
    return client.servers.create(
        name=name,
        server_type=ServerType(name="cpx22"),
        image=Image(name="debian-12"),
        location=Location(name="fsn1"),
        **more,
    ).server


def to(one: Any) -> FirewallResource:
    return FirewallResource(type="server", server=one)


def refused(call: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(hcloud.APIException) as raised:
        call(*arguments, **more)
    return str(raised.value.code)


def test_a_stopped_server_gets_another_type_and_is_billed_as_that(
    cloud: Cloud, client: Any
) -> None:
    web, larger = server(client), ServerType(name="cpx32")
    assert refused(web.change_type, larger, upgrade_disk=True) == "server_not_stopped"

    web.power_off().wait_until_finished()
    assert client.servers.get_by_id(web.id).status == "off"
    assert refused(web.change_type, ServerType(name="cax11"), upgrade_disk=True) == (
        "invalid_server_type"
    )
    web.change_type(larger, upgrade_disk=False).wait_until_finished()
    web.change_type(ServerType(name="cpx22"), upgrade_disk=False).wait_until_finished()
    web.change_type(larger, upgrade_disk=True).wait_until_finished()
    small = ServerType(name="cpx22")
    assert refused(web.change_type, small, upgrade_disk=True) == "invalid_server_type"
    web.power_on().wait_until_finished()

    shown = client.servers.get_by_id(web.id)
    assert shown.status in {"initializing", "starting", "running"}  # it boots
    assert shown.server_type.name == "cpx32"
    old, *_, new = (one for one in cloud.meter.lines if one.kind == "instance")
    assert (old.ended_at is not None, new.ended_at) == (True, None)
    assert new.hourly.amount > old.hourly.amount
    web.delete()
    assert cloud.still_billed() == []


def test_a_firewall_applies_to_a_server_until_that_is_gone(cloud: Cloud, client: Any) -> None:
    wall = client.firewalls.create("wall", rules=[SSH], labels={"role": "web"}).firewall
    web = server(client, firewalls=[wall])

    assert [one.firewall.id for one in web.public_net.firewalls] == [wall.id]
    shown = client.firewalls.get_by_id(wall.id)
    assert [one.server.id for one in shown.applied_to] == [web.id]
    assert (shown.rules[0].port, shown.rules[0].source_ips) == ("22", ["203.0.113.7/32"])
    assert refused(shown.delete) == "resource_in_use"

    web.delete()
    client.firewalls.get_by_id(wall.id).delete()
    assert cloud.still_billed() == []


def test_a_firewall_is_in_use_while_its_server_is_still_being_deleted(
    cloud: Cloud, client: Any
) -> None:
    cloud.behaviour.delete = timedelta(hours=1)
    wall = client.firewalls.create("wall", rules=[]).firewall
    server(client, firewalls=[wall]).delete()

    assert refused(wall.delete) == "resource_in_use"


def test_a_firewall_applies_by_label_also_to_a_server_that_comes_later(
    client: Any,
) -> None:
    selector = FirewallResourceLabelSelector(selector="role=web")
    by_label = FirewallResource(type="label_selector", label_selector=selector)
    wall = client.firewalls.create("wall", rules=[], resources=[by_label]).firewall

    web = server(client, labels={"role": "web"})
    other = server(client, "db", labels={"role": "db"})

    (applied,) = client.firewalls.get_by_id(wall.id).applied_to
    assert [one.server.id for one in applied.applied_to_resources] == [web.id]
    assert other.public_net.firewalls == []
    code = refused(wall.remove_from_resources, [to(web)])
    assert code == "firewall_managed_by_label_selector"
    wall.remove_from_resources([by_label])
    wall.delete()


def test_a_firewall_is_applied_and_removed_by_hand(client: Any) -> None:
    wall = client.firewalls.create("wall", rules=[]).firewall
    web = server(client)

    (action,) = wall.apply_to_resources([to(web)])
    assert (action.command, action.status) == ("apply_firewall", "success")
    assert refused(wall.apply_to_resources, [to(web)]) == "firewall_already_applied"
    actions = wall.set_rules([SSH])
    assert [one.command for one in actions] == ["set_firewall_rules", "apply_firewall"]
    wall.remove_from_resources([to(web)])
    wall.remove_from_resources([to(web)])  # no error since August 2025
    wall.delete()


def test_a_server_has_five_firewalls_at_most(client: Any) -> None:
    web = server(client)
    for number in range(5):
        client.firewalls.create(f"wall-{number}", rules=[], resources=[to(web)])

    code = refused(client.firewalls.create, "wall-5", rules=[], resources=[to(web)])

    assert code == "resource_limit_exceeded"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"direction": "up"}, "rules.0.direction"),
        ({"protocol": "pigeon"}, "rules.0.protocol"),
        ({"protocol": "icmp"}, "rules.0.port"),
        ({"port": None}, "rules.0.port"),
        ({"port": "0"}, "rules.0.port"),
        ({"port": "85-80"}, "rules.0.port"),
        ({"source_ips": []}, "rules.0.source_ips"),
        ({"source_ips": ["203.0.113.7"]}, "rules.0.source_ips"),
        ({"source_ips": ["203.0.113.7/8"]}, "rules.0.source_ips"),
        ({"destination_ips": ["0.0.0.0/0"]}, "rules.0.destination_ips"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    rule = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["10.0.0.0/8"]}
    cloud = Cloud()

    body = json.dumps({"name": "wall", "rules": [{**rule, **changes}]}).encode()
    headers = {"authorization": f"Bearer {cloud.token}"}
    answer: Any = cloud.respond(
        Request(method="POST", target="/v1/firewalls", headers=headers, body=body)
    )

    assert answer.status == 422
    assert answer.body["error"]["code"] == "invalid_input"
    assert [one["name"] for one in answer.body["error"]["details"]["fields"]] == [field]


def test_networks_of_a_rule_are_answered_in_their_canonical_form(client: Any) -> None:
    rule = FirewallRule("in", "tcp", port="443", source_ips=["2001:0DB8:0:0::/64"])

    wall = client.firewalls.create("wall", rules=[rule]).firewall

    assert wall.rules[0].source_ips == ["2001:db8::/64"]


def test_a_volume_is_attached_to_one_server_and_outlives_it(cloud: Cloud, client: Any) -> None:
    web, other = server(client), server(client, "db")
    made = client.volumes.create(size=10, name="data", server=web, format="ext4")
    volume = made.volume

    assert [one.command for one in made.next_actions] == ["attach_volume"]
    assert (volume.server.id, volume.location.name) == (web.id, "fsn1")
    assert refused(volume.attach, other) == "volume_already_attached"
    assert refused(volume.delete) == "locked"
    web.delete()
    volume.reload()
    assert volume.server is None
    volume.attach(other)
    volume.detach()
    assert refused(volume.detach) == "invalid_input"
    volume.delete()
    assert [line.kind for line in cloud.still_billed() if line.kind == "volume"] == []


def test_a_volume_grows_costs_more_and_never_shrinks(cloud: Cloud, client: Any) -> None:
    volume = client.volumes.create(size=10, name="data", location=Location(name="nbg1")).volume

    (small,) = cloud.still_billed()
    volume.resize(50)
    (large,) = cloud.still_billed()

    assert large.hourly.amount == 5 * small.hourly.amount
    assert refused(volume.resize, 50) == "invalid_input"


@pytest.mark.parametrize(
    "wrong",
    [{"size": 9}, {"name": "-data"}, {"format": "zfs"}, {"location": Location(name="moon")}],
    ids=str,
)
def test_an_impossible_volume_is_refused(cloud: Cloud, client: Any, wrong: dict[str, Any]) -> None:
    wanted = {"size": 10, "name": "data", "location": Location(name="nbg1"), **wrong}

    assert refused(client.volumes.create, **wanted) == "invalid_input"
    assert cloud.still_billed() == []


def test_what_is_protected_cannot_be_deleted(cloud: Cloud, client: Any) -> None:
    web = server(client)
    volume = client.volumes.create(size=10, name="data", location=Location(name="fsn1")).volume
    for one, protection in ((web, {"delete": True, "rebuild": True}), (volume, {"delete": True})):
        one.change_protection(**protection)
        one.reload()
        assert one.protection == protection

        assert refused(one.delete) == "protected"

    web.change_protection(delete=False, rebuild=False)
    volume.change_protection(delete=False)
    web.delete()
    volume.delete()
    assert cloud.still_billed() == []


def test_protection_of_a_server_is_one_switch(client: Any) -> None:
    assert refused(server(client).change_protection, delete=True) == "invalid_input"


def test_names_and_labels_change_and_names_stay_unique(client: Any) -> None:
    things: list[tuple[Any, Any]] = [
        (server(client, "one"), server(client, "two")),
        tuple(
            client.ssh_keys.create(name, f"ssh-ed25519 {key}")
            for name, key in (("one", "AAAA"), ("two", "AAAB"))
        ),
        tuple(client.firewalls.create(name, rules=[]).firewall for name in ("one", "two")),
        tuple(
            client.volumes.create(size=10, name=name, location=Location(name="fsn1")).volume
            for name in ("one", "two")
        ),
        tuple(client.primary_ips.get_all()[:2]),
    ]
    for one, two in things:
        changed = one.update(name="three", labels={"role": "web"})
        assert (changed.name, changed.labels) == ("three", {"role": "web"})
        assert one.update(name="three").labels == {"role": "web"}  # what is not named stays
        assert refused(two.update, name="three", labels={"role": "db"}) == "uniqueness_error"
        two.reload()
        assert two.name != "three"
        assert not two.labels


def test_a_place_a_type_and_an_image_are_found_by_their_ids(client: Any) -> None:
    for kind in (client.locations, client.server_types, client.images):
        one: Any = kind.get_all()[1]
        assert kind.get_by_id(one.id).name == one.name
        assert refused(kind.get_by_id, 99) == "not_found"


def test_requests_and_answers_are_as_the_published_description_has_them(
    cloud: Cloud, client: Any
) -> None:
    description = recorded("hetzner/hcloud-openapi.json")
    wall = client.firewalls.create("wall", rules=[SSH]).firewall
    web = server(client, firewalls=[wall])
    wall.set_rules([SSH])
    client.firewalls.get_all()
    volume = client.volumes.create(size=10, name="data", server=web).volume
    volume.detach()
    volume.attach(web)
    volume.resize(20)
    volume.change_protection(delete=True)
    client.volumes.get_all()
    for one in (wall, volume):
        one.update(name="new")
    wall.remove_from_resources([to(web)])
    wall.apply_to_resources([to(web)])

    assert {shape(description, one) for one in cloud.exchanges} >= {
        "POST /firewalls",
        "PUT /firewalls/{id}",
        "POST /firewalls/{id}/actions/set_rules",
        "POST /firewalls/{id}/actions/apply_to_resources",
        "POST /firewalls/{id}/actions/remove_from_resources",
        "POST /volumes",
        "PUT /volumes/{id}",
        "POST /volumes/{id}/actions/attach",
        "POST /volumes/{id}/actions/resize",
    }


def shape(description: dict[str, Any], exchange: Any) -> str:
    """The operation of an exchange, whose request and answer are held to its schemas."""
    parts = exchange.path.removeprefix("/v1/").split("/")
    path = "/" + "/".join("{id}" if part.isdecimal() else part for part in parts)
    operation = description["paths"][path][exchange.method.lower()]
    if parts[0] in {"firewalls", "volumes"}:
        known = {"components": description["components"]}
        if exchange.body:
            content = operation["requestBody"]["content"]
            schema = {**content["application/json"]["schema"], **known}
            jsonschema.validate(json.loads(exchange.body), nullable(schema))
        answer = operation["responses"][str(exchange.status)]["content"]["application/json"]
        jsonschema.validate(exchange.answered, nullable({**answer["schema"], **known}))
    return f"{exchange.method} {path}"


def nullable(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema: what is nullable may be null."""
    if isinstance(schema, list):
        return [nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: nullable(one) for key, one in schema.items() if key != "nullable"}
    return {"anyOf": [inside, {"type": "null"}]} if schema.get("nullable") is True else inside
