"""Inventory of an OVHcloud project: find materia's instances and SSH keys by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ovh  # type: ignore[import-untyped]  # the SDK has no types
from materia.compute import Attached, Instance
from materia.errors import CapacityError, ConfigError, ProviderError
from materia_providers.api_errors import BusyRateError, UnansweredError
from materia_providers.labels import Owner
from materia_providers.polling import again, look_for
from materia_providers.teardown import ForeignError
from ovh.exceptions import ResourceNotFoundError  # type: ignore[import-untyped]  # as above

from materia_ovh.errors import is_project_missing, translated
from materia_ovh.names import read_name
from materia_ovh.offers import PROVIDER
from materia_ovh.settings import Settings

GONE = frozenset({"DELETED", "SOFT_DELETED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An SSH key that materia made."""

    id: str
    owner: Owner
    public_key: str


class Account:
    """The resources of materia in one project. Every method asks the API."""

    def __init__(
        self, client: ovh.Client, settings: Settings, *, settle: timedelta, first_retry: timedelta
    ) -> None:
        """Use *client*; a new instance may be missing from answers for *settle*.

        A request that is safe to repeat is retried after *first_retry*, and once more later: the
        SDK has no retries.
        """
        self._client = client
        self._settings = settings
        self._settle = settle
        self._first_retry = first_retry

    # OfferQuery --------------------------------------------------------------------------------

    def get(self, what: str, path: str, **query: object) -> Any:
        """A list or an object of the project."""

        def ask() -> Any:
            with translated(f"read {what}"):
                return self._client.get(f"{self._project}{path}", **query)

        return again(ask, passing=_may_pass, first_pause=self._first_retry)

    def entries(self, what: str, path: str, **query: object) -> list[Mapping[str, Any]]:
        """A list of objects of the project."""
        found = self.get(what, path, **query)
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            raise UnansweredError(f"ovh: cannot read {what}: the answer is not a list of objects")
        return found

    def post(self, doing: str, path: str, **body: object) -> Mapping[str, Any]:
        """Create a resource in the project; retry only when OVHcloud certainly made none."""

        def ask() -> Mapping[str, Any]:
            with translated(doing):
                return dict(self._client.post(f"{self._project}{path}", **body))

        def refused(error: ProviderError) -> bool:
            return isinstance(error, BusyRateError)

        return again(ask, passing=refused, first_pause=self._first_retry)

    def delete(self, doing: str, path: str) -> bool:
        """Delete a resource; whether it existed."""

        def ask() -> bool:
            with translated(doing):
                try:
                    self._client.delete(f"{self._project}{path}")
                except ResourceNotFoundError as error:
                    if is_project_missing(error):
                        raise
                    return False
            return True

        return again(ask, passing=_may_pass, first_pause=self._first_retry)

    @property
    def _project(self) -> str:
        if not self._settings.project:
            raise ConfigError(
                "ovh: set providers.ovh.project in materia.toml to the id of your Public Cloud "
                "project (32 hexadecimal digits, shown in the OVHcloud Control Panel)"
            )
        return f"/cloud/project/{self._settings.project}"

    # Finding -------------------------------------------------------------------------------

    def instances(self) -> list[tuple[Owner, Mapping[str, Any]]]:
        """Every instance that materia made, the oldest first."""
        listed = self.entries("the list of instances", "/instance")
        with translated("list instances"):
            found = [
                (owner, body)
                for body in listed
                if (owner := _owner(body)) and body["status"] not in GONE
            ]
            return sorted(found, key=lambda pair: (str(pair[1].get("created")), pair[1]["id"]))

    def named(self, name: str) -> Mapping[str, Any] | None:
        """The instance of that name; the oldest if there are two."""
        return next((body for owner, body in self.instances() if owner.name == name), None)

    def await_named(self, name: str) -> Mapping[str, Any] | None:
        """The instance of that name, once it is listed; None after the settle time."""
        return look_for(lambda: self.named(name), self._settle)

    def find(self, instance: Instance) -> Mapping[str, Any] | None:
        """The API's body of an instance, by its id or else by its name.

        Raises:
            ForeignError: it is not materia's.
        """
        if not instance.id:
            return self.named(instance.name)

        def ask() -> Mapping[str, Any] | None:
            with translated(f"ask for the instance {instance.id}"):
                try:
                    body = dict(self._client.get(f"{self._project}/instance/{instance.id}"))
                except ResourceNotFoundError as error:
                    if is_project_missing(error):
                        raise
                    return None
                if _owner(body) is None:
                    raise ForeignError(f"ovh: the instance {instance.id} is not materia's")
                return None if body["status"] in GONE else body

        return again(ask, passing=_may_pass, first_pause=self._first_retry)

    def ssh_keys(self) -> list[Key]:
        """Every SSH key that materia made."""
        listed = self.entries("the list of SSH keys", "/sshkey")
        with translated("list SSH keys"):
            return [
                Key(id=body["id"], owner=owner, public_key=str(body.get("publicKey")))
                for body in listed
                if (owner := _owner(body))
            ]

    def image(self, region: str) -> str:
        """The id of the configured image in that region.

        Raises:
            CapacityError: only other regions have an image of that name.
            ConfigError: no image has that name.
        """
        wanted = self._settings.image
        images = self.entries("the list of images", "/image", region=region, osType="linux")
        public = [each for each in images if each.get("visibility", "public") == "public"]
        for image in public:
            named = str(image.get("name")).lower() == wanted.lower()
            if named and image.get("region") == region and image.get("id"):
                return str(image["id"])
        known = sorted({str(image.get("name")) for image in public})
        everywhere = self.entries("the list of images", "/image", osType="linux")
        if any(str(image.get("name")).lower() == wanted.lower() for image in everywhere):
            raise CapacityError(f"ovh: {region} does not have the image {wanted}")
        raise ConfigError(
            f"providers.ovh.image is {wanted!r}, which is no public Linux image of {region}; "
            f"choose one of {', '.join(known) or 'none'}"
        )

    def flavor(self, region: str, name: str) -> str:
        """The id of a flavor in that region.

        Raises:
            CapacityError: the region has no flavor of that name.
        """
        flavors = self.entries("the list of flavors", "/flavor", region=region)
        for flavor in _available_first(flavors):
            linux = str(flavor.get("osType", "linux")).lower() == "linux"
            there = flavor.get("name") == name and flavor.get("region") == region
            if there and linux and flavor.get("id"):
                return str(flavor["id"])
        raise CapacityError(f"ovh: {region} no longer has the flavor {name}")

    def instance(
        self, body: Mapping[str, Any], instance_type: str = "", attached: Iterable[Attached] = ()
    ) -> Instance:
        """The API's body as an instance of materia."""
        with translated(f"read the instance {body.get('id')}"):
            owner = _owner(body)
            if owner is None:
                raise ForeignError(f"ovh: the instance {body['id']} is not materia's")
            if not (isinstance(body["status"], str) and isinstance(body["region"], str)):
                raise TypeError(f"the instance {body['id']} has no status or no region")
            flavor = body.get("flavor") or {}
            return Instance(
                provider=PROVIDER,
                id=body["id"],
                name=owner.name,
                run=owner.run,
                stage=owner.stage,
                region=str(body["region"]),
                expires_at=owner.expires_at,
                instance_type=str(flavor.get("name") or instance_type),
                created_at=datetime.fromisoformat(body["created"]),
                host=_public_address(body),
                port=self._settings.ssh_port,
                attached=tuple(dict.fromkeys(attached)),
            )


def _may_pass(error: ProviderError) -> bool:
    return isinstance(error, UnansweredError | BusyRateError)


def _owner(body: Mapping[str, Any]) -> Owner | None:
    """The owner of an instance or a key, or None when it is not materia's, even if malformed.

    Raises:
        ValueError: it is materia's and has no id, or its name is missing.
    """
    identity, name = body.get("id"), body.get("name")
    owner = read_name(name)
    identified = isinstance(identity, str) and identity
    if not isinstance(name, str | None) or (not identified and (owner or not name)):
        raise ValueError(f"an entry with the id {identity!r} has no name, so its owner is unknown")
    return owner


def _available_first(flavors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(flavors, key=lambda flavor: flavor.get("available") is False)


def _public_address(body: Mapping[str, Any]) -> str | None:
    for address in body.get("ipAddresses") or ():
        if address["type"] == "public" and address["version"] == 4:
            return str(address["ip"])
    return None
