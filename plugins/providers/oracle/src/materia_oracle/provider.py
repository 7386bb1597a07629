"""Create and destroy Oracle compute instances, with their boot volumes, as workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.errors import ConfigError, Made, ReadyTimeoutError
from materia.kit.once import Once, unkept
from materia_providers.api_errors import GoneError
from materia_providers.clock import read_date_header
from materia_providers.cloud_init import check_size
from materia_providers.labels import Owner, owner_of
from materia_providers.polling import Boot, await_boot
from materia_providers.teardown import leaving_nothing

from materia_oracle.catalog.shapes import PROVIDER
from materia_oracle.client import Place, connect
from materia_oracle.inventory import (
    TERMINATED,
    TERMINATING,
    Owned,
    described,
    instances_of,
    read_instance,
)
from materia_oracle.launch import launch
from materia_oracle.offers import offers_of
from materia_oracle.settings import Settings
from materia_oracle.teardown import remove

# All values of the metadata together (Oracle docs, LaunchInstanceDetails.metadata).
METADATA_BYTES = 32_000
DEAD = {TERMINATED, TERMINATING, "STOPPED", "STOPPING"}


class Oracle:
    """One compartment in one region."""

    def __init__(
        self,
        credentials: Mapping[str, str],
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
            credentials: The SDK's configuration: user, tenancy, fingerprint, key_content, region.
            settings: The settings in materia.toml.
            request_timeout: Time limit of one request.
            patience: How long a create or a destroy may take.
            settle: How long a new instance may be missing from lists.
            first_retry: Pause before a request that is safe to repeat is sent again; the second
                pause is longer.
            once: Cache of prices and shapes for several needs; without it every need asks again.

        Raises:
            CredentialsError: the SDK does not accept *credentials*.
        """
        settings = settings or Settings()
        self._clients = connect(
            credentials,
            api_url=settings.api_url,
            seconds=request_timeout.total_seconds(),
            first_retry=first_retry.total_seconds(),
        )
        self._place = Place(
            clients=self._clients,
            compartment=settings.compartment or credentials["tenancy"],
            region=credentials["region"],
        )
        self._subnet = settings.subnet
        self._image = settings.image
        self._ssh_port = settings.ssh_port
        self._price_list_url = settings.price_list_url
        self._once = once or unkept()
        self._patience = patience
        self._settle = settle

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(str(self._clients.identity.base_client.endpoint))

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """The shapes of each availability domain, sized to *requirements*."""
        return offers_of(self._place, requirements, self._price_list_url, self._once)

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Launch the instance; its retry token makes the launch idempotent.

        Raises:
            ConfigError: no subnet is set, or the image does not exist.
        """
        if not self._subnet:
            raise ConfigError(
                "providers.oracle.subnet is not set; set it to the OCID of a subnet in "
                f"{self._place.region} whose instances may have public addresses and whose port "
                "22 is open"
            )
        room = METADATA_BYTES - len(request.public_key.encode())
        check_size(request.user_data, provider=PROVIDER, limit_bytes=room, encoded=True)
        owned = self._owned(owner_of(request))
        with leaving_nothing(f"oracle: cannot create {request.name}", partial(self._undo, owned)):
            found = owned.find() or launch(request, owned, subnet=self._subnet, image=self._image)
            return described(owned.owner, found, (), region=self._place.region, port=self._ssh_port)

    def list_instances(self) -> Sequence[Instance]:
        """List materia's instances; a boot volume without its instance has an empty id."""
        return instances_of(self._place, self._ssh_port)

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """Wait until the SSH port answers; fail at once when it stops or terminates."""
        which = f"oracle: the instance {instance.name} (id {instance.id})"

        def look() -> Boot | None:
            try:
                state = read_instance(self._place, instance.id).lifecycle_state
            except GoneError:
                return None
            failure = None
            if state in DEAD:
                failure = ReadyTimeoutError(f"{which} did not start, it is {state}")
            host = self._address(instance.id) if state == "RUNNING" else None
            return Boot(state=state, host=host, port=self._ssh_port, failure=failure)

        boot = await_boot(
            which,
            look,
            timeout=timeout,
            settle=self._settle,
        )
        return replace(instance, host=boot.host, port=boot.port)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Terminate the instance and its boot volume; return when both are gone."""
        owner = Owner(
            name=instance.name,
            run=instance.run,
            stage=instance.stage,
            expires_at=instance.expires_at,
        )
        owned = self._owned(owner)
        owned.know(instance)
        remove(owned, self._patience)

    def _undo(self, owned: Owned, _error: BaseException) -> Made:
        if not owned.touched:
            return ""
        remove(owned, self._patience)
        return "machine" if owned.instances else ""

    def _owned(self, owner: Owner) -> Owned:
        return Owned(
            place=self._place,
            owner=owner,
            settle=self._settle,
        )

    def _address(self, identity: str) -> str | None:
        found = self._clients.every(
            f"read the network of {identity}",
            self._clients.compute.list_vnic_attachments,
            compartment_id=self._place.compartment,
            instance_id=identity,
        )
        for attachment in found:
            if attachment.lifecycle_state != "ATTACHED" or not attachment.vnic_id:
                continue
            vnic = self._clients.again(
                f"read the network of {identity}",
                partial(self._clients.network.get_vnic, attachment.vnic_id),
            ).data
            if vnic.public_ip:
                return str(vnic.public_ip)
        return None
