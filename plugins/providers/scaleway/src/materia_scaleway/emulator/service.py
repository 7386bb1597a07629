"""HTTP API of the emulated Scaleway: instance v1, block v1, marketplace v2, product catalog.

As of 2026-08. Shapes follow the published APIs. A server is created stopped, gets its user data,
and is powered on. Its boot volume is a block volume of its own, created without tags, and only
detached when the server is terminated; a flexible address stays too. Each of the three is billed
apart, by the started hour, and an address costs EUR 0.01 at least.
"""

from __future__ import annotations

import uuid

from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request, route

from materia_scaleway.emulator.bodies import (
    bodied_page,
    counted_page,
    kind_body,
    local_images,
    product_body,
    stamp,
    volume_body,
    volume_kinds,
)
from materia_scaleway.emulator.catalog import ZONES, kinds_in
from materia_scaleway.emulator.errors import invalid, refusal
from materia_scaleway.emulator.project import DEFAULT_VOLUME, Project

INSTANCE = "/instance/v1/zones/{zone}"
BLOCK = "/block/v1/zones/{zone}"
USER_DATA_LIMIT = 127_998  # not documented; this is the limit of Scaleway's own Terraform provider


class Scaleway(Project):
    """The APIs, with one project and its key."""

    create_call = ("POST", "/instance/v1/zones/*/servers")
    delete_call = ("POST", "/instance/v1/zones/*/servers/*/action")
    list_call = ("GET", "/instance/v1/zones/*/servers")
    offers_call = ("GET", "/product-catalog/v2alpha1/public-catalog/products")

    # Prices --------------------------------------------------------------------------------

    @route("GET", "/product-catalog/v2alpha1/public-catalog/products", public=True)
    def list_products(self, request: Request) -> Answer:
        """Products with exact prices; only instances are emulated."""
        kinds, zone = request.all("product_types"), request.first("zone")
        statuses, names = request.all("status"), request.all("api_ids")
        found = [
            product_body(kind, place)
            for place in ZONES
            for kind in kinds_in(place)
            if zone in ("", place)
            and not kind.windows
            and (not kinds or "instance" in kinds)
            and (not statuses or kind.status in statuses)
            and (not names or kind.name in names)
        ]
        return bodied_page("products", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/products/servers")
    def list_kinds(self, request: Request, zone: str) -> Answer:
        """Server types, with prices as floats."""
        found = {kind.name: kind_body(kind) for kind in kinds_in(self._zone(zone))}
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/products/servers/availability")
    def list_stock(self, request: Request, zone: str) -> Answer:
        """Stock by server type."""
        sold_out = self.behaviour.sold_out
        found = {
            kind.name: {"availability": "shortage" if kind.name in sold_out else kind.stock}
            for kind in kinds_in(self._zone(zone))
        }
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{BLOCK}/volume-types")
    def list_volume_kinds(self, request: Request, zone: str) -> Answer:
        """Prices of block volumes."""
        return bodied_page("volume_types", volume_kinds(zone), request, self.page_limit)

    @route("GET", "/marketplace/v2/local-images", public=True)
    def list_images(self, request: Request) -> Answer:
        """Images of a zone by label."""
        zone, label = request.first("zone"), request.first("image_label")
        found = [
            image
            for image in local_images(zone, kinds_in(zone))
            if label in ("", image["label"])
            and request.first("type", "instance_sbs") == image["type"]
            and request.first("arch") in ("", image["arch"])
        ]
        return bodied_page("local_images", found, request, self.page_limit)

    # Addresses -----------------------------------------------------------------------------

    @route("POST", f"{INSTANCE}/ips")
    def create_address(self, request: Request, zone: str) -> Answer:
        """Reserve an address, which is billed from now on, attached or not."""
        if request.json.get("type", "routed_ipv4") != "routed_ipv4":
            raise BadBody("type", "not emulated")
        address = self._add_address(self._zone(zone), self._project(request), self._tags(request))
        return Answer(status=201, body={"ip": self._address(address)})

    @route("GET", f"{INSTANCE}/ips")
    def list_addresses(self, request: Request, zone: str) -> Answer:
        """Addresses by tags and project."""
        found = [self._address(one) for one in self._chosen(self.addresses, zone, request)]
        return counted_page("ips", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/ips/{{id}}")
    def get_address(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One address."""
        address = self._find(self.addresses, zone, id, "instance_ip")
        return Answer(body={"ip": self._address(address)})

    @route("DELETE", f"{INSTANCE}/ips/{{id}}")
    def delete_address(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Release an address; a server that uses it loses it."""
        del self.addresses[self._find(self.addresses, zone, id, "instance_ip").id]
        self.meter.stop("address", id, self.now())
        return Answer(status=204)

    # Servers -------------------------------------------------------------------------------

    @route("POST", f"{INSTANCE}/servers")
    def create_server(self, request: Request, zone: str) -> Answer:
        """Create a stopped server, with a boot volume without tags."""
        name = request.field("name", str)
        kind = self._kind(request, self._zone(zone))
        image = self._image(request, kind, zone)
        project, tags = self._project(request), self._tags(request)
        held = [
            self._find(self.addresses, zone, one, "instance_ip")
            for one in request.json.get("public_ips") or ()
        ]
        if any(address.server for address in held):
            raise Refusal(invalid("public_ips", "constraint", "IP is already attached"))
        template = (request.json.get("volumes") or {}).get("0") or {}
        if template.get("volume_type", "sbs_volume") != "sbs_volume":
            raise BadBody("volumes", "only sbs_volume is emulated")
        stock = "shortage" if kind.name in self.behaviour.sold_out else kind.stock
        if stock == "shortage":
            return self.errors["sold_out"]
        server = self._add_server(zone, name, tags=tags, kind=kind, image=image)
        server.dynamic = bool(request.json.get("dynamic_ip_required"))
        for address in held:
            address.server = server.id
        self._add_volume(server, int(template.get("size") or DEFAULT_VOLUME))
        if server.dynamic and not held:
            self._add_address(zone, project, [], server=server, dynamic=True)
        return Answer(status=201, body={"server": self._shown(server)})

    @route("GET", f"{INSTANCE}/servers")
    def list_servers(self, request: Request, zone: str) -> Answer:
        """Servers by name (or a part of it), tags, state and project."""
        now = self.now()
        found = [
            self._shown(server)
            for server in self._chosen(self.servers, zone, request)
            if self._visible(server)
            and request.first("name") in server.name
            and request.first("state") in ("", server.state(now)[0])
        ]
        return counted_page("servers", found, request, self.page_limit)

    @route("GET", f"{INSTANCE}/servers/{{id}}")
    def get_server(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One server."""
        server = self._find(self.servers, zone, id, "instance_server")
        if not self._visible(server):
            raise Refusal(self._missing("instance_server", id))
        return Answer(body={"server": self._shown(server)})

    @route("DELETE", f"{INSTANCE}/servers/{{id}}")
    def delete_server(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Delete a stopped server; its volumes and addresses stay."""
        server = self._find(self.servers, zone, id, "instance_server")
        if server.state(self.now())[0] != "stopped":
            return refusal(400, "invalid_request_error", "server should be stopped")
        if not self.behaviour.never_deletes:
            server.gone_at = self.now()
            self.meter.stop("instance", id, server.gone_at)
            self.collect()
        return Answer(status=204)

    @route("PATCH", f"{INSTANCE}/servers/{{id}}/user_data/{{key}}")
    def set_user_data(self, request: Request, zone: str, id: str, key: str) -> Answer:  # noqa: A002 -- the API's word
        """Set user data: plain text, read at the next boot."""
        server = self._find(self.servers, zone, id, "instance_server")
        if not request.headers.get("content-type", "").startswith("text/plain"):
            raise BadBody("content-type", "must be text/plain")
        if len(request.body) > USER_DATA_LIMIT:
            raise BadBody("user_data", f"must not be longer than {USER_DATA_LIMIT} bytes")
        server.user_data[key] = request.body
        return Answer(status=204, headers={"Content-Type": "text/plain"})

    @route("GET", f"{INSTANCE}/servers/{{id}}/user_data/{{key}}")
    def get_user_data(self, request: Request, zone: str, id: str, key: str) -> Answer:  # noqa: A002 -- the API's word
        """The user data of a server."""
        server = self._find(self.servers, zone, id, "instance_server")
        found = server.user_data.get(key)
        status = 404 if found is None else 200
        return Answer(status=status, body=found or b"", headers={"Content-Type": "text/plain"})

    @route("POST", f"{INSTANCE}/servers/{{id}}/action")
    def act(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Power on, stop in place or terminate, as far as the state allows."""
        server = self._find(self.servers, zone, id, "instance_server")
        action, now = request.field("action", str), self.now()
        if action not in server.state(now)[2]:
            return refusal(400, "invalid_request_error", f"server is not ready for {action}")
        match action:
            case "poweron":
                self._power_on(server, now)
            case "stop_in_place":
                server.halted = True
                self.power_off(self._booting(server))
            case "terminate":
                self._terminate(server, now)
            case _:
                raise BadBody("action", "not emulated")
        fake = action == "poweron"
        task = {
            "id": str(uuid.UUID(int=0 if fake else self.number())),
            "description": "fake task" if fake else f"server_{action}",
            "status": "pending",
            "href_from": f"/servers/{id}/action",
            "href_result": f"/servers/{id}",
            "started_at": stamp(now),
            "terminated_at": None,
            "progress": 0,
            "zone": zone,
        }
        self.collect()
        return Answer(status=202, body={"task": task})

    # Volumes -------------------------------------------------------------------------------

    @route("GET", f"{BLOCK}/volumes")
    def list_volumes(self, request: Request, zone: str) -> Answer:
        """Volumes by tags, project and the server that uses them."""
        user = request.first("product_resource_id")
        found = [
            volume_body(volume)
            for volume in self._chosen(self.volumes, zone, request)
            if user in ("", volume.server)
        ]
        return bodied_page("volumes", found, request, self.page_limit)

    @route("GET", f"{BLOCK}/volumes/{{id}}")
    def get_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One volume."""
        return Answer(body=volume_body(self._find(self.volumes, zone, id, "volume")))

    @route("PATCH", f"{BLOCK}/volumes/{{id}}")
    def update_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name and tags of a volume."""
        volume = self._find(self.volumes, zone, id, "volume")
        if request.json.get("tags") is not None:
            volume.tags = self._tags(request)
        volume.name = request.json.get("name") or volume.name
        return Answer(body=volume_body(volume))

    @route("DELETE", f"{BLOCK}/volumes/{{id}}")
    def delete_volume(self, request: Request, zone: str, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Delete a volume; refused while a server uses it."""
        volume = self._find(self.volumes, zone, id, "volume")
        if volume.server is not None:
            return self.errors["precondition"]
        del self.volumes[id]
        self.meter.stop("volume", id, self.now())
        return Answer(status=204)
