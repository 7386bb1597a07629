"""Oracle compute instances with their boot volume, all with materia's tags."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from materia.bootstrap import check_size
from materia.errors import (
    CapacityError,
    ConfigError,
    NoOfferError,
    OrphanError,
    ProviderError,
    ReadyTimeoutError,
)
from materia.machines import Instance, InstanceRequest, Offer, Requirements
from materia.marks import Mark, mark_of
from materia.polling import poll
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.client import NO_RETRY, connect
from materia_oracle.errors import GoneError, UnansweredError, translated
from materia_oracle.owned import TERMINATED, TERMINATING, Owned, described, instances_of
from materia_oracle.price_list import fetch
from materia_oracle.removal import remove
from materia_oracle.shapes import (
    BOOT_VOLUME_VPUS,
    GB_PER_OCPU,
    PROVIDER,
    Shape,
    offers,
    read_offer_size,
    size,
)

# All values of the metadata together (Oracle docs, LaunchInstanceDetails.metadata).
METADATA_BYTES = 32_000
# How often a retry token may turn out to be used up by an instance that is gone.
GENERATIONS = 8
TABLE = "[providers.oracle] of materia.toml"
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
    ) -> None:
        """Ask nothing yet.

        *config* is the SDK's: user, tenancy, fingerprint, key_content and region. *timeout* is for
        the answer to one request; *patience* for how long something may take to be created or
        destroyed; *settle* for how long a new instance may be in no list; a request that is safe
        to repeat is repeated after *first_retry*, and once more later.

        Raises:
            CredentialsError: the SDK does not take *config*.
        """
        self._clients = connect(
            config,
            api_url=api_url,
            seconds=timeout.total_seconds(),
            first_retry=first_retry.total_seconds(),
        )
        self._region = config["region"]
        self._compartment = compartment or config["tenancy"]
        self._subnet = subnet
        self._image = image
        self._ssh_port = ssh_port
        self._price_list_url = price_list_url
        self._patience = patience
        self._settle = settle

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """As the Protocol says: the shapes of each availability domain, sized to what is needed."""
        domains = [
            domain
            for domain in self._domains()
            if not requirements.regions
            or self._region in requirements.regions
            or domain in requirements.regions
        ]
        if not domains:
            raise NoOfferError(
                f"oracle: only {self._region} (OCI_CLI_REGION) is in use, not "
                f"{', '.join(requirements.regions)}"
            )
        prices = fetch(self._price_list_url, requirements.currency)

        def ask(domain: str) -> list[Offer]:
            shapes = self._shapes(domain)
            stock = self._stock(domain, shapes, requirements)
            return offers(
                shapes, prices, requirements, region=self._region, zone=domain, stock=stock
            )

        with ThreadPoolExecutor(max_workers=len(domains)) as pool:
            found = [offer for answer in pool.map(ask, domains) for offer in answer]
        if not found:
            raise NoOfferError(f"oracle: no shape in {self._region} that the price list knows")
        return found

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """As the Protocol says; the launch itself is idempotent by its retry token.

        Raises:
            ConfigError: no subnet is set, or there is no such image.
        """
        if not self._subnet:
            raise ConfigError(
                f"oracle: set subnet in {TABLE} to the OCID of a subnet in {self._region} whose "
                "instances may have public addresses and whose port 22 is open"
            )
        room = METADATA_BYTES - len(request.public_key.encode())
        check_size(request.user_data, provider=PROVIDER, limit_bytes=room, encoded=True)
        owned = self._owned(mark_of(request))
        try:
            found = owned.find() or self._launch(request, owned)
        except BaseException as error:
            if owned.touched:
                try:
                    remove(owned, self._patience)
                except OrphanError as orphan:
                    raise orphan from error
            raise
        return described(owned.mark, found, (), region=self._region, port=self._ssh_port)

    def list_instances(self) -> Sequence[Instance]:
        """As the Protocol says; a boot volume without its instance comes with an empty id."""
        return instances_of(self._clients, self._compartment, self._region, self._ssh_port)

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """As the Protocol says; an instance that stops or terminates will never answer."""
        from materia.ssh import wait_until_reachable

        which = f"{instance.name} ({instance.id} in {self._region})"
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
            clients=self._clients,
            compartment=self._compartment,
            region=self._region,
            mark=mark,
            settle=self._settle,
        )

    def _domains(self) -> list[str]:
        found = self._clients.again(
            "list availability domains",
            lambda: self._clients.identity.list_availability_domains(self._compartment),
        ).data
        return sorted(one.name for one in found)

    def _shapes(self, domain: str) -> list[Shape]:
        found = self._clients.every(
            f"list shapes in {domain}",
            self._clients.compute.list_shapes,
            compartment_id=self._compartment,
            availability_domain=domain,
        )
        # A shape is listed once for each image it can boot.
        with translated(f"read shapes in {domain}"):
            shapes = {one.shape: _shape(one) for one in found if _rentable(one)}
        return [shapes[name] for name in sorted(shapes)]

    def _stock(
        self, domain: str, shapes: Sequence[Shape], requirements: Requirements
    ) -> Mapping[str, str]:
        """What the capacity report says; nothing where the account may not ask for one."""
        asked = []
        for shape in shapes:
            chosen = size(shape, requirements)
            if shape.series is None or chosen is None:
                continue
            config = (
                models.CapacityReportInstanceShapeConfig(
                    ocpus=float(chosen.ocpus), memory_in_gbs=float(chosen.memory_gb)
                )
                if shape.flexible
                else None
            )
            asked.append(
                models.CreateCapacityReportShapeAvailabilityDetails(
                    instance_shape=shape.name, instance_shape_config=config
                )
            )
        if not asked:
            return {}
        details = models.CreateComputeCapacityReportDetails(
            compartment_id=self._compartment, availability_domain=domain, shape_availabilities=asked
        )
        try:
            report = self._clients.again(
                f"capacity in {domain}",
                lambda: self._clients.compute.create_compute_capacity_report(details),
            ).data
        except ProviderError:
            return {}  # availability is then unknown, and the prices still stand
        return {
            one.instance_shape: one.availability_status for one in report.shape_availabilities or ()
        }

    def _launch(self, request: InstanceRequest, owned: Owned) -> Any:
        offer = request.offer
        domain = offer.zone or self._domains()[0]
        details = self._details(request, domain, self._image_id(offer))
        doing = f"launch {offer.instance_type} in {domain}"
        for generation in range(GENERATIONS):
            seed = f"{request.name} {domain} {generation}"
            owned.touched = True
            found = self._launched(doing, details, hashlib.sha256(seed.encode()).hexdigest()[:48])
            if found is not None and found.lifecycle_state not in {TERMINATED, TERMINATING}:
                owned.instances.add(found.id)
                return found
            # The token is used up: by an instance that is gone, or by one made from another
            # request of that name, which may not be listed yet.
            if (living := owned.look()) is not None:
                return living
        raise ProviderError(f"oracle: {doing}: the name {request.name} was used too often")

    def _launched(self, doing: str, details: Any, token: str) -> Any | None:
        """The instance of that token; None when the token's instance is gone."""
        launch = partial(
            self._clients.compute.launch_instance,
            details,
            opc_retry_token=token,
            retry_strategy=NO_RETRY,
        )
        try:
            try:
                return self._clients.once(doing, launch).data
            except UnansweredError:
                # The token makes this the same launch, whether or not the first was carried out.
                return self._clients.once(doing, launch).data
        except GoneError as error:
            # "shape ... not found": this domain does not have it, another may.
            if "shape" in str(error).lower():
                raise CapacityError(str(error)) from error
            raise ProviderError(
                f"{error}; check compartment and subnet in {TABLE} and the user's policies"
            ) from error
        except ProviderError as error:
            if "InvalidatedRetryToken" in str(error):
                return None
            raise

    def _details(self, request: InstanceRequest, domain: str, image: str) -> Any:
        offer = request.offer
        chosen = read_offer_size(offer)
        config = None
        if chosen is not None:
            ocpus, memory = chosen
            config = models.LaunchInstanceShapeConfigDetails(ocpus=ocpus, memory_in_gbs=memory)
        metadata = {"user_data": base64.b64encode(request.user_data.encode()).decode()}
        if request.public_key:
            metadata["ssh_authorized_keys"] = request.public_key
        return models.LaunchInstanceDetails(
            compartment_id=self._compartment,
            availability_domain=domain,
            display_name=request.name,
            shape=offer.instance_type,
            shape_config=config,
            source_details=models.InstanceSourceViaImageDetails(
                image_id=image,
                boot_volume_size_in_gbs=offer.disk_gib,
                boot_volume_vpus_per_gb=BOOT_VOLUME_VPUS,
            ),
            create_vnic_details=models.CreateVnicDetails(
                subnet_id=self._subnet, assign_public_ip=True
            ),
            metadata=metadata,
            freeform_tags=mark_of(request).labels(),
        )

    def _image_id(self, offer: Offer) -> str:
        """The newest image of that system that boots the shape, and so has its architecture."""
        if self._image.startswith("ocid1.image."):
            return self._image
        system, _, version = self._image.rpartition(" ")
        found = self._clients.every(
            f"image {self._image}",
            self._clients.compute.list_images,
            compartment_id=self._compartment,
            operating_system=system,
            operating_system_version=version,
            shape=offer.instance_type,
            lifecycle_state="AVAILABLE",
            sort_by="TIMECREATED",
            sort_order="DESC",
        )
        for image in found:
            if not re.search(r"GPU|Minimal", str(image.display_name)):
                return str(image.id)
        raise ConfigError(
            f"oracle: no image {self._image!r} boots {offer.instance_type} in {self._region}; set "
            f"image in {TABLE} to an operating system and its version as Oracle names them, for "
            "example 'Canonical Ubuntu 24.04', or to the OCID of an image"
        )

    def _address(self, identity: str) -> str | None:
        found = self._clients.every(
            f"network of {identity}",
            self._clients.compute.list_vnic_attachments,
            compartment_id=self._compartment,
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


def _rentable(shape: Any) -> bool:
    # The shapes that are always free are a trial's, two in a tenancy, and have no price.
    return str(shape.shape).startswith("VM.") and shape.billing_type != "ALWAYS_FREE"


def _shape(shape: Any) -> Shape:
    ocpus, memory = shape.ocpu_options, shape.memory_options
    fixed = Decimal(str(shape.memory_in_gbs or 0))
    low, high = (Decimal(figure) for figure in GB_PER_OCPU)
    if not shape.is_flexible or ocpus is None or memory is None:
        count = int(shape.ocpus or 0)
        per = fixed / count if count else Decimal(0)
        return Shape(
            name=shape.shape,
            ocpus=(count, count),
            memory_gb=(fixed, fixed),
            gb_per_ocpu=(per, per),
            cpu="burstable" if shape.is_subcore else "dedicated",
        )
    return Shape(
        name=shape.shape,
        ocpus=(max(int(ocpus.min or 1), 1), int(ocpus.max or 1)),
        memory_gb=(
            Decimal(str(memory.min_in_g_bs or 1)),
            Decimal(str(memory.max_in_g_bs or fixed)),
        ),
        gb_per_ocpu=(
            Decimal(str(memory.min_per_ocpu_in_gbs or low)),
            Decimal(str(memory.max_per_ocpu_in_gbs or high)),
        ),
    )
