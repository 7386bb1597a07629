"""Instances of OVHcloud's Public Cloud as workers.

What is made for a worker: an SSH key and an instance; its address and its disk are part of it.
Both are named so that they are found again (`names.py`). The key is made first and deleted last: a
key without an instance says that one may be on its way, for names are not unique here and a second
create of a lost answer would make a second machine.
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
from materia_providers.cloud_init import check_size, host_key_of
from materia_providers.labels import mark_of
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
    """One Public Cloud project, that of the settings."""

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
        """Open the project; asks the API nothing yet.

        Args:
            credentials: With the right to GET, POST and DELETE below the project.
            settings: What materia.toml says.
            request_timeout: For one answer.
            patience: How long a destroy goes on before it reports an orphan.
            settle: How long an instance that was just made may be missing from answers.
            once: Asks for prices once for several needs; by default each asks anew.
            first_retry: A request that is safe to repeat is repeated after this, and once more
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

        In the currency asked for, unless the settings name a subsidiary, which then decides.

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
                f"ovh: the project has nothing to rent in {', '.join(unknown)} "
                f"(providers.ovh.regions); active: {', '.join(sorted(regions)) or 'none'}"
            )
        if not offers:
            lines = ["ovh: no flavor of the project has a price by the hour", *offers.left_out]
            raise NoOfferError("; ".join(lines))
        chosen = [offer for offer in offers if not wanted or offer.region.upper() in wanted]
        return Entries(chosen, offers.left_out)

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """An instance of that name, or the one that is there already.

        Raises:
            CapacityError: there is none in stock, or the project's quota is used up.
            OrphanError: it failed, and what it left could not be removed.
        """
        check_size(request.user_data, provider=PROVIDER, limit_bytes=USER_DATA_LIMIT, encoded=True)
        host_key = host_key_of(request.user_data) if request.user_data else None
        name = write_name(mark_of(request))
        account, region = self._account, request.offer.region
        body = account.named(request.name)
        if body is not None and body["status"] == "DELETING":
            self.destroy_instance(account.instance(body))  # waits until it is gone
            body = None
        if body is None:
            keys = [key for key in account.ssh_keys() if key.mark.name == request.name]
            if keys:
                body = account.await_named(request.name)
            if body is None:
                for key in keys:  # of an earlier create that came to nothing
                    account.delete(f"delete the SSH key of {request.name}", f"/sshkey/{key.id}")
        # Asked for before anything is made.
        ids = (
            (account.flavor(region, request.offer.instance_type), account.image(region))
            if body is None
            else None
        )
        with leaving_nothing(f"ovh: cannot create {request.name}", self._undoing(request)):
            if ids is not None:
                instance = self._create(request, name, *ids)
            else:
                assert body is not None  # noqa: S101 -- nothing is asked for where it is there
                instance = account.instance(body, request.offer.instance_type)
            return replace(instance, host_key=host_key)

    def list_instances(self) -> Sequence[Instance]:
        """Every instance that materia named, and every key whose instance is gone."""
        account = self._account
        instances, keys = account.instances(), account.ssh_keys()
        found = []
        for mark, body in instances:
            own = [_attached(key) for key in keys if key.mark.name == mark.name]
            found.append(account.instance(body, attached=own))
        names = {mark.name for mark, _ in instances}
        left: dict[str, Instance] = {}
        for key in keys:
            if key.mark.name not in names:
                known = left.get(key.mark.name, leftover(key.mark, provider=PROVIDER))
                left[key.mark.name] = replace(known, attached=(*known.attached, _attached(key)))
        return [*found, *left.values()]

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """The instance with its address, once it is active and its SSH server shows the right key.

        Raises:
            CapacityError: it could not be built; it is destroyed.
            ReadyTimeoutError: it is not active, or does not answer, after *timeout*.
        """

        def look() -> Boot | None:
            body = self._account.find(instance)
            if body is None:
                return None
            seen, state = self._account.instance(body), str(body["status"])
            failure = None
            if state == "ERROR":
                failure = CapacityError(
                    f"ovh: the instance {instance.name} could not be built in {instance.region} "
                    "(status ERROR) and was destroyed"
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
        """Return when OVHcloud itself says that nothing of the instance is left.

        Raises:
            OrphanError: something is still there after a while; it says what and what to do.
            ProviderError: the instance of that id is not materia's.
        """
        late = not instance.id and bool(instance.attached)
        remove(self._account, instance, patience=self._patience, late=late)

    def _undoing(self, request: InstanceRequest) -> Callable[[BaseException], Made]:
        """What removes all that a create has made."""
        left = leftover(mark_of(request), provider=PROVIDER, region=request.offer.region)

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
                # Another process makes the same instance at this moment.
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
            # The answer is lost, or odd: the instance may be there all the same.
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
        """The id of the key to let in."""
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
                raise UnansweredError(f"ovh: cannot {doing}: the answer does not say its id")
            return str(key["id"])

        try:
            return made()
        except UnansweredError:
            # The answer is lost, or odd. The key is known by its name.
            for key in account.ssh_keys():
                if key.mark.name == request.name:
                    return key.id
            return made()


def _attached(key: Key) -> Attached:
    return Attached(kind="key", id=key.id, region="")
