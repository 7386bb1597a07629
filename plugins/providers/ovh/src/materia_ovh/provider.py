"""Instances of OVHcloud's Public Cloud as workers.

What is made for a worker: an SSH key and an instance; its address and its disk are part of it.
Both are named so that they are found again (`names.py`). The key is made first and deleted last: a
key without an instance says that one may be on its way, for names are not unique here and a second
create of a lost answer would make a second machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from materia.bootstrap import check_size, host_key_of
from materia.entries import Entries
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    NoOfferError,
    OrphanError,
    ProviderError,
    ReadyTimeoutError,
)
from materia.machines import Attached, Instance, InstanceRequest, Offer, Requirements
from materia.marks import mark_of
from materia.once import Once, unkept
from materia.polling import poll
from materia.provider_clock import read_date_header
from materia.removal import leftover

from materia_ovh.account import Account, Key, open_client
from materia_ovh.catalog import read_catalog
from materia_ovh.credentials import Credentials
from materia_ovh.names import write_name
from materia_ovh.offers import PROVIDER, read_offers
from materia_ovh.problems import NothingMadeError, TakenError, translated
from materia_ovh.removal import remove
from materia_ovh.settings import Settings

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
    ) -> None:
        """Open the project; asks the API nothing yet.

        Args:
            credentials: With the right to GET, POST and DELETE below the project.
            settings: What materia.toml says.
            request_timeout: For one answer.
            patience: How long a destroy goes on before it reports an orphan.
            settle: How long an instance that was just made may be missing from answers.
            once: Asks for prices once for several needs; by default each asks anew.

        Raises:
            ConfigError: the SDK finds OVH_CLIENT_ID set as well and refuses to choose.
        """
        self._settings = settings
        self._request_timeout = request_timeout
        self._patience = patience
        self._once = once or unkept()
        client = open_client(credentials, settings, request_timeout=request_timeout)
        self._account = Account(client, settings, settle=settle)

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
                flavor = account.flavor(region, request.offer.instance_type)
                image = account.image(region)
                try:
                    body = self._create(request, name, flavor, image)
                except BaseException as error:
                    sure = isinstance(error, CapacityError | CredentialsError | NothingMadeError)
                    left = leftover(mark_of(request), provider=PROVIDER, region=region)
                    try:
                        made = remove(account, left, patience=self._patience, late=not sure)
                    except OrphanError as orphan:
                        raise orphan from error
                    if isinstance(error, ProviderError):
                        error.made = "machine" if made else ""
                    raise
        instance = account.instance(body, request.offer.instance_type)
        host_key = host_key_of(request.user_data) if request.user_data else None
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
        from materia.ssh import wait_until_reachable

        status = "not there"
        for left in poll(timeout):
            body = self._account.find(instance)
            status = str(body["status"]) if body else "not there"
            if body is None:
                continue
            if status == "ERROR":
                self.destroy_instance(instance)
                raise CapacityError(
                    f"ovh: the instance {instance.name} could not be built in {instance.region} "
                    f"(status ERROR) and was destroyed"
                )
            ready = self._account.instance(body, instance.instance_type, instance.attached)
            if status != "ACTIVE" or ready.host is None:
                continue
            wait_until_reachable(ready.host, ready.port, instance.host_key, left)
            return replace(ready, host_key=instance.host_key)
        raise ReadyTimeoutError(
            f"ovh: the instance {instance.name} is {status} after {timeout.total_seconds():g} s"
        )

    def destroy_instance(self, instance: Instance, /) -> None:
        """Return when OVHcloud itself says that nothing of the instance is left.

        Raises:
            OrphanError: something is still there after a while; it says what and what to do.
            ProviderError: the instance of that id is not materia's.
        """
        late = not instance.id and bool(instance.attached)
        remove(self._account, instance, patience=self._patience, late=late)

    def _create(
        self, request: InstanceRequest, name: str, flavor: str, image: str
    ) -> Mapping[str, Any]:
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
                key = account.post(
                    f"add the SSH key of {request.name}",
                    "/sshkey",
                    name=name,
                    publicKey=request.public_key,
                    region=offer.region,
                )
            except TakenError:
                # Another process makes the same instance at this moment.
                if found := account.await_named(request.name):
                    return found
                raise
            body["sshKeyId"] = key["id"]
        if request.user_data:
            body["userData"] = request.user_data
        try:
            return account.post(doing, "/instance", **body)
        except (CapacityError, ConfigError, CredentialsError, NothingMadeError):
            raise
        except ProviderError as error:
            # The answer is lost: the instance may be there all the same.
            if found := account.await_named(request.name):
                return found
            raise NothingMadeError(str(error)) from error


def _attached(key: Key) -> Attached:
    return Attached(kind="key", id=key.id, region="")
