"""HTTP API of the emulated Hetzner Cloud: servers, SSH keys, IPs, actions, prices.

API v1 as of 2026-08. Follows the published API reference (docs.hetzner.cloud) and its changelog: no
`datacenter` any more, availability under `server_types[].locations[]`. A server is billed from its
creation for every started hour, up to a monthly cap, whether it runs or not. An IPv4 address is
billed apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request, route

from materia_hetzner.emulator.bodies import (
    address_body,
    key_body,
    page,
    server_body,
)
from materia_hetzner.emulator.catalog import SERVER_TYPES, ServerType
from materia_hetzner.emulator.errors import ERRORS, refusal
from materia_hetzner.emulator.firewalls import Firewalls
from materia_hetzner.emulator.formats import fingerprint_of
from materia_hetzner.emulator.places import Places
from materia_hetzner.emulator.things import Key, Server
from materia_hetzner.emulator.volumes import Volumes

USER_DATA_LIMIT = 32 * 1024


class Hetzner(Places, Firewalls, Volumes):
    """The API, with one project and its token."""

    create_call = ("POST", "/v1/servers")
    delete_call = ("DELETE", "/v1/servers/*")
    list_call = ("GET", "/v1/servers")
    offers_call = ("GET", "/v1/server_types")
    errors: ClassVar[Mapping[str, Answer]] = ERRORS

    def secrets(self) -> dict[str, str]:
        """The token."""
        return {"HCLOUD_TOKEN": self.token}

    def settings(self) -> dict[str, object]:
        """The address."""
        return {"api_url": f"{self.url}/v1"}

    def authenticate(self, request: Request) -> Answer | None:
        """Bearer tokens."""
        match request.headers.get("authorization", "").split(" "):
            case ["Bearer", token] if token == self.token:
                return None
            case ["Bearer", token] if token == self.read_only_token:
                return None if request.method == "GET" else self.errors["read_only"]
        return self.errors["unauthorized"]

    def no_route(self, request: Request) -> Answer:
        """404 as the API words it."""
        return refusal(404, "not_found", f"no such path: {request.method} {request.path}")

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """422 with the field, as the API words it."""
        fields = [{"name": bad.field, "messages": [bad.reason]}]
        message = f"invalid input in field '{bad.field}'"
        return refusal(422, "invalid_input", message, {"fields": fields})

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The budget of requests and the correlation id, as on every real answer."""
        left = max(0, 3600 - len(self.exchanges))
        headers = {
            "RateLimit-Limit": "3600",
            "RateLimit-Remaining": "0" if answer.status == 429 else str(left),
            "RateLimit-Reset": str(int(self.now().timestamp()) + 3600),
            "X-Correlation-Id": f"emulated-{len(self.exchanges)}",
        }
        return Answer(status=answer.status, body=answer.body, headers={**answer.headers, **headers})

    def user_data(self, identity: str) -> str:
        """As it was sent."""
        return self.servers[int(identity)].user_data

    # SSH keys ------------------------------------------------------------------------------

    @route("GET", "/v1/ssh_keys")
    def list_keys(self, request: Request) -> Answer:
        """By name, fingerprint or label."""
        prints = request.all("fingerprint")
        found = [
            key_body(key)
            for key in self._named(self.keys, request)
            if not prints or key.fingerprint in prints
        ]
        return page("ssh_keys", found, request)

    @route("POST", "/v1/ssh_keys")
    def create_key(self, request: Request) -> Answer:
        """Name and key are unique in a project."""
        name, public_key = request.field("name", str), request.field("public_key", str)
        fingerprint = fingerprint_of(public_key)
        self._check_name(self.keys, name, "SSH key")
        if any(key.fingerprint == fingerprint for key in self.keys.values()):
            message = "SSH key with the same fingerprint already exists"
            return refusal(409, "uniqueness_error", message)
        key = self._add_key(name, public_key, fingerprint, self._labels(request))
        return Answer(status=201, body={"ssh_key": key_body(key)})

    @route("GET", "/v1/ssh_keys/{id}")
    def get_key(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One key."""
        return Answer(body={"ssh_key": key_body(self._find(self.keys, id))})

    @route("PUT", "/v1/ssh_keys/{id}")
    def update_key(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name or the labels."""
        return Answer(body={"ssh_key": key_body(self._update(self.keys, id, request, "SSH key"))})

    @route("DELETE", "/v1/ssh_keys/{id}")
    def delete_key(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Servers keep the keys that they were created with."""
        del self.keys[self._find(self.keys, id).id]
        self.meter.stop("key", id, self.now())
        return Answer(status=204)

    # Servers -------------------------------------------------------------------------------

    @route("GET", "/v1/servers")
    def list_servers(self, request: Request) -> Answer:
        """By name, status or label."""
        now, states = self.now(), request.all("status")
        found = [
            server_body(server, self, now)
            for server in self._named(self.servers, request)
            if self._visible(server) and (not states or server.status(now) in states)
        ]
        return page("servers", found, request)

    @route("POST", "/v1/servers")
    def create_server(self, request: Request) -> Answer:
        """Check the request as the API reference says, place the server, and bill it at once."""
        name, labels = request.field("name", str), self._labels(request)
        _check_hostname(name)
        self._check_name(self.servers, name, "server")
        user_data = request.json.get("user_data") or ""
        if len(user_data.encode()) > USER_DATA_LIMIT:
            raise BadBody("user_data", "must not be longer than 32768 bytes")
        kind = self._type(request)
        location = request.json.get("location") or next(iter(kind.prices))
        if location not in kind.prices:
            return refusal(422, "invalid_input", "unsupported location for server type")
        image = self._image(request, kind)
        firewalls = self._given_firewalls(request)
        keys = tuple(self._key(given).public_key for given in request.json.get("ssh_keys") or ())
        if kind.withdrawn:
            return refusal(422, "invalid_input", "server type is deprecated")
        if not kind.on_sale or kind.name in self.behaviour.sold_out:
            return self.errors["sold_out"]
        server = Server(
            id=self.number() + 42_000_000,
            name=name,
            labels=labels,
            type=kind,
            location=location,
            image=image,
            created=self.now(),
            user_data=user_data,
            keys=keys,
            boot=self.behaviour.boot,
            boots=not (self.behaviour.never_boots or self.behaviour.boot_fails),
        )
        self._place(server, request.json.get("public_net") or {})
        for firewall in firewalls:
            firewall.targets.append(server.id)
        failure = "action_failed" if self.behaviour.boot_fails else None
        ends_at = None if self.behaviour.never_boots else server.created + server.boot
        return Answer(
            status=201,
            body={
                "server": server_body(server, self, self.now()),
                "action": self._act("create_server", server, ends_at, failure),
                "next_actions": [self._act("start_server", server, ends_at, failure)],
                "root_password": None if keys else "Emulated-root-password-1",
            },
        )

    @route("GET", "/v1/servers/{id}")
    def get_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One server."""
        server = self._find(self.servers, id)
        if not self._visible(server):
            return self.errors["not_found"]
        return Answer(body={"server": server_body(server, self, self.now())})

    @route("PUT", "/v1/servers/{id}")
    def update_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name or the labels."""
        if isinstance(name := request.json.get("name"), str):
            _check_hostname(name)
        server = self._update(self.servers, id, request, "server")
        return Answer(body={"server": server_body(server, self, self.now())})

    @route("POST", "/v1/servers/{id}/actions/change_protection")
    def protect_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Against a delete and a rebuild, which the API couples."""
        server = self._find(self.servers, id)
        wanted = {request.json.get(key, server.protected) for key in ("delete", "rebuild")}
        if len(wanted) > 1:
            raise BadBody("rebuild", "must have the value of delete")
        server.protected = bool(wanted.pop())
        return Answer(
            status=201, body={"action": self._act("change_protection", server, self.now())}
        )

    @route("POST", "/v1/servers/{id}/actions/poweroff")
    def stop_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Cut the power; it is billed as before."""
        server = self._find(self.servers, id)
        if not server.off:
            server.off = True
            self.power_off(self._booting(server))
        return Answer(status=201, body={"action": self._act("stop_server", server, self.now())})

    @route("POST", "/v1/servers/{id}/actions/poweron")
    def start_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Boot again; the disk is that of a new server here, as machines keep none."""
        server = self._find(self.servers, id)
        if server.off:
            server.off = False
            server.host = self.power_on(self._booting(server))
        return Answer(status=201, body={"action": self._act("start_server", server, self.now())})

    @route("POST", "/v1/servers/{id}/actions/change_type")
    def change_type(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Another type of the same processor, with room for the disk, for a stopped server."""
        server, kind = self._find(self.servers, id), self._type(request)
        upgrade = request.field("upgrade_disk", bool)
        if not server.off:
            return self.errors["not_stopped"]
        fits = kind.architecture == server.type.architecture and server.location in kind.prices
        if not fits or kind.withdrawn or kind.disk_gb < server.disk_gb:
            return refusal(422, "invalid_server_type", "server type does not fit the server")
        if not kind.on_sale or kind.name in self.behaviour.sold_out:
            return self.errors["sold_out"]
        now = self.now()
        self.meter.stop("instance", str(server.id), now)
        server.type, server.disk_gb = kind, kind.disk_gb if upgrade else server.disk_gb
        self._bill_server(server, since=now)
        return Answer(status=201, body={"action": self._act("change_server_type", server, now)})

    @route("DELETE", "/v1/servers/{id}")
    def delete_server(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Delete a server with its implicit addresses; its volumes stay."""
        server = self._find(self.servers, id)
        if server.protected:
            return self.errors["protected"]
        now = self.now()
        if self.behaviour.never_deletes:
            return Answer(body={"action": self._act("delete_server", server, None)})
        if server.gone_at is None:
            server.gone_at = now + self.behaviour.delete
            self.power_off(self._booting(server))
            self.meter.stop("instance", str(server.id), server.gone_at)
        answer = Answer(body={"action": self._act("delete_server", server, server.gone_at)})
        self.collect()  # a delete that takes no time is over now
        return answer

    @route("GET", "/v1/actions/{id}")
    def get_action(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """The state of an action."""
        return Answer(body={"action": self._find(self.actions, id).body(self.now())})

    @route("GET", "/v1/actions")
    def list_actions(self, request: Request) -> Answer:
        """The actions with the given ids; the API lists no others."""
        ids = request.all("id")
        bodies = [each.body(self.now()) for each in self.actions.values() if str(each.id) in ids]
        return page("actions", bodies, request)

    # Addresses -----------------------------------------------------------------------------

    @route("GET", "/v1/primary_ips")
    def list_addresses(self, request: Request) -> Answer:
        """By name, address or label."""
        ips = request.all("ip")
        found = [
            address_body(address)
            for address in self._named(self.addresses, request)
            if not ips or address.ip in ips
        ]
        return page("primary_ips", found, request)

    @route("GET", "/v1/primary_ips/{id}")
    def get_address(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One address."""
        return Answer(body={"primary_ip": address_body(self._find(self.addresses, id))})

    @route("PUT", "/v1/primary_ips/{id}")
    def update_address(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name, the labels, or whether the address is deleted with its server."""
        address = self._update(self.addresses, id, request, "Primary IP")
        address.auto_delete = request.json.get("auto_delete", address.auto_delete)
        return Answer(body={"primary_ip": address_body(address)})

    @route("DELETE", "/v1/primary_ips/{id}")
    def delete_address(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Refused while a server uses it."""
        address = self._find(self.addresses, id)
        if address.assignee is not None:
            return refusal(422, "must_be_unassigned", "primary IP is assigned to a server")
        self._drop_address(address, self.now())
        return Answer(status=204)

    # Reading a request ---------------------------------------------------------------------

    def _type(self, request: Request) -> ServerType:
        wanted = str(request.json.get("server_type"))
        for kind in SERVER_TYPES:
            if wanted in (kind.name, str(kind.id)):
                return kind
        raise BadBody("server_type", f"server type {wanted} not found")

    def _image(self, request: Request, kind: ServerType) -> dict[str, Any]:
        wanted = str(request.json.get("image"))
        for image in self.images:
            if wanted == str(image["id"]) and image["architecture"] != kind.architecture:
                raise BadBody("image", "architecture does not match the server type")
            fits = image["architecture"] == kind.architecture
            if fits and wanted in (image["name"], str(image["id"])):
                return image
        raise Refusal(refusal(404, "not_found", f"image '{wanted}' not found"))

    def _key(self, given: object) -> Key:
        for key in self.keys.values():
            if str(given) in (key.name, str(key.id)):
                return key
        raise Refusal(refusal(404, "not_found", f"SSH key '{given}' not found"))


def _check_hostname(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", name):
        raise BadBody("name", "must be a valid hostname")
