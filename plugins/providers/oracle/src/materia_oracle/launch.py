"""Launch an instance with a retry token, so that the launch is idempotent."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from functools import partial
from typing import Any

from materia.compute import InstanceRequest, Offer
from materia.errors import CapacityError, ConfigError, CredentialsError, ProviderError
from materia_providers.api_errors import GoneError, UnansweredError
from materia_providers.labels import owner_of
from materia_providers.polling import again
from oci.core import models  # type: ignore[import-untyped]

from materia_oracle.catalog.shapes import BOOT_VOLUME_VPUS, read_offer_size
from materia_oracle.client import NO_RETRY, Place, may_pass
from materia_oracle.errors import refuses_offer
from materia_oracle.inventory import TERMINATED, TERMINATING, Owned, owner_of_instance
from materia_oracle.offers import domains_of

# How many retry tokens to try when ended instances have used them up.
GENERATIONS = 8


def launch(request: InstanceRequest, owned: Owned, *, subnet: str, image: str) -> Any:
    """Launch the instance of that name; return the SDK's object.

    The retry token is made of the name and the place, and Oracle keeps it for a day: the same
    launch again returns the same instance. An ended instance uses its token up, and materia then
    tries the next token.

    Raises:
        CapacityError: the domain has no capacity, or a limit of the account is reached.
        ConfigError: the image does not exist.
        ProviderError: any other refusal; UnansweredError when the outcome is unknown.
    """
    place, offer = owned.place, request.offer
    domain = offer.zone or domains_of(place)[0]
    booted = _image_id(place, offer, image)
    details = _details(place, request, domain=domain, subnet=subnet, image=booted)
    doing = f"launch {offer.instance_type} in {domain}"
    for generation in range(GENERATIONS):
        seed = f"{request.name} {domain} {generation}"
        owned.touched = True
        found = _launched(doing, details, hashlib.sha256(seed.encode()).hexdigest()[:48], owned)
        if found is not None and found.lifecycle_state not in {TERMINATED, TERMINATING}:
            owned.instances.add(found.id)
            return found
        # The token is used up: by an ended instance, or by one from another request of that
        # name, which may not be listed yet.
        if (living := owned.look()) is not None:
            return living
    raise ProviderError(
        f"oracle: cannot {doing}: the name {request.name} was used too often; choose another name"
    )


def _launched(doing: str, details: Any, token: str, owned: Owned) -> Any | None:
    """The instance of that token; None when that instance has ended."""
    clients = owned.place.clients
    call = partial(
        clients.compute.launch_instance,
        details,
        opc_retry_token=token,
        retry_strategy=NO_RETRY,
    )

    def once() -> Any:
        found = clients.once(doing, call).data
        if not owned.is_mine(owner_of_instance(found)):
            raise UnansweredError(
                f"oracle: cannot {doing}: the answer does not name the new instance"
            )
        return found

    def ask() -> Any:
        # The token makes every try the same launch, whether or not Oracle carried out the first.
        try:
            return once()
        except UnansweredError:
            owned.uncertain = True
            raise

    try:
        return again(ask, passing=may_pass, first_pause=timedelta(seconds=clients.first_retry))
    except GoneError as error:
        # "shape ... not found": another domain may have it.
        if "shape" in str(error).lower():
            raise CapacityError(str(error)) from error
        raise ProviderError(
            f"{error}; check providers.oracle.compartment, providers.oracle.subnet and the user's "
            "policies"
        ) from error
    except ProviderError as error:
        if "InvalidatedRetryToken" in str(error):
            return None
        if refuses_offer(error.__cause__) and not isinstance(error, CredentialsError):
            raise CapacityError(str(error)) from error
        raise


def _details(
    place: Place, request: InstanceRequest, *, domain: str, subnet: str, image: str
) -> Any:
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
        compartment_id=place.compartment,
        availability_domain=domain,
        display_name=request.name,
        shape=offer.instance_type,
        shape_config=config,
        source_details=models.InstanceSourceViaImageDetails(
            image_id=image,
            boot_volume_size_in_gbs=offer.disk_gib,
            boot_volume_vpus_per_gb=BOOT_VOLUME_VPUS,
        ),
        create_vnic_details=models.CreateVnicDetails(subnet_id=subnet, assign_public_ip=True),
        metadata=metadata,
        freeform_tags=owner_of(request).labels(),
    )


def _image_id(place: Place, offer: Offer, image: str) -> str:
    """The newest image of that system that boots the shape."""
    if image.startswith("ocid1.image."):
        return image
    system, _, version = image.rpartition(" ")
    for one in _images(place, system, version, shape=offer.instance_type):
        if one.id and not re.search(r"GPU|Minimal", str(one.display_name)):
            return str(one.id)
    lacking = f"oracle: no image {image!r} boots {offer.instance_type} in {place.region}"
    if _images(place, system, version):
        raise CapacityError(lacking)  # an image for another shape exists
    raise ConfigError(
        f"{lacking}; set providers.oracle.image to an operating system and its version as Oracle "
        "names them, for example 'Canonical Ubuntu 24.04', or to the OCID of an image"
    )


def _images(place: Place, system: str, version: str, **options: str) -> list[Any]:
    return place.clients.every(
        f"list images of {system} {version}",
        place.clients.compute.list_images,
        compartment_id=place.compartment,
        operating_system=system,
        operating_system_version=version,
        lifecycle_state="AVAILABLE",
        sort_by="TIMECREATED",
        sort_order="DESC",
        **options,
    )
