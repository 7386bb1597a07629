"""Create and destroy OVHcloud Public Cloud instances as workers.

A worker has an SSH key and an instance, which includes its address and its disk. The names of both
say that they are materia's (`names.py`). The key is made first and deleted last: a key without an
instance means that an instance may still appear. Names are not unique here, so a second create
after a lost answer would make a second machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from materia.compute import Attached, Instance, InstanceRequest, Offer, Requirements
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    Made,
    NoOfferError,
    ProviderError,
)
from materia.kit.once import Once, unkept
from materia_providers.api_errors import NothingMadeError, TakenError, UnansweredError
from materia_providers.clock import read_date_header
from materia_providers.cloud_init import check_size
from materia_providers.labels import owner_of
from materia_providers.list_entries import Entries
from materia_providers.polling import Boot, await_boot
from materia_providers.teardown import leaving_nothing, leftover

from materia_ovh.catalog import read_catalog
from materia_ovh.client import open_client
from materia_ovh.credentials import Credentials
from materia_ovh.errors import refuses_offer, translated
from materia_ovh.inventory import Account, Key
from materia_ovh.names import write_name
from materia_ovh.offers import PROVIDER, read_offers
from materia_ovh.settings import Settings
from materia_ovh.teardown import remove

USER_DATA_LIMIT = 65_535  # bytes of its base64 form; OpenStack Compute API, servers, user_data


class Ovh:
    """The Public Cloud project in the settings."""

    def __init__(
        self,
        credentials: Credentials,
        settings: Settings,
        *,
        request_timeout: timedelta = timedelta(seconds=30),
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=10),
        once: Once | None = None,
        first_retry: timedelta = timedelta(seconds=0.5),
    ) -> None:
        """Open the project; this sends no request to the API.

        Args:
            credentials: With permission to GET, POST and DELETE below the project.
            settings: The settings in materia.toml.
            request_timeout: Time limit of one request.
            patience: How long `destroy` retries before it reports an orphan.
            settle: How long a new instance may be missing from answers.
            once: Cache of prices for several needs; without it every need asks again.
            first_retry: A request that is safe to repeat is retried after this, and once more
                after three times as long.

        Raises:
            ConfigError: the SDK finds OVH_CLIENT_ID set as well and refuses to choose.
        """
        self._settings = settings
        self._request_timeout = request_timeout
        self._patience = patience
        self._once = once or unkept()
        client = open_client(credentials, settings, request_timeout=request_timeout)
        self._settle = settle
        self._account = Account(client, settings, settle=settle, first_retry=first_retry)

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(self._settings.api_url)

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """Every Linux flavor of the project's regions, with its stock and quota.

        Prices are in the required currency, unless the settings name a subsidiary: then in its own.

        Raises:
            NoOfferError: a region in materia.toml is not active, or nothing has a price.
        """
        settings, currency = self._settings, requirements.currency
        flavors = self._once.ask(
            "flavors", lambda: self._account.get("the list of flavors", "/flavor")
        )
        catalog = read_catalog(settings, currency, once=self._once, timeout=self._request_timeout)
        with translated("read prices"):
            offers = read_offers(
                catalog.body, flavors, source=catalog.source, now=datetime.now(UTC)
            )
        regions = {offer.region for offer in offers}
        wanted = {region.upper() for region in settings.regions}
        if unknown := sorted(wanted - {region.upper() for region in regions}):
            raise NoOfferError(
                f"ovh: the project has no offers in {', '.join(unknown)} "
                f"(providers.ovh.regions); active: {', '.join(sorted(regions)) or 'none'}"
            )
        if not offers:
            lines = ["ovh: no flavor of the project has an hourly price", *offers.left_out]
            raise NoOfferError("; ".join(lines))
        chosen = [offer for offer in offers if not wanted or offer.region.upper() in wanted]
        return Entries(chosen, offers.left_out)

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Create an instance of that name, or adopt the one that exists.

        Raises:
            CapacityError: the flavor is out of stock, or the project's quota is used up.
            OrphanError: the create failed, and materia could not remove what it left.
        """
        check_size(request.user_data, provider=PROVIDER, limit_bytes=USER_DATA_LIMIT, encoded=True)
        name = write_name(owner_of(request))
        account, region = self._account, request.offer.region
        body = account.named(request.name)
        if body is not None and body["status"] == "DELETING":
            self.destroy_instance(account.instance(body))  # waits until it is gone
            body = None
        if body is None:
            keys = [key for key in account.ssh_keys() if key.owner.name == request.name]
            if keys:
                body = account.await_named(request.name)
            if body is None:
                for key in keys:  # from an earlier create that failed
                    account.delete(f"delete the SSH key of {request.name}", f"/sshkey/{key.id}")
        # These can fail, so they come before anything is made.
        ids = (
            (account.flavor(region, request.offer.instance_type), account.image(region))
            if body is None
            else None
        )
        with leaving_nothing(f"ovh: cannot create {request.name}", self._undoing(request)):
            if ids is not None:
                return self._create(request, name, *ids)
            assert body is not None  # noqa: S101 -- nothing is asked for where it is there
            return account.instance(body, request.offer.instance_type)

    def list_instances(self) -> Sequence[Instance]:
        """Every instance of materia, and every key of materia whose instance is gone."""
        account = self._account
        instances, keys = account.instances(), account.ssh_keys()
        found = []
        for owner, body in instances:
            own = [_attached(key) for key in keys if key.owner.name == owner.name]
            found.append(account.instance(body, attached=own))
        names = {owner.name for owner, _ in instances}
        left: dict[str, Instance] = {}
        for key in keys:
            if key.owner.name not in names:
                known = left.get(key.owner.name, leftover(key.owner, provider=PROVIDER))
                left[key.owner.name] = replace(known, attached=(*known.attached, _attached(key)))
        return [*found, *left.values()]

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """The instance with its address, once it is active and its SSH port answers.

        Raises:
            CapacityError: OVHcloud could not build it; materia has destroyed it.
            ReadyTimeoutError: it is not active or does not answer within *timeout*.
        """

        def look() -> Boot | None:
            body = self._account.find(instance)
            if body is None:
                return None
            seen, state = self._account.instance(body), str(body["status"])
            failure = None
            if state == "ERROR":
                failure = CapacityError(
                    f"ovh: OVHcloud could not build the instance {instance.name} in "
                    f"{instance.region} (status ERROR); materia destroyed it"
                )
            host = seen.host if state == "ACTIVE" else None
            return Boot(state=state, host=host, port=seen.port, failure=failure)

        try:
            boot = await_boot(
                f"ovh: the instance {instance.name} (id {instance.id})",
                look,
                timeout=timeout,
                settle=self._settle,
            )
        except CapacityError:
            self.destroy_instance(instance)
            raise
        return replace(instance, host=boot.host, port=boot.port)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Delete the instance and its key; return when OVHcloud answers that both are gone.

        Raises:
            OrphanError: something is still there; the message lists it and how to delete it.
            ProviderError: the instance of that id is not materia's.
        """
        late = not instance.id and bool(instance.attached)
        remove(self._account, instance, patience=self._patience, late=late)

    def _undoing(self, request: InstanceRequest) -> Callable[[BaseException], Made]:
        """The teardown that removes everything a create has made."""
        left = leftover(owner_of(request), provider=PROVIDER, region=request.offer.region)

        def undo(error: BaseException) -> Made:
            sure = isinstance(
                error, CapacityError | CredentialsError | NothingMadeError | TakenError
            )
            made = remove(self._account, left, patience=self._patience, late=not sure)
            return "machine" if made else ""

        return undo

    def _create(self, request: InstanceRequest, name: str, flavor: str, image: str) -> Instance:
        account, offer = self._account, request.offer
        doing = f"create the instance {request.name} ({offer.instance_type}, {offer.region})"
        body = {
            "name": name,
            "region": offer.region,
            "flavorId": flavor,
            "imageId": image,
            "monthlyBilling": False,
        }
        if request.public_key:
            try:
                body["sshKeyId"] = self._add_key(request, name)
            except TakenError:
                # Another process is creating the same instance.
                if found := account.await_named(request.name):
                    return account.instance(found, offer.instance_type)
                raise
        if request.user_data:
            body["userData"] = request.user_data
        try:
            return self._launched(request, doing, body)
        except (CapacityError, ConfigError, CredentialsError):
            raise
        except ProviderError as error:
            if refuses_offer(error.__cause__):
                raise CapacityError(str(error)) from error
            if isinstance(error, NothingMadeError):
                raise
            # The answer is lost or malformed: the instance may exist all the same.
            if found := account.await_named(request.name):
                return account.instance(found, offer.instance_type)
            raise NothingMadeError(str(error)) from error

    def _launched(
        self, request: InstanceRequest, doing: str, body: Mapping[str, object]
    ) -> Instance:
        made = self._account.instance(
            self._account.post(doing, "/instance", **body), request.offer.instance_type
        )
        if made.name != request.name:
            raise UnansweredError(f"ovh: cannot {doing}: the answer is about {made.name}")
        return made

    def _add_key(self, request: InstanceRequest, name: str) -> str:
        """The id of the worker's SSH key."""
        account, doing = self._account, f"add the SSH key of {request.name}"

        def made() -> str:
            key = account.post(
                doing,
                "/sshkey",
                name=name,
                publicKey=request.public_key,
                region=request.offer.region,
            )
            if not isinstance(key.get("id"), str) or key.get("name") != name:
                raise UnansweredError(f"ovh: cannot {doing}: the answer has no id")
            return str(key["id"])

        try:
            return made()
        except UnansweredError:
            # The answer is lost or malformed. Find the key by its name.
            for key in account.ssh_keys():
                if key.owner.name == request.name:
                    return key.id
            return made()


def _attached(key: Key) -> Attached:
    return Attached(kind="key", id=key.id, region="")
