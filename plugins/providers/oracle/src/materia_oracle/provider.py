"""Oracle compute instances with their boot volume, all with materia's tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from materia.bootstrap import check_size, host_key_of
from materia.errors import ConfigError, OrphanError, ProviderError, ReadyTimeoutError
from materia.machines import Instance, InstanceRequest, Offer, Requirements
from materia.marks import Mark, mark_of
from materia.once import Once, unkept
from materia.polling import poll
from materia.provider_clock import read_date_header

from materia_oracle.client import Place, connect
from materia_oracle.errors import GoneError, UnansweredError
from materia_oracle.launch import TABLE, launch
from materia_oracle.offers import offers_of
from materia_oracle.owned import TERMINATED, TERMINATING, Owned, described, instances_of
from materia_oracle.removal import remove
from materia_oracle.shapes import PROVIDER

# All values of the metadata together (Oracle docs, LaunchInstanceDetails.metadata).
METADATA_BYTES = 32_000
DEAD = {TERMINATED, TERMINATING, "STOPPED", "STOPPING"}


class Oracle:
    """One compartment in one region."""

    def __init__(
        self,
        config: Mapping[str, str],
        *,
        compartment: str = "",
        subnet: str = "",
        image: str = "Canonical Ubuntu 24.04",
        ssh_port: int = 22,
        api_url: str = "",
        price_list_url: str = "",
        timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=5),
        first_retry: timedelta = timedelta(milliseconds=200),
        once: Once | None = None,
    ) -> None:
        """Ask nothing yet.

        *config* is the SDK's: user, tenancy, fingerprint, key_content and region. *timeout* is for
        the answer to one request; *patience* for how long something may take to be created or
        destroyed; *settle* for how long a new instance may be in no list; a request that is safe
        to repeat is repeated after *first_retry*, and once more later. With *once* prices and
        shapes are asked for once for several needs.

        Raises:
            CredentialsError: the SDK does not take *config*.
        """
        self._clients = connect(
            config,
            api_url=api_url,
            seconds=timeout.total_seconds(),
            first_retry=first_retry.total_seconds(),
        )
        self._place = Place(
            clients=self._clients,
            compartment=compartment or config["tenancy"],
            region=config["region"],
        )
        self._subnet = subnet
        self._image = image
        self._ssh_port = ssh_port
        self._price_list_url = price_list_url
        self._once = once or unkept()
        self._patience = patience
        self._settle = settle

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(str(self._clients.identity.base_client.endpoint))

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """As the Protocol says: the shapes of each availability domain, sized to what is needed."""
        return offers_of(self._place, requirements, self._price_list_url, self._once)

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """As the Protocol says; the launch itself is idempotent by its retry token.

        Raises:
            ConfigError: no subnet is set, or there is no such image.
        """
        if not self._subnet:
            raise ConfigError(
                f"oracle: set subnet in {TABLE} to the OCID of a subnet in {self._place.region} "
                "whose instances may have public addresses and whose port 22 is open"
            )
        room = METADATA_BYTES - len(request.public_key.encode())
        check_size(request.user_data, provider=PROVIDER, limit_bytes=room, encoded=True)
        owned = self._owned(mark_of(request))
        try:
            found = owned.find() or launch(request, owned, subnet=self._subnet, image=self._image)
        except BaseException as error:
            if owned.touched:
                try:
                    remove(owned, self._patience)
                except OrphanError as orphan:
                    raise orphan from error
                if isinstance(error, ProviderError):
                    error.made = "machine" if owned.instances else ""
            raise
        made = described(owned.mark, found, (), region=self._place.region, port=self._ssh_port)
        return replace(made, host_key=host_key_of(request.user_data) if request.user_data else None)

    def list_instances(self) -> Sequence[Instance]:
        """As the Protocol says; a boot volume without its instance comes with an empty id."""
        return instances_of(self._place, self._ssh_port)

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """As the Protocol says; an instance that stops or terminates will never answer."""
        from materia.ssh import wait_until_reachable

        which = f"{instance.name} ({instance.id} in {self._place.region})"
        for left in poll(timeout):
            try:
                found = self._clients.again(
                    f"instance {instance.id}",
                    lambda: self._clients.compute.get_instance(instance.id),
                ).data
                state = found.lifecycle_state
                host = self._address(instance.id) if state == "RUNNING" else None
            except (GoneError, UnansweredError):
                continue  # not visible yet, or no answer this time
            if host:
                wait_until_reachable(host, self._ssh_port, instance.host_key, left)
                return replace(instance, host=host, port=self._ssh_port)
            if state in DEAD:
                raise ReadyTimeoutError(f"oracle: {which} did not start, it is {state}")
        raise ReadyTimeoutError(
            f"oracle: {which} is not running with a public address after "
            f"{timeout.total_seconds():.0f} s"
        )

    def destroy_instance(self, instance: Instance, /) -> None:
        """As the Protocol says: terminated, and its boot volume with it."""
        mark = Mark(
            name=instance.name,
            run=instance.run,
            stage=instance.stage,
            expires_at=instance.expires_at,
        )
        owned = self._owned(mark)
        owned.know(instance)
        remove(owned, self._patience)

    def _owned(self, mark: Mark) -> Owned:
        return Owned(
            place=self._place,
            mark=mark,
            settle=self._settle,
        )

    def _address(self, identity: str) -> str | None:
        found = self._clients.every(
            f"network of {identity}",
            self._clients.compute.list_vnic_attachments,
            compartment_id=self._place.compartment,
            instance_id=identity,
        )
        for attachment in found:
            if attachment.lifecycle_state != "ATTACHED" or not attachment.vnic_id:
                continue
            vnic = self._clients.again(
                f"network of {identity}",
                partial(self._clients.network.get_vnic, attachment.vnic_id),
            ).data
            if vnic.public_ip:
                return str(vnic.public_ip)
        return None
