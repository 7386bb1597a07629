"""Server types, prices, locations and images of the emulated Hetzner Cloud, only to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from materia_testing.emulation.exchange import Answer, Refusal, Request, route

from materia_hetzner.emulator.bodies import location_body, page, pricing_body, type_body
from materia_hetzner.emulator.catalog import LOCATIONS, SERVER_TYPES
from materia_hetzner.emulator.reading import Reading


class Places(Reading):
    """What can be rented, where, and for how much."""

    @route("GET", "/v1/server_types")
    def list_types(self, request: Request) -> Answer:
        """Types with prices and availability by location."""
        names = request.all("name")
        bodies = [
            type_body(each, self.behaviour.sold_out)
            for each in SERVER_TYPES
            if not names or each.name in names
        ]
        return page("server_types", bodies, request)

    @route("GET", "/v1/server_types/{id}")
    def get_type(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One type."""
        bodies = [type_body(each, self.behaviour.sold_out) for each in SERVER_TYPES]
        return Answer(body={"server_type": self._with_id(bodies, id)})

    @route("GET", "/v1/pricing")
    def pricing(self, request: Request) -> Answer:
        """Prices of everything else."""
        return Answer(body={"pricing": pricing_body(self.currency)})

    @route("GET", "/v1/locations")
    def list_locations(self, request: Request) -> Answer:
        """The locations that have servers."""
        names = request.all("name")
        bodies = [location_body(name) for name, *_ in LOCATIONS if not names or name in names]
        return page("locations", bodies, request)

    @route("GET", "/v1/locations/{id}")
    def get_location(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One location."""
        bodies = [location_body(name) for name, *_ in LOCATIONS]
        return Answer(body={"location": self._with_id(bodies, id)})

    @route("GET", "/v1/datacenters")
    def list_datacenters(self, request: Request) -> Answer:
        """Removed on 2026-10-01."""
        return self.errors["removed"]

    @route("GET", "/v1/images")
    def list_images(self, request: Request) -> Answer:
        """System images; each name has one for each architecture."""
        names, architectures = request.all("name"), request.all("architecture")
        found = [
            body
            for body in self.images
            if (not names or body["name"] in names)
            and (not architectures or body["architecture"] in architectures)
        ]
        return page("images", found, request)

    @route("GET", "/v1/images/{id}")
    def get_image(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One image."""
        return Answer(body={"image": self._with_id(self.images, id)})

    def _with_id(self, bodies: Sequence[dict[str, Any]], identity: str) -> dict[str, Any]:
        for body in bodies:
            if str(body["id"]) == identity:
                return body
        raise Refusal(self.errors["not_found"])
