"""Create and destroy Hetzner Cloud servers as workers.

A worker has an SSH key (without one Hetzner makes and mails a root password), a server, and the
IPv4 address that comes with it. The key is made first and deleted last: a key without a server
means that a server may still appear.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer, Server, ServerCreatePublicNetwork
from hcloud.ssh_keys import BoundSSHKey, SSHKey
from materia.compute import Instance, InstanceRequest, Offer, Requirements
from materia.errors import (
    CapacityError,
    CredentialsError,
    Made,
    NoOfferError,
    ProviderError,
)
from materia.kit.once import Once, unkept
from materia_providers.api_errors import NothingMadeError, TakenError
from materia_providers.clock import read_date_header
from materia_providers.cloud_init import check_size
from materia_providers.labels import owner_of, read_owner
from materia_providers.list_entries import Entries, LeftOut
from materia_providers.polling import Boot, await_boot
from materia_providers.teardown import leaving_nothing, leftover

from materia_hetzner.client import open_client
from materia_hetzner.errors import refuses_offer, translated
from materia_hetzner.inventory import Project
from materia_hetzner.offers import PROVIDER, read_offers
from materia_hetzner.settings import Settings
from materia_hetzner.teardown import remove

USER_DATA_LIMIT = 32 * 1024  # bytes; API reference, POST /servers, 2026-08


class Hetzner:
    """The project of Hetzner Cloud that the token belongs to."""

    def __init__(
        self,
        token: str,
        settings: Settings | None = None,
        *,
        request_timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=10),
        first_retry: timedelta = timedelta(seconds=0.5),
        once: Once | None = None,
    ) -> None:
        """Open the project; this sends no request to the API.

        Args:
            token: API token of the project, Read & Write.
            settings: The settings in materia.toml.
            request_timeout: Time limit of one request; the SDK's default waits for ever.
            patience: How long `destroy` retries before it reports an orphan.
            settle: How long a new server may be missing from the API's answers.
            first_retry: The SDK repeats a request that met a rate limit, a conflict, a gateway
                error or a time limit five times, after 1, 2, 4, 8 and 16 times this.
            once: Cache of prices for several needs; without it every need asks again.
        """
        self._settings = settings or Settings()
        self._patience = patience
        self._once = once or unkept()
        self._settle = settle
        self._first_retry = first_retry
        client = open_client(
            token, self._settings, request_timeout=request_timeout, first_retry=first_retry
        )
        self._project = Project(client, self._settings, settle=settle)

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(self._settings.api_url)

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """Every server type in every location, with its availability, in the account's currency.

        Raises:
            NoOfferError: Hetzner does not have a region in materia.toml, or nothing has a price.
        """
        project, settings, once = self._project, self._settings, self._once
        types, left = once.ask("types", self._types)
        with translated("read prices"):
            offers = read_offers(
                types,
                once.ask("pricing", lambda: project.client.request("GET", "/pricing")["pricing"]),
                source=settings.api_url,
                now=datetime.now(UTC),
            )
        regions = {offer.region for offer in offers}
        wanted = {region.lower() for region in settings.regions}
        if unknown := sorted(wanted - {region.lower() for region in regions}):
            raise NoOfferError(
                f"hetzner: no offers in {', '.join(unknown)} (providers.hetzner.regions); "
                f"known: {', '.join(sorted(regions)) or 'no location at all'}"
            )
        if not offers:
            lines = ["hetzner: the API lists no server type with a price", *offers.left_out]
            raise NoOfferError("; ".join(lines))
        chosen = [offer for offer in offers if not wanted or offer.region.lower() in wanted]
        return Entries(chosen, (*left.lines(), *offers.left_out))

    def _types(self) -> tuple[list[dict[str, Any]], LeftOut]:
        """The server types of all pages; when a page fails, those of the pages before it.

        Raises:
            ProviderError: the first page cannot be read.
        """
        found: list[dict[str, Any]] = []
        left = LeftOut(PROVIDER)
        with left.place("the rest of the list of types"), translated("list server types"):
            found.extend(self._project.pages("/server_types", "server_types"))
        if left.errors and not found:
            raise left.errors[0]
        return found, left

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Create a server of that name, or adopt the one that exists.

        Raises:
            CapacityError: the type is sold out there, or a limit of the project is reached.
            ProviderError: a server of that name exists and is not materia's.
            OrphanError: the create failed, and materia could not remove what it left.
        """
        check_size(request.user_data, provider=PROVIDER, limit_bytes=USER_DATA_LIMIT)
        project = self._project
        server = project.named(request.name)
        if server is not None and server.status == Server.STATUS_DELETING:
            self.destroy_instance(project.instance(server))  # waits until the name is free
            server = None
        image = project.image(request.offer.architecture) if server is None else None
        with leaving_nothing(f"hetzner: cannot create {request.name}", self._undoing(request)):
            if image is not None:
                server = self._create(request, image)
            assert server is not None  # noqa: S101 -- it was there, or has been made
            return project.instance(server)

    def list_instances(self) -> Sequence[Instance]:
        """Every server with materia's labels, and labelled leftovers without a server."""
        loose = self._project.loose()
        found: dict[str, Instance] = {}
        for server in self._project.servers():
            own = [attached for owner, attached in loose if owner.name == server.name]
            found[str(server.name)] = self._project.instance(server, own)
        for owner, attached in loose:
            instance = found.setdefault(
                owner.name, leftover(owner, provider=PROVIDER, region=attached.region)
            )
            if not instance.id:
                attachments = (*instance.attached, attached)
                found[owner.name] = replace(instance, attached=attachments)
        return list(found.values())

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """The instance with its address, once it runs and its SSH port answers.

        Raises:
            ReadyTimeoutError: it does not run or does not answer within *timeout*.
        """

        def look() -> Boot | None:
            server = self._project.find(instance)
            if server is None:
                return None
            seen, state = self._project.instance(server), str(server.status)
            runs = state == Server.STATUS_RUNNING
            return Boot(state=state, host=seen.host if runs else None, port=seen.port)

        boot = await_boot(
            f"hetzner: the server {instance.name} (id {instance.id})",
            look,
            timeout=timeout,
            settle=self._settle,
        )
        return replace(instance, host=boot.host, port=boot.port)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Delete the server and its resources; return when Hetzner answers that all are gone.

        Raises:
            OrphanError: something is still there; the message lists it and how to delete it.
            ProviderError: the server of that id is not materia's.
        """
        late = not instance.id and bool(instance.attached)
        remove(self._project, instance, patience=self._patience, late=late)

    def _undoing(self, request: InstanceRequest) -> Callable[[BaseException], Made]:
        """The teardown that removes everything a create has made."""
        left = leftover(owner_of(request), provider=PROVIDER, region=request.offer.region)

        def undo(error: BaseException) -> Made:
            sure = isinstance(error, CapacityError | CredentialsError | NothingMadeError)
            made = remove(self._project, left, patience=self._patience, late=not sure)
            return "machine" if made else ""

        return undo

    def _create(self, request: InstanceRequest, image: Image) -> BoundServer:
        name, offer, project = request.name, request.offer, self._project
        keys, earlier = self._keys(request)
        if earlier and (server := project.await_named(name)):
            return server
        if earlier and str(keys[0].public_key).split()[:2] != request.public_key.split()[:2]:
            with translated(f"replace the SSH key {name}"):
                project.client.ssh_keys.delete(keys[0])
            keys, _ = self._keys(request)
        try:
            with translated(f"create the server {name} ({offer.instance_type}, {offer.region})"):
                server = project.client.servers.create(
                    name=name,
                    server_type=ServerType(name=offer.instance_type),
                    image=image,
                    location=Location(name=offer.region),
                    ssh_keys=[SSHKey(name=key.name) for key in keys],
                    user_data=request.user_data or None,
                    labels=owner_of(request).labels(),
                    public_net=ServerCreatePublicNetwork(enable_ipv4=True, enable_ipv6=False),
                ).server
                project.instance(server)  # raises when the answer does not name the new server
                return server
        except (CapacityError, CredentialsError):
            raise
        except ProviderError as error:
            if refuses_offer(error.__cause__):
                raise CapacityError(str(error)) from error
            if isinstance(error, NothingMadeError):
                raise
            # The answer is lost or the name is taken: the server may exist all the same.
            if found := project.await_named(name):
                return found
            raise NothingMadeError(str(error)) from error

    def _keys(self, request: InstanceRequest) -> tuple[list[BoundSSHKey], bool]:
        """The SSH key of the server, and whether an earlier create of this name made it."""
        if not request.public_key:
            return [], False
        try:
            return self._keys_once(request)
        except (CredentialsError, NothingMadeError):
            raise
        except ProviderError:
            # The answer is lost. Key names are unique, so a retry makes no second key.
            time.sleep(self._first_retry.total_seconds())
            return self._keys_once(request)

    def _keys_once(self, request: InstanceRequest) -> tuple[list[BoundSSHKey], bool]:
        name, keys = request.name, self._project.client.ssh_keys
        try:
            with translated(f"add the SSH key {name}"):
                made = keys.create(name, request.public_key, owner_of(request).labels())
                if read_owner(made.labels, named=made.name) is None:
                    raise ValueError("the key came back without its name and labels")
                return [made], False
        except TakenError:
            with translated(f"find the SSH key {name}"):
                named = keys.get_by_name(name)
                if named is not None and read_owner(named.labels, named=named.name):
                    return [named], True
                # The same key under another name: another stage's of this run, or the user's own.
                same = keys.get_by_fingerprint(_fingerprint(request.public_key))
            if same is None:
                raise
            return [same], False


def _fingerprint(public_key: str) -> str:
    """MD5 of the key's bytes, as the API writes it."""
    digest = hashlib.md5(base64.b64decode(public_key.split()[1]), usedforsecurity=False)
    return ":".join(f"{byte:02x}" for byte in digest.digest())
