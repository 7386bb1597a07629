"""HTTP API of the emulated OVHcloud Public Cloud: instances, keys, volumes, flavors, prices.

API 1.0 as of 2026-08. Follows OVHcloud's API console. Requests are signed with the application's
secret and the time of `/auth/time`, which here runs ahead of the client's clock. An instance is
billed from the moment it is ACTIVE, for every clock hour it touches; its address and its local disk
are included. There are no tags. OVHcloud has published no error body for missing stock or quota, so
those are invented.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from materia_testing.emulation.exchange import Answer, BadBody, Refusal, Request, route

from materia_ovh.emulator.bodies import (
    detail_body,
    flavor_body,
    identity_of,
    image_body,
    key_body,
    listed_body,
    volume_body,
)
from materia_ovh.emulator.catalog import (
    FLAVORS,
    IMAGES,
    NO_QUOTA,
    REGIONS,
    SERVED,
    SOLD_OUT,
    Flavor,
    catalog,
)
from materia_ovh.emulator.errors import ERRORS, refusal
from materia_ovh.emulator.project import OvhProject
from materia_ovh.emulator.things import SshKey

USER_DATA_LIMIT = 65_535  # of its base64 form, as OpenStack has it
PROJECT = "/1.0/cloud/project/{project}"


class Ovh(OvhProject):
    """The API, with one account and one project."""

    create_call = ("POST", "/1.0/cloud/project/*/instance")
    delete_call = ("DELETE", "/1.0/cloud/project/*/instance/*")
    list_call = ("GET", "/1.0/cloud/project/*/instance")
    offers_call = ("GET", "/1.0/order/catalog/public/cloud")
    errors: ClassVar[Mapping[str, Answer]] = ERRORS

    def secrets(self) -> dict[str, str]:
        """Application key and secret, and the consumer key."""
        return {
            "OVH_APPLICATION_KEY": self.application_key,
            "OVH_APPLICATION_SECRET": self.application_secret,
            "OVH_CONSUMER_KEY": self.consumer_key,
        }

    def settings(self) -> dict[str, object]:
        """The address and the project."""
        return {"api_url": f"{self.url}/1.0", "project": self.project}

    def authenticate(self, request: Request) -> Answer | None:
        """The signature over secret, consumer, method, address, body and time."""
        headers = request.headers
        if headers.get("x-ovh-application") != self.application_key:
            return self.errors["invalid_key"]
        if headers.get("x-ovh-consumer") != self.consumer_key:
            return self.errors["unauthorized"]
        stamp = headers.get("x-ovh-timestamp", "0")
        if not stamp.isdecimal() or abs(int(stamp) - self._api_time()) > 30:
            return self.errors["out_of_time"]
        parts = [
            self.application_secret,
            self.consumer_key,
            request.method,
            f"{request.origin}{request.target}",
            request.body.decode(),
            stamp,
        ]
        digest = hashlib.sha1("+".join(parts).encode(), usedforsecurity=False).hexdigest()
        if headers.get("x-ovh-signature") != f"$1${digest}":
            return self.errors["invalid_signature"]
        return None

    def no_route(self, request: Request) -> Answer:
        """404 in the API's format."""
        return refusal(404, "NotFound", "Got an invalid (or empty) URL")

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        """400 that names the field."""
        return refusal(400, "BadParameters", f"[{bad.field}] {bad.reason}")

    def decorate(self, request: Request, answer: Answer) -> Answer:
        """The id of the query, as on every real answer."""
        identity = f"EU.emulated.{len(self.exchanges)}"
        headers = {**answer.headers, "X-OVH-QUERYID": identity}
        return Answer(status=answer.status, body=answer.body, headers=headers)

    # Prices and places ---------------------------------------------------------------------

    @route("GET", "/1.0/auth/time", public=True)
    def get_time(self, request: Request) -> Answer:
        """Seconds since 1970, by the service's clock."""
        return Answer(body=self._api_time())

    @route("GET", "/1.0/order/catalog/public/cloud", public=True)
    def get_catalog(self, request: Request) -> Answer:
        """The price list of a subsidiary, in its currency."""
        subsidiary = request.first("ovhSubsidiary")
        if subsidiary not in SERVED[self.continent]:
            # Recorded for a subsidiary of another continent: github.com/ovh/python-ovh, issue 143.
            return refusal(400, "BadRequest", "invalid ovhSubsidiary")
        return Answer(body=catalog(subsidiary))

    @route("GET", "/1.0/cloud/project")
    def list_projects(self, request: Request) -> Answer:
        """The account's projects."""
        return Answer(body=[self.project])

    @route("GET", PROJECT)
    def get_project(self, request: Request, project: str) -> Answer:
        """One project."""
        self._check(project)
        return Answer(
            body={
                "project_id": project,
                "status": "ok",
                "description": "materia",
                "planCode": "project.2018",
            }
        )

    @route("GET", PROJECT + "/region")
    def list_regions(self, request: Request, project: str) -> Answer:
        """The regions that the project has activated."""
        self._check(project)
        return Answer(body=list(REGIONS))

    @route("GET", PROJECT + "/flavor")
    def list_flavors(self, request: Request, project: str) -> Answer:
        """The flavors of each region."""
        self._check(project)
        wanted = request.all("region")
        return Answer(
            body=[
                flavor_body(flavor, region, self.behaviour.sold_out)
                for region in REGIONS
                for flavor in FLAVORS
                if not wanted or region in wanted
            ]
        )

    @route("GET", PROJECT + "/image")
    def list_images(self, request: Request, project: str) -> Answer:
        """Public images; the ids differ by region."""
        self._check(project)
        wanted = request.all("region")
        return Answer(
            body=[
                image_body(name, user, region)
                for region in REGIONS
                for name, user in IMAGES
                if not wanted or region in wanted
            ]
        )

    # SSH keys ------------------------------------------------------------------------------

    @route("GET", PROJECT + "/sshkey")
    def list_keys(self, request: Request, project: str) -> Answer:
        """All keys."""
        self._check(project)
        return Answer(body=[key_body(key) for key in self.keys.values()])

    @route("POST", PROJECT + "/sshkey")
    def create_key(self, request: Request, project: str) -> Answer:
        """Add a key; names are unique."""
        self._check(project)
        name, public_key = request.field("name", str), request.field("publicKey", str)
        if any(key.name == name for key in self.keys.values()):
            return refusal(409, "Conflict", f"Key pair {name} already exists")
        region = request.json.get("region")
        if region is not None and region not in REGIONS:
            raise BadBody("region", f"{region} is not activated")
        key = self._add_key(name, public_key, [region] if region else list(REGIONS))
        return Answer(body=key_body(key))

    @route("DELETE", PROJECT + "/sshkey/{key}")
    def delete_key(self, request: Request, project: str, key: str) -> Answer:
        """Delete a key; instances keep the keys that they were created with."""
        self._check(project)
        if self.keys.pop(key, None) is None:
            return self.errors["not_found"]
        self.meter.stop("key", key, self.now())
        return Answer(body=None)

    # Instances -----------------------------------------------------------------------------

    @route("GET", PROJECT + "/instance")
    def list_instances(self, request: Request, project: str) -> Answer:
        """All instances, or those of one region."""
        self._check(project)
        wanted = request.all("region")
        return Answer(
            body=[
                listed_body(instance, self.now())
                for instance in self.instances.values()
                if self._visible(instance) and (not wanted or instance.region in wanted)
            ]
        )

    @route("POST", PROJECT + "/instance")
    def create_instance(self, request: Request, project: str) -> Answer:
        """Create an instance; names need not be unique."""
        self._check(project)
        name, region = request.field("name", str), request.field("region", str)
        if region not in REGIONS:
            raise BadBody("region", f"{region} is not activated")
        user_data = request.json.get("userData") or ""
        if len(base64.b64encode(user_data.encode())) > USER_DATA_LIMIT:
            raise BadBody("userData", "too long")
        flavor = self._of(FLAVORS, request.field("flavorId", str), region, "flavorId")
        image = self._image(request.field("imageId", str), region)
        key = self._key(request.json.get("sshKeyId"))
        if (region, flavor.name) in SOLD_OUT or flavor.name in self.behaviour.sold_out:
            return self.errors["sold_out"]
        if flavor.name in NO_QUOTA:
            return self.errors["quota"]
        instance = self._add_instance(
            name, region, flavor=flavor, image=image, key=key, user_data=user_data
        )
        return Answer(body=detail_body(instance, self.now()))

    @route("GET", PROJECT + "/instance/{instance}")
    def get_instance(self, request: Request, project: str, instance: str) -> Answer:
        """One instance."""
        self._check(project)
        found = self.instances.get(instance)
        if found is None or not self._visible(found):
            return refusal(404, "NotFound", "Instance not found")
        return Answer(body=detail_body(found, self.now()))

    @route("DELETE", PROJECT + "/instance/{instance}")
    def delete_instance(self, request: Request, project: str, instance: str) -> Answer:
        """Delete an instance; the answer is `null`."""
        self._check(project)
        found = self.instances.get(instance)
        if found is None:
            return refusal(404, "NotFound", "Instance not found")
        if found.gone_at is None and not self.behaviour.never_deletes:
            found.gone_at = self.now() + self.behaviour.delete
            self.power_off(self._booting(found))
            self.meter.stop("instance", found.id, found.gone_at)
        return Answer(body=None)

    @route("GET", PROJECT + "/volume")
    def list_volumes(self, request: Request, project: str) -> Answer:
        """All volumes."""
        self._check(project)
        return Answer(body=[volume_body(volume) for volume in self.volumes.values()])

    @route("DELETE", PROJECT + "/volume/{volume}")
    def delete_volume(self, request: Request, project: str, volume: str) -> Answer:
        """Delete a volume; refused while it is attached."""
        self._check(project)
        found = self.volumes.get(volume)
        if found is None:
            return self.errors["not_found"]
        if found.attached_to:
            return refusal(409, "Conflict", "Volume is attached")
        del self.volumes[volume]
        self.meter.stop("volume", volume, self.now())
        return Answer(body=None)

    # Inside --------------------------------------------------------------------------------

    def _api_time(self) -> int:
        return int(time.time() + self.skew.total_seconds())

    def _check(self, project: str) -> None:
        if project != self.project:
            raise Refusal(refusal(404, "NotFound", "This service does not exist"))

    @staticmethod
    def _of(flavors: tuple[Flavor, ...], identity: str, region: str, name: str) -> Flavor:
        for flavor in flavors:
            if identity_of(region, flavor.name) == identity:
                return flavor
        raise BadBody(name, "no such flavor in this region")

    def _image(self, identity: str, region: str) -> dict[str, Any]:
        for name, user in IMAGES:
            if identity_of(region, name) == identity:
                return image_body(name, user, region)
        raise BadBody("imageId", "no such image in this region")

    def _key(self, identity: str | None) -> SshKey | None:
        if identity is None:
            return None
        if identity not in self.keys:
            raise BadBody("sshKeyId", "no such key")
        return self.keys[identity]
