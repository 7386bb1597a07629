"""The project behind the credentials: what of it is materia's, told as materia's values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ovh  # type: ignore[import-untyped]  # the SDK has no types
import ovh.client  # type: ignore[import-untyped]  # as above
from materia.errors import ConfigError, ProviderError
from materia.http_environment import check_requests
from materia.machines import Attached, Instance
from materia.marks import Mark
from materia.polling import poll
from materia.removal import ForeignError
from ovh.exceptions import ResourceNotFoundError  # type: ignore[import-untyped]  # as above

from materia_ovh.credentials import Credentials
from materia_ovh.names import read_name
from materia_ovh.offers import PROVIDER
from materia_ovh.problems import translated
from materia_ovh.settings import Settings

GONE = frozenset({"DELETED", "SOFT_DELETED"})


def open_client(
    credentials: Credentials, settings: Settings, *, request_timeout: timedelta
) -> ovh.Client:
    """The SDK's client.

    It takes no address, only names of a table, so ours is added under itself. No section of an
    ovh.conf has that name, so nothing is read from there.

    Raises:
        VariableError: a variable for proxies or certificates cannot be used.
    """
    check_requests(settings.api_url, os.environ)
    ovh.client.ENDPOINTS.setdefault(settings.api_url, settings.api_url)
    with translated("open the API"):
        return ovh.Client(
            endpoint=settings.api_url,
            application_key=credentials.application_key,
            application_secret=credentials.application_secret,
            consumer_key=credentials.consumer_key,
            timeout=request_timeout.total_seconds(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An SSH key that materia made."""

    id: str
    mark: Mark
    public_key: str


class Account:
    """What materia has in one project. Every method asks the API."""

    def __init__(self, client: ovh.Client, settings: Settings, *, settle: timedelta) -> None:
        """Look through *client*; a new instance may be missing from answers for *settle*."""
        self._client = client
        self._settings = settings
        self._settle = settle

    # Asking --------------------------------------------------------------------------------

    def get(self, what: str, path: str, **query: object) -> Any:
        """A list or an object of the project."""
        with translated(f"read {what}"):
            return self._client.get(f"{self._project}{path}", **query)

    def post(self, doing: str, path: str, **body: object) -> Mapping[str, Any]:
        """Make something in the project."""
        with translated(doing):
            return dict(self._client.post(f"{self._project}{path}", **body))

    def delete(self, doing: str, path: str) -> bool:
        """Delete something; whether it was there."""
        with translated(doing):
            try:
                self._client.delete(f"{self._project}{path}")
            except ResourceNotFoundError:
                return False
        return True

    @property
    def _project(self) -> str:
        if not self._settings.project:
            raise ConfigError(
                "ovh: set providers.ovh.project in materia.toml to the id of your Public Cloud "
                "project (32 hexadecimal digits, shown in the OVHcloud Control Panel)"
            )
        return f"/cloud/project/{self._settings.project}"

    # Finding -------------------------------------------------------------------------------

    def instances(self) -> list[tuple[Mark, Mapping[str, Any]]]:
        """Every instance that materia made, the oldest first."""
        with translated("list instances"):
            found = [
                (mark, body)
                for body in self.get("the list of instances", "/instance")
                if (mark := read_name(body["name"])) and body["status"] not in GONE
            ]
            return sorted(found, key=lambda pair: (pair[1]["created"], pair[1]["id"]))

    def named(self, name: str) -> Mapping[str, Any] | None:
        """The instance of that name; the oldest, should there be two."""
        return next((body for mark, body in self.instances() if mark.name == name), None)

    def await_named(self, name: str) -> Mapping[str, Any] | None:
        """The instance of that name, if it appears while it may still be late."""
        for _ in poll(self._settle):
            if body := self.named(name):
                return body
        return None

    def find(self, instance: Instance) -> Mapping[str, Any] | None:
        """What the API says of an instance, by its id or else by its name.

        Raises:
            ForeignError: it is not materia's.
        """
        if not instance.id:
            return self.named(instance.name)
        with translated(f"ask for the instance {instance.id}"):
            try:
                body = self._client.get(f"{self._project}/instance/{instance.id}")
            except ResourceNotFoundError:
                return None
            if body["status"] in GONE:
                return None
            if read_name(body["name"]) is None:
                raise ForeignError(f"ovh: the instance {instance.id} is not materia's")
        return dict(body)

    def ssh_keys(self) -> list[Key]:
        """Every SSH key that materia made."""
        with translated("list SSH keys"):
            return [
                Key(id=body["id"], mark=mark, public_key=body["publicKey"])
                for body in self.get("the list of SSH keys", "/sshkey")
                if (mark := read_name(body["name"]))
            ]

    def image(self, region: str) -> str:
        """The id of the settings' image in that region.

        Raises:
            ConfigError: there is none of that name.
        """
        wanted = self._settings.image
        with translated(f"find the image {wanted} in {region}"):
            images = self.get("the list of images", "/image", region=region, osType="linux")
            public = [each for each in images if each.get("visibility", "public") == "public"]
            for image in public:
                if image["name"].lower() == wanted.lower() and image["region"] == region:
                    return str(image["id"])
            known = sorted({str(image["name"]) for image in public})
        raise ConfigError(
            f"providers.ovh.image must be a public Linux image of {region}, is {wanted!r}; "
            f"there are {', '.join(known) or 'none'}"
        )

    def flavor(self, region: str, name: str) -> str:
        """The id of a flavor in that region.

        Raises:
            ProviderError: the region has none of that name.
        """
        with translated(f"find the flavor {name} in {region}"):
            flavors = self.get("the list of flavors", "/flavor", region=region)
            for flavor in _available_first(flavors):
                linux = str(flavor.get("osType", "linux")).lower() == "linux"
                if flavor["name"] == name and flavor["region"] == region and linux:
                    return str(flavor["id"])
        raise ProviderError(f"ovh: {region} has no flavor {name}; ask for prices again")

    def instance(
        self, body: Mapping[str, Any], instance_type: str = "", attached: Iterable[Attached] = ()
    ) -> Instance:
        """An instance of the API as a value."""
        with translated(f"read the instance {body.get('id')}"):
            mark = read_name(body["name"])
            if mark is None:
                raise ForeignError(f"ovh: the instance {body['id']} is not materia's")
            flavor = body.get("flavor") or {}
            return Instance(
                provider=PROVIDER,
                id=str(body["id"]),
                name=mark.name,
                run=mark.run,
                stage=mark.stage,
                region=str(body["region"]),
                expires_at=mark.expires_at,
                instance_type=str(flavor.get("name") or instance_type),
                created_at=datetime.fromisoformat(body["created"]),
                host=_public_address(body),
                port=self._settings.ssh_port,
                attached=tuple(dict.fromkeys(attached)),
            )


def _available_first(flavors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(flavors, key=lambda flavor: flavor.get("available") is False)


def _public_address(body: Mapping[str, Any]) -> str | None:
    for address in body.get("ipAddresses") or ():
        if address["type"] == "public" and address["version"] == 4:
            return str(address["ip"])
    return None
