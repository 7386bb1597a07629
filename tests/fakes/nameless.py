"""A cloud where names are not unique and tags have no values, and a provider for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from materia import Billing, CapacityError, InstanceRequest, Money, Offer, Requirements
from materia.errors import ProviderError
from materia_providers.api.client import JsonApi, Refusal
from materia_providers.api.machines import ApiProvider, Machine, Mark
from materia_providers.api_errors import TakenError
from materia_providers.labels import Owner, entry_owner, from_tags, to_tags
from materia_providers.list_entries import amount_in, whole, word
from materia_testing.emulation import (
    Answer,
    BadBody,
    Booting,
    Metered,
    Request,
    Service,
    route,
)
from materia_testing.emulation import (
    Refusal as Refused,
)

Entry = dict[str, Any]
SECONDS = Billing(increment=timedelta(seconds=1), minimum=timedelta(minutes=1))
LEAST = Money(Decimal("0.01"), "USD")
HOUR = "0.02976"


def meaning(status: int, body: Any) -> Refusal | None:
    identity = body.get("id") if isinstance(body, dict) else None
    kinds: dict[Any, Refusal] = {"sold_out": CapacityError, "quota": CapacityError}
    return TakenError if identity == "in_use" and status == 422 else kinds.get(identity)


class Nameless(ApiProvider[Entry]):
    provider = "nameless"
    console = "https://nameless.example/"

    def __init__(
        self, token: str, *, url: str, timeout: timedelta, patience: timedelta, settle: timedelta
    ) -> None:
        super().__init__(patience=patience, settle=settle)
        self.api_url = url
        self._api = JsonApi(
            self.provider,
            url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            meaning=meaning,
            remedy="check NAMELESS_TOKEN",
        )

    def types(self, requirements: Requirements) -> Iterable[tuple[str, Entry]]:
        return [(str(one.get("slug")), one) for one in self._list("/sizes", "sizes")]

    def offer(self, entry: Entry, now: datetime) -> Offer:
        return Offer(
            provider=self.provider,
            region="ams",
            instance_type=word(entry["slug"], "slug"),
            vcpus=whole(entry["vcpus"], "vcpus"),
            cpu="shared",
            architecture="x86_64",
            memory_gib=Decimal(whole(entry["memory"], "memory")) / 1024,
            disk_gib=whole(entry["disk"], "disk"),
            hourly=Money(amount_in(entry["price"], "price"), "USD"),
            minimum=LEAST,
            billing=SECONDS,
            availability="available" if entry["available"] else "unavailable",
            price_as_of=now,
            price_source=f"{self.api_url}/sizes",
        )

    def entries(self) -> Iterable[Entry]:
        return self._list("/droplets", "droplets")

    def owner(self, entry: Entry) -> Owner | None:
        return entry_owner(entry.get("id"), from_tags(entry.get("tags")), named=entry.get("name"))

    def machine(self, entry: Entry) -> Machine:
        return Machine(
            id=str(whole(entry["id"], "id")),
            region=word(entry["region"], "region"),
            instance_type=word(entry["size"], "size"),
            created_at=datetime.fromisoformat(entry["created_at"]),
            state=word(entry["status"], "status"),
            host=word(entry["ip"], "address") if entry["status"] == "active" else None,
            going=entry["status"] == "archive",
        )

    def find(self, identity: str) -> Entry | None:
        answer = self._api.ask("GET", f"/droplets/{identity}")
        return None if answer is None else answer["droplet"]

    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> Entry:
        wanted = {
            "name": request.name,
            "size": request.offer.instance_type,
            "tags": to_tags(labels),
            "user_data": request.user_data,
        }
        answer: Entry = (self._api.ask("POST", "/droplets", wanted) or {})["droplet"]
        return answer

    def delete(self, identity: str) -> bool:
        return self._api.ask("DELETE", f"/droplets/{identity}") is not None

    def marks(self) -> Iterable[Mark]:
        for key in self._list("/keys", "keys"):
            # A key has a name and no tags, so its name has the labels.
            name = key.get("name")
            labels = from_tags(name.split(" ") if isinstance(name, str) else name)
            if (owner := entry_owner(key.get("id"), labels)) is not None:
                yield Mark(id=str(key["id"]), owner=owner)

    def add_mark(self, request: InstanceRequest, owner: Owner) -> None:
        name = " ".join(to_tags(owner.labels()))
        self._api.ask("POST", "/keys", {"name": name, "public_key": request.public_key})

    def delete_mark(self, mark: Mark) -> None:
        self._api.ask("DELETE", f"/keys/{mark.id}")

    def _list(self, path: str, key: str) -> list[Entry]:
        answer = self._api.ask("GET", path)
        entries = answer.get(key) if answer else None
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ProviderError(f"nameless: the list of {key} cannot be read")
        return entries


@dataclass(slots=True)
class Droplet:
    id: int
    name: str
    size: str
    tags: list[str]
    user_data: str
    created: datetime
    address: str
    gone_at: datetime | None = None


def error(status: int, identity: str) -> Answer:
    return Answer(status=status, body={"id": identity, "message": "for tests"})


class NamelessCloud(Service):
    provider = "nameless"
    create_call = ("POST", "/droplets")
    delete_call = ("DELETE", "/droplets/*")
    list_call = ("GET", "/droplets")
    offers_call = ("GET", "/sizes")
    errors: ClassVar[Mapping[str, Answer]] = {
        "sold_out": error(422, "sold_out"),
        "quota": error(422, "quota"),
        "conflict": error(409, "conflict"),
        "rate_limit": error(429, "too_many_requests"),
        "unauthorized": error(401, "unauthorized"),
        "forbidden": error(403, "forbidden"),
        "not_found": error(404, "not_found"),
        "server_error": error(500, "server_error"),
    }

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._droplets: dict[int, Droplet] = {}
        self._keys: dict[int, tuple[str, str]] = {}

    def secrets(self) -> dict[str, str]:
        return {"NAMELESS_TOKEN": "secret"}

    def settings(self) -> dict[str, object]:
        return {"url": self.url}

    def authenticate(self, request: Request) -> Answer | None:
        good = request.headers.get("authorization") == "Bearer secret"
        return None if good else self.errors["unauthorized"]

    def no_route(self, request: Request) -> Answer:
        return self.errors["not_found"]

    def bad_body(self, request: Request, bad: BadBody) -> Answer:
        return error(422, f"{bad.field} {bad.reason}")

    def add_foreign(self) -> None:
        with self.lock:
            self._add("materia-of-somebody-else", "s-2", ["materia-run:mine"], "", foreign=True)
            self._add_key("materia-run:mine", "ssh-ed25519 AAAA", foreign=True)

    def add_look_alike(self, identity: str) -> str:
        with self.lock:
            tags = [*self._droplets[int(identity)].tags]
            return str(self._add("precious-db", "s-2", tags, "", foreign=True).id)

    def user_data(self, identity: str) -> str:
        return self._droplets[int(identity)].user_data

    def collect(self) -> None:
        for one in [*self._droplets.values()]:
            if one.gone_at is not None and one.gone_at <= self.now():
                del self._droplets[one.id]

    @route("GET", "/sizes")
    def sizes(self, request: Request) -> Answer:
        there = "s-2" not in self.behaviour.sold_out
        size = {"slug": "s-2", "vcpus": 2, "memory": 4096, "disk": 80, "price": HOUR}
        return Answer(body={"sizes": [{**size, "available": there}]})

    @route("GET", "/droplets")
    def droplets(self, request: Request) -> Answer:
        return Answer(body={"droplets": [self._body(one) for one in self._listed()]})

    @route("GET", "/droplets/{id}")
    def droplet(self, request: Request, id: str) -> Answer:  # noqa: A002 -- as in the path
        found = [one for one in self._listed() if str(one.id) == id]
        body = {"droplet": self._body(found[0])} if found else None
        return Answer(body=body) if body else self.errors["not_found"]

    @route("POST", "/droplets")
    def create(self, request: Request) -> Answer:
        size = request.field("size", str)
        if size in self.behaviour.sold_out:
            raise Refused(self.errors["sold_out"])
        made = self._add(
            request.field("name", str),
            size,
            request.field("tags", list),
            request.field("user_data", str),
        )
        return Answer(status=202, body={"droplet": self._body(made)})

    @route("DELETE", "/droplets/{id}")
    def delete(self, request: Request, id: str) -> Answer:  # noqa: A002 -- as in the path
        one = self._droplets.get(int(id))
        if one is None:
            return self.errors["not_found"]
        if one.gone_at is None and not self.behaviour.never_deletes:
            one.gone_at = self.now() + self.behaviour.delete
            self.meter.stop("instance", str(one.id), one.gone_at)
            self.power_off(_booting(one))
        return Answer(status=204, body=None)

    @route("GET", "/keys")
    def keys(self, request: Request) -> Answer:
        keys = [{"id": one, "name": name} for one, (name, _) in self._keys.items()]
        return Answer(body={"keys": keys})

    @route("POST", "/keys")
    def add_key(self, request: Request) -> Answer:
        name, key = request.field("name", str), request.field("public_key", str)
        if name in {other for other, _ in self._keys.values()}:
            raise Refused(error(422, "in_use"))
        return Answer(status=201, body={"key": {"id": self._add_key(name, key), "name": name}})

    @route("DELETE", "/keys/{id}")
    def delete_key(self, request: Request, id: str) -> Answer:  # noqa: A002 -- as in the path
        if self._keys.pop(int(id), None) is None:
            return self.errors["not_found"]
        self.meter.stop("key", id, self.now())
        return Answer(status=204, body=None)

    def _listed(self) -> list[Droplet]:
        late = self.behaviour.invisible
        return [one for one in self._droplets.values() if self.now() >= one.created + late]

    def _body(self, one: Droplet) -> dict[str, object]:
        booted = self.now() >= one.created + self.behaviour.boot
        state = "active" if booted and not self.behaviour.never_boots else "new"
        return {
            "id": one.id,
            "name": one.name,
            "size": one.size,
            "region": "ams",
            "tags": one.tags,
            "created_at": one.created.isoformat(),
            "ip": one.address,
            "status": state if one.gone_at is None else "archive",
        }

    def _add(
        self, name: str, size: str, tags: list[str], user_data: str, *, foreign: bool = False
    ) -> Droplet:
        address = self.documentation_address()
        one = Droplet(self.number(), name, size, tags, user_data, self.now(), address)
        one.address = self.power_on(_booting(one)) or one.address
        self._droplets[one.id] = one
        self._metered("instance", one.id, name, HOUR, LEAST, foreign=foreign)
        return one

    def _add_key(self, name: str, key: str, *, foreign: bool = False) -> int:
        number = self.number()
        self._keys[number] = name, key
        self._metered("key", number, name, "0", None, foreign=foreign)
        return number

    def _metered(
        self,
        kind: str,
        identity: int,
        name: str,
        hourly: str,
        minimum: Money | None,
        *,
        foreign: bool,
    ) -> None:
        self.meter.start(
            Metered(
                kind=kind,
                id=str(identity),
                name=name,
                region="ams",
                hourly=Money(Decimal(hourly), "USD"),
                billing=SECONDS,
                minimum=minimum,
                started_at=self.now(),
                foreign=foreign,
            )
        )


def _booting(one: Droplet) -> Booting:
    return Booting(provider="nameless", id=str(one.id), name=one.name, user_data=one.user_data)
