"""Firewalls of the emulated Hetzner Cloud: their rules, and the servers that they apply to.

A firewall applies to a server by the server's id, or by its labels. It costs nothing, and cannot be
deleted while it applies to anything, as the API reference says.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request, route
from materia_testing.emulation.meter import Metered

from materia_hetzner.emulator.bodies import firewall_body, page
from materia_hetzner.emulator.errors import refusal
from materia_hetzner.emulator.reading import Reading
from materia_hetzner.emulator.things import Firewall, Server

PROTOCOLS = ("tcp", "udp", "icmp", "esp", "gre")
RULES, RULE_NETWORKS, NAME_LENGTH = 50, 100, 128
FIREWALLS_OF_A_SERVER = 5


class Firewalls(Reading):
    """The firewalls of the project."""

    @route("GET", "/v1/firewalls")
    def list_firewalls(self, request: Request) -> Answer:
        """By name or label."""
        found = self._named(self.firewalls, request)
        return page("firewalls", [firewall_body(each, self) for each in found], request)

    @route("POST", "/v1/firewalls")
    def create_firewall(self, request: Request) -> Answer:
        """Names are unique in a project; `apply_to` applies it at once."""
        name, labels = request.field("name", str), self._labels(request)
        if not 0 < len(name) <= NAME_LENGTH:
            raise BadBody("name", f"must have 1 to {NAME_LENGTH} characters")
        self._check_name(self.firewalls, name, "firewall")
        firewall = Firewall(
            id=self.number() + 38_000,
            name=name,
            labels=labels,
            created=self.now(),
            rules=_rules(request),
        )
        targets = self._targets(request, "apply_to", missing=422)
        if len({str(target) for target in targets}) < len(targets):
            raise Refusal(refusal(422, "server_already_added", "server added more than once"))
        self._check_limit(targets)
        self.firewalls[firewall.id] = firewall
        line = Metered(
            kind="firewall", id=str(firewall.id), name=name, region="", started_at=self.now()
        )
        self.meter.start(line)
        actions = [self._done("set_firewall_rules", ("firewall", firewall.id))]
        actions += self._apply(firewall, targets)
        return Answer(
            status=201, body={"firewall": firewall_body(firewall, self), "actions": actions}
        )

    @route("GET", "/v1/firewalls/{id}")
    def get_firewall(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One firewall."""
        return Answer(body={"firewall": firewall_body(self._find(self.firewalls, id), self)})

    @route("PUT", "/v1/firewalls/{id}")
    def update_firewall(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name or the labels."""
        firewall = self._update(self.firewalls, id, request, "firewall")
        return Answer(body={"firewall": firewall_body(firewall, self)})

    @route("DELETE", "/v1/firewalls/{id}")
    def delete_firewall(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Refused while it applies to a server, also to one that is being deleted."""
        firewall = self._find(self.firewalls, id)
        if firewall.targets:
            message = f"firewall with ID {firewall.id} is still in use"
            return refusal(422, "resource_in_use", message)
        del self.firewalls[firewall.id]
        self.meter.stop("firewall", id, self.now())
        return Answer(status=204)

    @route("POST", "/v1/firewalls/{id}/actions/set_rules")
    def set_rules(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Replace all rules; one action for the firewall, and one for each of its servers."""
        firewall = self._find(self.firewalls, id)
        request.field("rules", list)
        firewall.rules = _rules(request)
        actions = [self._done("set_firewall_rules", ("firewall", firewall.id))]
        for server in self.servers.values():
            if firewall.applies(server):
                where = (("server", server.id), ("firewall", firewall.id))
                actions.append(self._done("apply_firewall", *where))
        return Answer(status=201, body={"actions": actions})

    @route("POST", "/v1/firewalls/{id}/actions/apply_to_resources")
    def apply_firewall(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Add servers and label selectors."""
        firewall = self._find(self.firewalls, id)
        targets = self._targets(request, "apply_to", missing=404)
        for target in targets:
            if target in firewall.targets:
                message = "firewall is already applied to the resource"
                return refusal(422, "firewall_already_applied", message)
        self._check_limit(targets)
        return Answer(status=201, body={"actions": self._apply(firewall, targets)})

    @route("POST", "/v1/firewalls/{id}/actions/remove_from_resources")
    def remove_firewall(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Take servers and label selectors away; one that is not there is no error."""
        firewall = self._find(self.firewalls, id)
        targets = self._targets(request, "remove_from", missing=404)
        for target in targets:
            by_label = isinstance(target, int) and target not in firewall.targets
            if by_label and firewall.applies(self.servers[int(target)]):
                message = "firewall is applied via a label selector"
                return refusal(422, "firewall_managed_by_label_selector", message)
        firewall.targets = [each for each in firewall.targets if each not in targets]
        actions = [self._acted_on("remove_firewall", firewall, target) for target in targets]
        return Answer(status=201, body={"actions": actions})

    def _given_firewalls(self, request: Request) -> list[Firewall]:
        """The firewalls that the body of a new server names."""
        found = []
        for given in request.json.get("firewalls") or ():
            identity = given.get("firewall") if isinstance(given, dict) else None
            if not isinstance(identity, int):
                raise BadBody("firewalls", f"is {given!r}")
            if identity not in self.firewalls:
                message = f"firewall with ID '{identity}' not found"
                raise Refusal(refusal(404, "not_found", message))
            found.append(self.firewalls[identity])
        if len(found) > FIREWALLS_OF_A_SERVER:
            raise BadBody("firewalls", f"must not be more than {FIREWALLS_OF_A_SERVER}")
        return found

    def _apply(self, firewall: Firewall, targets: list[int | str]) -> list[dict[str, Any]]:
        firewall.targets += targets
        return [self._acted_on("apply_firewall", firewall, target) for target in targets]

    def _acted_on(self, command: str, firewall: Firewall, target: int | str) -> dict[str, Any]:
        server = [("server", target)] if isinstance(target, int) else []
        return self._done(command, *server, ("firewall", firewall.id))

    def _targets(self, request: Request, field: str, missing: int) -> list[int | str]:
        """Ids of servers, and label selectors."""
        targets: list[int | str] = []
        for given in request.json.get(field) or ():
            match given:
                case {"type": "server", "server": {"id": int(identity)}}:
                    targets.append(self._server_with_address(identity, missing).id)
                case {"type": "label_selector", "label_selector": {"selector": str(selector)}}:
                    targets.append(selector)
                case _:
                    raise BadBody(field, f"is {given!r}")
        return targets

    def _server_with_address(self, identity: int, missing: int) -> Server:
        server = self.servers.get(identity)
        if server is None:
            message = f"server with ID '{identity}' not found"
            raise Refusal(refusal(missing, "firewall_resource_not_found", message))
        if server.ipv4 is None and server.ipv6 is None:
            message = f"server with ID '{identity}' has no public interface"
            raise Refusal(refusal(422, "private_net_only_server", message))
        return server

    def _check_limit(self, targets: list[int | str]) -> None:
        for target in targets:
            if isinstance(target, int):
                server = self.servers[target]
                mine = [each for each in self.firewalls.values() if each.applies(server)]
                if len(mine) >= FIREWALLS_OF_A_SERVER:
                    message = f"a server has at most {FIREWALLS_OF_A_SERVER} firewalls"
                    raise Refusal(refusal(403, "resource_limit_exceeded", message))


def _rules(request: Request) -> list[dict[str, Any]]:
    given = request.json.get("rules") or []
    if len(given) > RULES:
        raise BadBody("rules", f"must not be more than {RULES}")
    return [_rule(each, f"rules.{number}") for number, each in enumerate(given)]


def _rule(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A rule in the API's form; refused where the reference says so."""
    direction, protocol, port = (given.get(key) for key in ("direction", "protocol", "port"))
    if direction not in {"in", "out"}:
        raise BadBody(f"{where}.direction", "must be in or out")
    if protocol not in PROTOCOLS:
        raise BadBody(f"{where}.protocol", f"must be one of {', '.join(PROTOCOLS)}")
    if (port is not None) != (protocol in {"tcp", "udp"}):
        raise BadBody(f"{where}.port", "is needed with tcp and udp, and not allowed otherwise")
    if port is not None and not _is_port(str(port)):
        raise BadBody(f"{where}.port", "must be a port or a range such as 80-85")
    used, unused = ("source_ips", "destination_ips")[:: 1 if direction == "in" else -1]
    if given.get(unused):
        raise BadBody(f"{where}.{unused}", f"is not allowed with the direction {direction}")
    networks = given.get(used) or ()
    if not 0 < len(networks) <= RULE_NETWORKS:
        raise BadBody(f"{where}.{used}", f"must be 1 to {RULE_NETWORKS} networks")
    return {
        "direction": direction,
        "protocol": protocol,
        "port": port,
        used: [_network(each, f"{where}.{used}") for each in networks],
        unused: [],
        "description": given.get("description"),
    }


def _is_port(text: str) -> bool:
    if not re.fullmatch(r"\d{1,5}(-\d{1,5})?", text):
        return False
    ends = [int(end) for end in text.split("-")]
    return 1 <= ends[0] <= ends[-1] <= 65535


def _network(given: object, where: str) -> str:
    """In CIDR notation, without host bits; IPv6 in its canonical form."""
    try:
        if "/" in str(given):
            return str(ipaddress.ip_network(str(given)))
    except ValueError:
        pass
    raise BadBody(where, f"{given!r} is no network in CIDR notation")
