"""Stand-in for the provider `hcloud`: servers, keys and firewalls by Hetzner's own SDK.

What replaces a resource, and what is changed in place, is as in the schema of the published
provider (github.com/hetznercloud/terraform-provider-hcloud, internal/).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from fakes.pulumi_engine.plugin import Kind, serve
from hcloud import APIException, Client
from hcloud.firewalls import FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

VERSION = "1.43.3"
PATIENCE_SECONDS = 10


class _Resource:
    """What keys, firewalls and servers share: a name, labels, and an end."""

    replaces: frozenset[str] = frozenset()

    def __init__(self, part: Any) -> None:
        self.part = part

    def find(self, identity: str) -> Any:
        try:
            return self.part.get_by_id(int(identity))
        except APIException as error:
            if error.code == "not_found":
                return None
            raise

    def named(self, one: Any) -> dict[str, Any]:
        return {"name": one.name, "labels": one.labels or {}}

    def delete(self, identity: str, _: Mapping[str, Any]) -> None:
        """A firewall is in use until its server is gone: the published provider waits, too."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (one := self.find(identity)) is not None:
            try:
                action = one.delete()
            except APIException as error:
                if error.code != "resource_in_use" or time.monotonic() > end:
                    raise
            else:
                if hasattr(action, "wait_until_finished"):
                    action.wait_until_finished()
            time.sleep(0.02)


class SshKey(_Resource):
    replaces = frozenset({"publicKey"})

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        one = self.part.create(
            name=inputs["name"], public_key=inputs["publicKey"], labels=inputs.get("labels")
        )
        return str(one.id), {"fingerprint": one.fingerprint}

    def read(self, identity: str, _: Mapping[str, Any]) -> Mapping[str, Any] | None:
        one = self.find(identity)
        return one and {**self.named(one), "publicKey": one.public_key}

    def update(self, identity: str, _: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        self.find(identity).update(name=new["name"], labels=new.get("labels", {}))
        return {}


class Firewall(_Resource):
    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        made = self.part.create(
            name=inputs["name"], labels=inputs.get("labels"), rules=_rules(inputs)
        )
        return str(made.firewall.id), {}

    def read(self, identity: str, _: Mapping[str, Any]) -> Mapping[str, Any] | None:
        one = self.find(identity)
        rules = one and [
            {
                "direction": rule.direction,
                "protocol": rule.protocol,
                "port": rule.port,
                "sourceIps": rule.source_ips,
                "description": rule.description,
            }
            for rule in one.rules
        ]
        return one and {**self.named(one), "rules": rules}

    def update(self, identity: str, _: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        one = self.find(identity)
        one.update(name=new["name"], labels=new.get("labels", {}))
        for action in one.set_rules(_rules(new)):
            action.wait_until_finished()
        return {}


def _rules(inputs: Mapping[str, Any]) -> list[FirewallRule]:
    return [
        FirewallRule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=rule.get("port"),
            source_ips=rule.get("sourceIps"),
            description=rule.get("description"),
        )
        for rule in inputs.get("rules", ())
    ]


class Server(_Resource):
    replaces = frozenset({"image", "location", "datacenter", "userData", "sshKeys"})

    def __init__(self, client: Client) -> None:
        super().__init__(client.servers)
        self.client = client

    def create(self, inputs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        (net,) = inputs["publicNets"]
        made = self.part.create(
            name=inputs["name"],
            server_type=ServerType(name=inputs["serverType"]),
            image=Image(name=inputs["image"]),
            location=Location(name=inputs["location"]),
            labels=inputs.get("labels"),
            user_data=inputs.get("userData"),
            ssh_keys=[self.client.ssh_keys.get_by_id(int(one)) for one in inputs["sshKeys"]],
            firewalls=[self.client.firewalls.get_by_id(one) for one in inputs["firewallIds"]],
            public_net=ServerCreatePublicNetwork(
                enable_ipv4=net["ipv4Enabled"], enable_ipv6=net["ipv6Enabled"]
            ),
        )
        for action in (made.action, *(made.next_actions or ())):
            action.wait_until_finished()
        return str(made.server.id), self._addresses(made.server)

    def read(self, identity: str, _: Mapping[str, Any]) -> Mapping[str, Any] | None:
        one = self.find(identity)
        return one and {
            **self.named(one),
            **self._addresses(one),
            "serverType": one.server_type.name,
            "location": one.location.name,
            "image": one.image.name,
            "firewallIds": [each.firewall.id for each in one.public_net.firewalls],
        }

    def update(
        self, identity: str, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any]:
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        if changed - {"name", "labels", "serverType"}:
            raise NotImplementedError(f"the emulator cannot change {sorted(changed)}")
        one = self.find(identity)
        one.update(name=new["name"], labels=new.get("labels", {}))
        if "serverType" in changed:  # as the provider does, whatever it is in the middle of
            one.power_off().wait_until_finished()
            kind = ServerType(name=new["serverType"])
            one.change_type(kind, upgrade_disk=not new.get("keepDisk")).wait_until_finished()
            one.power_on().wait_until_finished()
        return {}

    @staticmethod
    def _addresses(one: Any) -> dict[str, Any]:
        net = one.public_net
        return {
            "ipv4Address": net.ipv4.ip if net.ipv4 else "",
            "ipv6Address": net.ipv6.ip.replace("/64", "1") if net.ipv6 else "",
        }


def configure(given: Mapping[str, str]) -> Mapping[str, Kind]:
    """The kinds, at the address that the published provider reads from the same variable."""
    client = Client(given["token"], os.environ["HCLOUD_ENDPOINT"], poll_interval=0.02)
    return {
        "hcloud:index/sshKey:SshKey": SshKey(client.ssh_keys),
        "hcloud:index/firewall:Firewall": Firewall(client.firewalls),
        "hcloud:index/server:Server": Server(client),
    }


def call(function: str, _: Mapping[str, Any]) -> Mapping[str, Any]:
    """The program asks hcloud nothing."""
    raise NotImplementedError(function)


if __name__ == "__main__":
    serve(VERSION, configure, call)
