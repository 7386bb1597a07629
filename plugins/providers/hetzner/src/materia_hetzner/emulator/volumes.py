"""Volumes of the emulated Hetzner Cloud: disks that outlive a server, billed by size.

Where the API reference names no error code, the answer is `invalid_input`.
"""

from __future__ import annotations

import re

from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request, route

from materia_hetzner.emulator.bodies import page, volume_body
from materia_hetzner.emulator.catalog import LOCATIONS
from materia_hetzner.emulator.errors import refusal
from materia_hetzner.emulator.reading import Reading
from materia_hetzner.emulator.things import Server, Volume

SMALLEST_GB, LARGEST_GB = 10, 10_240
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


class Volumes(Reading):
    """The volumes of the project."""

    @route("GET", "/v1/volumes")
    def list_volumes(self, request: Request) -> Answer:
        """By name or label."""
        bodies = [volume_body(volume) for volume in self._named(self.volumes, request)]
        return page("volumes", bodies, request)

    @route("POST", "/v1/volumes")
    def create_volume(self, request: Request) -> Answer:
        """In a location, or attached to a server and in its location; billed at once."""
        name, labels = request.field("name", str), self._labels(request)
        size, filesystem = request.field("size", int), request.json.get("format")
        if not NAME.fullmatch(name):
            raise BadBody("name", "must be letters, digits, dashes, underscores and dots")
        if not SMALLEST_GB <= size <= LARGEST_GB:
            raise BadBody("size", f"must be {SMALLEST_GB} to {LARGEST_GB}")
        if filesystem not in {None, "ext4", "xfs"}:
            raise BadBody("format", "must be one of xfs, ext4")
        server = self._named_server(request) if request.json.get("server") is not None else None
        location = request.json.get("location") or (server.location if server else None)
        if location not in {place for place, *_ in LOCATIONS}:
            raise BadBody("location", "must be a location, or name a server")
        if server is not None and server.location != location:
            raise BadBody("location", "must be the location of the server")
        self._check_name(self.volumes, name, "volume")
        volume = Volume(
            id=self.number() + 9_000_000,
            name=name,
            size_gb=size,
            location=location,
            created=self.now(),
            server=server.id if server else None,
            labels=labels,
            format=filesystem,
        )
        self._bill_volume(volume)
        following = [self._attaching(volume, server)] if server else []
        return Answer(
            status=201,
            body={
                "volume": volume_body(volume),
                "action": self._done("create_volume", ("volume", volume.id)),
                "next_actions": following,
            },
        )

    @route("GET", "/v1/volumes/{id}")
    def get_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One volume."""
        return Answer(body={"volume": volume_body(self._find(self.volumes, id))})

    @route("PUT", "/v1/volumes/{id}")
    def update_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name or the labels."""
        volume = self._update(self.volumes, id, request, "volume")
        return Answer(body={"volume": volume_body(volume)})

    @route("DELETE", "/v1/volumes/{id}")
    def delete_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Refused while a server uses it, or while it is protected."""
        volume = self._find(self.volumes, id)
        if volume.protected:
            return refusal(403, "protected", "volume deletion is protected")
        if volume.server is not None:
            return refusal(423, "locked", "volume is attached to a server")
        del self.volumes[volume.id]
        self.meter.stop("volume", id, self.now())
        return Answer(status=204)

    @route("POST", "/v1/volumes/{id}/actions/attach")
    def attach_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """To a server in its location, and to one at a time."""
        volume, server = self._find(self.volumes, id), self._named_server(request)
        if volume.server is not None:
            return refusal(422, "volume_already_attached", "volume is already attached to a server")
        if volume.location != server.location:
            raise BadBody("server", "must be in the location of the volume")
        volume.server = server.id
        return Answer(status=201, body={"action": self._attaching(volume, server)})

    @route("POST", "/v1/volumes/{id}/actions/detach")
    def detach_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """From its server."""
        volume = self._find(self.volumes, id)
        if volume.server is None:
            return refusal(422, "invalid_input", "volume is not attached to a server")
        where = (("server", volume.server), ("volume", volume.id))
        volume.server = None
        return Answer(status=201, body={"action": self._done("detach_volume", *where)})

    @route("POST", "/v1/volumes/{id}/actions/resize")
    def resize_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Only to a larger one, which costs more from now on."""
        volume, size = self._find(self.volumes, id), request.field("size", int)
        if not volume.size_gb < size <= LARGEST_GB:
            raise BadBody("size", f"must be more than {volume.size_gb}, and {LARGEST_GB} at most")
        volume.size_gb = size
        self.meter.stop("volume", id, self.now())
        self._bill_volume(volume)
        return Answer(
            status=201, body={"action": self._done("resize_volume", ("volume", volume.id))}
        )

    @route("POST", "/v1/volumes/{id}/actions/change_protection")
    def protect_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Against a delete."""
        volume = self._find(self.volumes, id)
        volume.protected = bool(request.json.get("delete", volume.protected))
        return Answer(
            status=201, body={"action": self._done("change_protection", ("volume", volume.id))}
        )

    def _named_server(self, request: Request) -> Server:
        identity = request.field("server", int)
        if identity not in self.servers:
            message = f"server with ID '{identity}' not found"
            raise Refusal(refusal(404, "not_found", message))
        return self.servers[identity]

    def _attaching(self, volume: Volume, server: Server) -> dict[str, object]:
        return self._done("attach_volume", ("server", server.id), ("volume", volume.id))
