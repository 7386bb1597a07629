"""HTTP API of the emulated Oracle Cloud: compute, boot volumes, VNICs, identity, price list.

As of 2026-08. Shapes follow the published APIs, version 20160918. An instance comes with a boot
volume that is deleted with it unless the client asks to keep it, and stays listed as TERMINATED for
an hour. Instances and volumes are billed by the second, a minute at least.
"""

from __future__ import annotations

import hashlib
import json

from materia_testing.emulation.exchange import Answer, Request, route

from materia_oracle.emulator.bodies import (
    attachment_body,
    instance_body,
    page,
    shape_body,
    vnic_attachment_body,
    vnic_body,
    volume_body,
)
from materia_oracle.emulator.catalog import (
    DOMAINS,
    LIST_UPDATED,
    RATES,
    SHAPES,
    images,
    price_items,
)
from materia_oracle.emulator.errors import refusal
from materia_oracle.emulator.tenancy import PRICES, TENANCY, TOKEN_LIVES, Tenancy, V, has


class Oracle(Tenancy):
    """The APIs of one region and one compartment, with one user and its key."""

    create_call = ("POST", f"{V}/instances")
    delete_call = ("DELETE", f"{V}/instances/*")
    list_call = ("GET", f"{V}/instances")
    offers_call = ("GET", f"{V}/shapes")

    # Prices and places ---------------------------------------------------------------------

    @route("GET", f"{PRICES}/", public=True)
    def list_prices(self, request: Request) -> Answer:
        """The public list, in one currency."""
        currency = request.first("currencyCode", "USD")
        items = price_items(currency, request.first("partNumber")) if currency in RATES else []
        return Answer(body={"lastUpdated": LIST_UPDATED, "items": items})

    @route("GET", f"{PRICES}/{{part}}", public=True)
    def get_price(self, request: Request, part: str) -> Answer:
        """Refused, as Oracle's gateway refuses this path."""
        return Answer(status=403, body="<html><h1>Access Denied</h1></html>")

    @route("GET", f"{V}/availabilityDomains")
    def list_domains(self, request: Request) -> Answer:
        """The availability domains of the region."""
        self._compartment(request.first("compartmentId"))
        found = [
            {"name": name, "id": f"ocid1.availabilitydomain.oc1..{at}", "compartmentId": TENANCY}
            for at, name in enumerate(DOMAINS, start=1)
        ]
        return Answer(body=found)

    @route("GET", f"{V}/shapes")
    def list_shapes(self, request: Request) -> Answer:
        """The shapes of a domain, or of all."""
        self._compartment(request.first("compartmentId"))
        domain = request.first("availabilityDomain")
        if domain:
            self._domain(domain)
        found = [shape_body(shape) for shape in SHAPES if not domain or has(shape, domain)]
        return page(found, request, self.page_limit)

    @route("POST", f"{V}/computeCapacityReports")
    def report_capacity(self, request: Request) -> Answer:
        """A capacity report: which shapes can be launched now."""
        domain = self._domain(request.field("availabilityDomain", str))
        found = []
        for asked in request.field("shapeAvailabilities", list):
            shape = next((one for one in SHAPES if one.name == asked.get("instanceShape")), None)
            if shape is None or not has(shape, domain):
                status = "HARDWARE_NOT_SUPPORTED"
            elif shape.name in self.behaviour.sold_out:
                status = "OUT_OF_HOST_CAPACITY"
            else:
                status = "AVAILABLE"
            found.append({**asked, "availabilityStatus": status, "availableCount": None})
        body = {
            "compartmentId": request.field("compartmentId", str),
            "availabilityDomain": domain,
            "timeCreated": self.now().isoformat(),
            "shapeAvailabilities": found,
        }
        return Answer(body=body)

    @route("GET", f"{V}/images")
    def list_images(self, request: Request) -> Answer:
        """Images by system, version and the shape that boots them."""
        shape = next((one for one in SHAPES if one.name == request.first("shape")), None)
        found = [
            image
            for image in images()
            if request.first("operatingSystem") in ("", image["operatingSystem"])
            and request.first("operatingSystemVersion") in ("", image["operatingSystemVersion"])
            and (shape is None or shape.arm == ("aarch64" in image["displayName"]))
        ]
        if request.first("sortOrder") == "DESC":
            found.reverse()
        return page(found, request, self.page_limit)

    # Instances -----------------------------------------------------------------------------

    @route("POST", f"{V}/instances")
    def launch(self, request: Request) -> Answer:
        """Launch once for each retry token, even when the answer is lost."""
        token = request.headers.get("opc-retry-token", "")
        digest = hashlib.sha256(json.dumps(request.json, sort_keys=True).encode()).hexdigest()
        if (known := self.tokens.get(token)) is not None:
            since, body, identity = known
            instance = self.instances.get(identity)
            if self.now() - since < TOKEN_LIVES:
                ended = instance is None or instance.deleted_at or instance.ended_at
                if ended or body != digest or instance is None:
                    return self.errors["used_token"]
                return Answer(body=instance_body(instance, self.now()))
        instance = self._launched(request)
        if token:
            self.tokens[token] = (self.now(), digest, instance.id)
        headers = {"opc-work-request-id": f"ocid1.coreservicesworkrequest.{instance.id[-8:]}"}
        return Answer(body=instance_body(instance, self.now()), headers=headers)

    @route("GET", f"{V}/instances")
    def list_instances(self, request: Request) -> Answer:
        """Instances by compartment, name, domain and state; there is no filter for tags."""
        compartment, now = self._compartment(request.first("compartmentId")), self.now()
        found = [
            instance_body(one, now)
            for one in self.instances.values()
            if one.compartment == compartment
            and self._visible(one)
            and request.first("displayName") in ("", one.name)
            and request.first("availabilityDomain") in ("", one.domain)
            and request.first("lifecycleState") in ("", one.state(now))
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/instances/{{id}}")
    def get_instance(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One instance, also for an hour after its termination."""
        return Answer(body=instance_body(self._instance(id), self.now()))

    @route("DELETE", f"{V}/instances/{{id}}")
    def terminate(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Terminate an instance, with its boot volume unless the client keeps that."""
        instance, now = self._instance(id), self.now()
        if instance.state(now) == "TERMINATED":
            return refusal(404, "NotAuthorizedOrNotFound", f"instance {id} not found")
        if self.behaviour.never_deletes or instance.deleted_at is not None:
            return Answer(status=204)
        instance.keeps_volume = request.first("preserveBootVolume", "false").lower() == "true"
        instance.deleted_at = now
        instance.ended_at = now + self.behaviour.delete
        self.power_off(self._booting(instance))
        self.meter.stop("instance", id, instance.ended_at)
        self.collect()
        return Answer(status=204)

    @route("GET", f"{V}/vnicAttachments")
    def list_vnic_attachments(self, request: Request) -> Answer:
        """The network card of an instance; it has an id once the instance runs."""
        compartment, now = self._compartment(request.first("compartmentId")), self.now()
        found = [
            vnic_attachment_body(one, attached=one.state(now) == "RUNNING")
            for one in self.instances.values()
            if one.compartment == compartment
            and one.state(now) in {"PROVISIONING", "RUNNING"}
            and request.first("instanceId") in ("", one.id)
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/vnics/{{id}}")
    def get_vnic(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """A network card with its addresses."""
        for instance in self.instances.values():
            if instance.vnic == id and instance.state(self.now()) == "RUNNING":
                return Answer(body=vnic_body(instance))
        return self.errors["not_found"]

    # Boot volumes --------------------------------------------------------------------------

    @route("GET", f"{V}/bootVolumeAttachments")
    def list_attachments(self, request: Request) -> Answer:
        """The attachments in one domain; the detached ones too."""
        compartment = self._compartment(request.first("compartmentId"))
        domain, now = self._domain(request.first("availabilityDomain")), self.now()
        found = []
        for volume in self.volumes.values():
            instance = self.instances.get(volume.instance)
            wanted = request.first("instanceId") in ("", volume.instance)
            wanted = wanted and request.first("bootVolumeId") in ("", volume.id)
            here = volume.domain == domain and volume.compartment == compartment
            if instance is not None and wanted and here:
                attached = instance.state(now) != "TERMINATED"
                found.append(attachment_body(volume, attached=attached))
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/bootVolumes")
    def list_volumes(self, request: Request) -> Answer:
        """Boot volumes by compartment and domain; a terminated one stays listed for a while."""
        compartment = self._compartment(request.first("compartmentId"))
        found = [
            volume_body(one)
            for one in self.volumes.values()
            if one.compartment == compartment
            and request.first("availabilityDomain") in ("", one.domain)
        ]
        return page(found, request, self.page_limit)

    @route("GET", f"{V}/bootVolumes/{{id}}")
    def get_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """One boot volume."""
        return Answer(body=volume_body(self._volume(id)))

    @route("PUT", f"{V}/bootVolumes/{{id}}")
    def update_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Change the name and tags of a boot volume."""
        volume = self._volume(id)
        if volume.state == "TERMINATED":
            return self.errors["conflict"]
        volume.tags = dict(request.json.get("freeformTags") or volume.tags)
        volume.name = request.json.get("displayName") or volume.name
        return Answer(body=volume_body(volume))

    @route("DELETE", f"{V}/bootVolumes/{{id}}")
    def delete_volume(self, request: Request, id: str) -> Answer:  # noqa: A002 -- the API's word
        """Delete a boot volume; refused while its instance exists."""
        volume = self._volume(id)
        if volume.state == "TERMINATED":
            return self.errors["not_found"]
        instance = self.instances.get(volume.instance)
        if instance is not None and instance.state(self.now()) != "TERMINATED":
            return self.errors["conflict"]
        self._end_volume(volume, self.now())
        return Answer(status=204)
