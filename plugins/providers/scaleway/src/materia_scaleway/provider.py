"""Create and destroy Scaleway servers, with their addresses and boot volumes, as workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.errors import CapacityError, ConfigError, Made, ProviderError, ReadyTimeoutError
from materia.kit.once import Once, unkept
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.clock import read_date_header
from materia_providers.cloud_init import check_size
from materia_providers.labels import Owner, owner_of
from materia_providers.list_entries import Entries, LeftOut
from materia_providers.polling import Boot, await_boot, look_for, poll
from materia_providers.teardown import leaving_nothing
from scaleway.instance.v1 import IpType, Server, ServerAction, VolumeServerTemplate  # type: ignore[import-untyped]
from scaleway_core.api import ScalewayException
from scaleway_core.validations.string_validation import is_project_id

from materia_scaleway.client import connect, make_client
from materia_scaleway.credentials import Credentials
from materia_scaleway.errors import refuses_offer, translated
from materia_scaleway.inventory import (
    Owned,
    address_of,
    instances_of,
    owner_of_entry,
    owner_of_server,
    read_server,
    tags_of,
)
from materia_scaleway.offers import offers_of
from materia_scaleway.prices import PROVIDER, volume_gb
from materia_scaleway.settings import Settings
from materia_scaleway.teardown import remove
from materia_scaleway.zones import ZONES

# A cautious limit: the API documents none, scaleway/terraform-provider-scaleway accepts no longer
# `cloud_init` (StringLenBetween(0, 127998), read 2026-11).
USER_DATA_BYTES = 127_998


class Scaleway:
    """The account's project, where materia tags all that it creates."""

    def __init__(
        self,
        credentials: Credentials,
        settings: Settings | None = None,
        *,
        request_timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=5),
        first_retry: timedelta = timedelta(milliseconds=200),
        once: Once | None = None,
    ) -> None:
        """Open the provider; this sends no request.

        Args:
            credentials: The API key.
            settings: The settings in materia.toml.
            request_timeout: Time limit of one request.
            patience: How long a create or a destroy may take.
            settle: How long a new server may be missing from lists.
            first_retry: Pause before a request that is safe to repeat is sent again; the second
                pause is three times as long.
            once: Cache of prices for several needs; without it every need asks again.

        Raises:
            CredentialsError: a key is malformed.
        """
        settings = settings or Settings()
        self._apis = connect(
            make_client(credentials, settings),
            request_timeout.total_seconds(),
            first_retry=first_retry.total_seconds(),
        )
        self._api_url = settings.api_url
        self._project = settings.project
        self._zones = settings.zones
        self._image = settings.image
        self._ssh_port = settings.ssh_port
        self._patience = patience
        self._once = once or unkept()
        self._settle = settle

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(self._api_url)

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """The offers of all zones; Scaleway has prices in EUR only."""
        return offers_of(self._apis, self._zones, requirements, self._once)

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Reserve an address, create the server on it, set its user data, and power it on.

        Raises:
            ConfigError: no project is set, or no image has that label.
        """
        zone = request.offer.zone or request.offer.region
        self._check(request)
        owned = self._owned(zone, owner_of(request))
        with leaving_nothing(f"scaleway: cannot create {request.name}", partial(self._undo, owned)):
            return self._created(request, owned)

    def list_instances(self) -> Sequence[Instance]:
        """List materia's servers; leftovers without a server have an empty id.

        A zone that does not answer is left out, and a line reports it; ProviderError when none
        answers.
        """
        left = LeftOut(PROVIDER)

        def ask(zone: str) -> list[Instance]:
            found: list[Instance] = []
            with left.place(zone):
                try:
                    found += instances_of(self._apis, zone)
                except GoneError:
                    if self._zones.chosen:
                        raise
            return found

        with ThreadPoolExecutor(max_workers=len(self._zones.names)) as pool:
            found = list(pool.map(ask, self._zones.names))
        if len(left.errors) == len(self._zones.names):
            raise left.errors[0]
        listed = [replace(one, port=self._ssh_port) for zone in found for one in zone]
        return Entries(listed, left.lines())

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """Wait until the SSH port answers; fail at once when it is locked or stopped again."""
        which = f"scaleway: the server {instance.name} (id {instance.id} in {instance.region})"
        started = False

        def look() -> Boot | None:
            nonlocal started
            server = self._seen(instance)
            if server is None:
                return None
            state = str(server.state)
            failure = None
            if state == "locked" or (started and state == "stopped"):
                failure = ReadyTimeoutError(f"{which} did not start, it is {state}")
            started = started or state == "starting"
            host = address_of(server) if state == "running" else None
            return Boot(state=state, host=host, port=self._ssh_port, failure=failure)

        boot = await_boot(
            which,
            look,
            timeout=timeout,
            settle=self._settle,
        )
        return replace(instance, host=boot.host, port=boot.port)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Delete the server, then its volumes and addresses, until each answers 404."""
        for zone in self._zones_of(instance):
            owner = Owner(
                name=instance.name,
                run=instance.run,
                stage=instance.stage,
                expires_at=instance.expires_at,
            )
            owned = self._owned(zone, owner)
            owned.know(instance)
            remove(owned, self._patience)

    def _owned(self, zone: str, owner: Owner) -> Owned:
        return Owned(apis=self._apis, zone=zone, owner=owner, settle=self._settle)

    def _zones_of(self, instance: Instance) -> tuple[str, ...]:
        """The zone of an instance, from its resources: the instance itself has only the region."""
        known = {one.region for one in instance.attached if one.region in ZONES}
        return tuple(sorted(known)) or self._zones.within((instance.region,)).names or ZONES

    def _seen(self, instance: Instance) -> Server | None:
        for zone in self._zones_of(instance):
            try:
                return read_server(self._apis, zone, instance.id)
            except GoneError:
                continue  # not there, or not visible yet
        return None

    def _check(self, request: InstanceRequest) -> None:
        if not self._project:
            raise ConfigError(
                "providers.scaleway.project is not set; set it to the ID of the project to create "
                "instances in, best one for materia alone"
            )
        check_size(request.user_data, provider=PROVIDER, limit_bytes=USER_DATA_BYTES)

    def _created(self, request: InstanceRequest, owned: Owned) -> Instance:
        server = owned.find_server()
        if server is None:
            address = owned.find_address()
            if address is not None and address.server is not None:
                # Its server exists, though it is not listed yet: never make a second one.
                server = owned.await_server(address.server.id, self._settle * 4)
        if server is None:
            image = self._image_id(request, owned.zone)
            server = self._launch(request, owned, image)
        owned.touched = True
        if owner_of_server(server) is None:
            raise ProviderError(f"scaleway: the server {server.id} is not named {request.name}")
        identity, api = server.id, self._apis.instances
        owned.tag_volumes(server)
        if str(server.state) == "stopped":
            content = request.user_data.encode()
            with translated(f"set the user data of {request.name}"):
                _soon(
                    self._settle,
                    lambda: api.set_server_user_data(
                        identity, "cloud-init", content, zone=owned.zone
                    ),
                )
            with translated(f"start {request.name}"):
                _soon(
                    self._settle,
                    lambda: api.server_action(
                        server_id=identity, zone=owned.zone, action=ServerAction.POWERON
                    ),
                )
        return owned.instance(server, port=self._ssh_port)

    def _launch(self, request: InstanceRequest, owned: Owned, image: str) -> Server:
        owned.touched = True
        held = owned.find_address()
        address = held.id if held is not None else self._reserve(owned)
        size = volume_gb(request.offer.disk_gib) * 10**9
        offer = request.offer
        try:
            with translated(f"create {offer.instance_type} in {owned.zone}"):
                server = self._apis.instances.create_server(
                    zone=owned.zone,
                    commercial_type=offer.instance_type,
                    name=request.name,
                    image=image,
                    project=self._project,
                    dynamic_ip_required=False,
                    protected=False,
                    public_ips=[address],
                    volumes={"0": VolumeServerTemplate(size=size, volume_type="sbs_volume")},
                    tags=tags_of(owned.owner),
                ).server
                if server is None or not owned.is_mine(owner_of_server(server)):
                    raise ValueError("it does not name the new server")
        except UnansweredError:
            # It may exist all the same, and be missing from lists for a moment.
            owned.uncertain = True
            server = owned.look_for_server(self._settle)
            if server is None:
                raise
        except ProviderError as error:
            if refuses_offer(error.__cause__):
                raise CapacityError(str(error)) from error
            raise
        owned.servers.add(server.id)
        return server

    def _reserve(self, owned: Owned) -> str:
        try:
            with translated(f"reserve an address in {owned.zone}"):
                address = self._apis.instances.create_ip(
                    zone=owned.zone,
                    project=self._project,
                    type_=IpType.ROUTED_IPV4,
                    tags=tags_of(owned.owner),
                ).ip
                if address is None or not owned.is_mine(owner_of_entry(address.id, address.tags)):
                    raise ValueError("it does not name the new address")
        except UnansweredError:
            owned.uncertain = True
            address = look_for(owned.find_address, self._settle)
            if address is None:
                raise
        owned.addresses.add(address.id)
        return str(address.id)

    def _image_id(self, request: InstanceRequest, zone: str) -> str:
        architecture = request.offer.architecture
        if is_project_id(self._image):
            return self._image  # a UUID: the image itself
        found = self._images(zone)
        for image in found:
            fits = image.compatible_commercial_types
            if str(image.arch) == architecture and (
                not fits or request.offer.instance_type in fits
            ):
                return str(image.id)
        lacking = (
            f"scaleway: no image {self._image!r} for {architecture} boots "
            f"{request.offer.instance_type} in {zone}"
        )
        if found or any(self._images(other) for other in self._zones.names if other != zone):
            raise CapacityError(lacking)  # the image exists for another type or zone
        raise ConfigError(
            f"{lacking}; set providers.scaleway.image to a label of the marketplace, for example "
            "ubuntu_noble"
        )

    def _images(self, zone: str) -> list[Any]:
        doing = f"look for the image {self._image} in {zone}"
        try:
            with translated(doing):
                found = self._apis.images.list_local_images(
                    image_label=self._image, zone=zone, type_="instance_sbs"
                ).local_images
                return [image for image in found if isinstance(image.id, str)]
        except GoneError:
            return []

    def _undo(self, owned: Owned, _error: BaseException) -> Made:
        """Remove what a failed create has made, or report what may be left."""
        if not owned.touched:
            return ""
        remove(owned, self._patience)
        return "machine" if owned.servers else "address" if owned.addresses else ""


def _soon(within: timedelta, call: Callable[[], object]) -> None:
    """Retry a call on a new server until the server is visible."""
    for left in poll(within):
        try:
            call()
        except ScalewayException as error:
            if error.status_code != 404 or not left:
                raise
        else:
            return
