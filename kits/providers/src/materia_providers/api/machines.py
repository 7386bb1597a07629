"""Base class of a provider: offers, create, list, wait and destroy over a few requests of an API.

A subclass writes the requests and reads the answers; this class keeps the promises of
`materia.protocols.Provider`: labels, adoption by name, undoing a create that fails, polling, and
teardown until the provider confirms it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Generic, TypeVar

from materia.compute import Attached, Instance, InstanceRequest, Offer, Requirements
from materia.errors import (
    CapacityError,
    ConfigError,
    CredentialsError,
    Made,
    MateriaError,
    NoOfferError,
    ProviderError,
)

from materia_providers.api_errors import NothingMadeError, TakenError, UnansweredError
from materia_providers.clock import read_date_header
from materia_providers.cloud_init import check_size
from materia_providers.labels import Owner, owner_of
from materia_providers.list_entries import ODD, Entries, LeftOut, reason_of
from materia_providers.polling import Boot, await_boot, look_for
from materia_providers.teardown import ForeignError, leaving_nothing, leftover, remove

__all__ = ["ApiProvider", "Machine", "Mark"]

E = TypeVar("E")  # an entry of an answer, as the API has it
# After these nothing was made, so nothing can appear later.
SURE = (CapacityError, CredentialsError, ForeignError, NothingMadeError, TakenError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, as an entry of the API describes it.

    Attributes:
        id: The provider's id.
        region: The provider's name of the region.
        instance_type: The provider's name of the instance type.
        created_at: When it was created, in UTC.
        state: The provider's name of its state, for messages.
        host: Its address, once it runs and has one; otherwise None.
        going: Whether the provider is deleting it already.
        failed: Whether the provider says that it will never run.
    """

    id: str
    region: str
    instance_type: str
    created_at: datetime
    state: str
    host: str | None = None
    going: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something free that a create makes before its machine, where names are not unique.

    Its own name or content must be unique for the machine, so that a second one is refused.

    Attributes:
        id: The provider's id.
        owner: Whose it is: `labels.entry_owner` reads it from the id and the labels.
        kind: `key` or `address`.
    """

    id: str
    owner: Owner
    kind: str = "key"


class ApiProvider(ABC, Generic[E]):
    """The methods of `materia.protocols.Provider` for an API whose machines bring all with them.

    Where two machines may have one name, a subclass also writes `marks`, `add_mark` and
    `delete_mark`: the SSH key of a worker, for example, which is made before its machine. A create
    that finds the mark of an earlier one waits for its machine and never makes a second.
    """

    provider: ClassVar[str]
    """Name of the plugin."""
    console: ClassVar[str]
    """Address where a person can delete machines by hand."""
    api_url: str
    """Address whose Date header is the provider's clock."""
    user_data_limit_bytes: ClassVar[int] = 64 * 1024

    def __init__(
        self,
        *,
        patience: timedelta = timedelta(minutes=5),
        settle: timedelta = timedelta(seconds=10),
    ) -> None:
        """Retry a deletion for *patience*; a new machine is visible within *settle*."""
        self._patience = patience
        self._settle = settle

    @abstractmethod
    def types(self, requirements: Requirements) -> Iterable[tuple[str, E]]:
        """Every instance type of every region: a name for messages, and its entry."""

    @abstractmethod
    def offer(self, entry: E, now: datetime) -> Offer:
        """Read an offer; `list_entries.amount` and others refuse impossible values."""

    @abstractmethod
    def entries(self) -> Iterable[E]:
        """Every machine of the account in every region, from every page of the list."""

    @abstractmethod
    def owner(self, entry: E) -> Owner | None:
        """Read whose machine it is: `entry_owner` of its id, its labels and its name, as they are.

        The entry may be a stranger's, and odd: take nothing in it for granted.
        """

    @abstractmethod
    def machine(self, entry: E) -> Machine:
        """Read a machine of materia; a KeyError, TypeError or ValueError is an odd answer."""

    @abstractmethod
    def find(self, identity: str) -> E | None:
        """The machine of that id, or None."""

    @abstractmethod
    def make(self, request: InstanceRequest, labels: Mapping[str, str]) -> E:
        """Send the one request that creates a machine, and return its entry.

        Raises:
            TakenError: there is a machine of that name already.
        """

    @abstractmethod
    def delete(self, identity: str) -> bool:
        """Ask for the deletion of a machine; False when there is none of that id."""

    def marks(self) -> Iterable[Mark]:
        """The marks of materia in the account; none where names are unique."""
        return ()

    def add_mark(self, request: InstanceRequest, owner: Owner) -> None:
        """Make the mark of a create; nothing where names are unique.

        Raises:
            TakenError: it exists, since another process creates the same machine.
        """

    def delete_mark(self, mark: Mark) -> None:
        """Delete a mark; one that is gone is not an error."""
        raise NotImplementedError(f"{self.provider} makes marks and cannot delete them")

    def clock(self) -> datetime | None:
        """The time of the API, or None while it does not answer."""
        return read_date_header(self.api_url)

    def offers(self, requirements: Requirements, /) -> Sequence[Offer]:
        """Every offer that can be read; the others are named in `left_out`."""
        now, left = datetime.now(UTC), LeftOut(self.provider)
        found = []
        for name, entry in self.types(requirements):
            with left.entry(name):
                found.append(self.offer(entry, now))
        if not found:
            lines = [f"{self.provider}: the price list has no machine that can be read"]
            raise NoOfferError("; ".join([*lines, *left.lines()]))
        return Entries(found, left.lines())

    def create_instance(self, request: InstanceRequest, /) -> Instance:
        """Create an instance of that name, or adopt the one that exists."""
        check_size(
            request.user_data, provider=self.provider, limit_bytes=self.user_data_limit_bytes
        )
        found = self._named(request.name)
        if found is not None and found.going:
            self.destroy_instance(self._instance(found, owner_of(request)))
            found = None
        if found is None:
            marks = self._marks_of(request.name)
            if marks:  # of an earlier create, whose machine may not be listed yet
                found = self._late(request.name)
            if found is None:
                for mark in marks:
                    self.delete_mark(mark)
        if found is not None:
            return self._instance(found, owner_of(request))

        def undo(error: BaseException) -> Made:
            left = leftover(owner_of(request), provider=self.provider, region=request.offer.region)
            return "machine" if self._remove(left, late=not isinstance(error, SURE)) else ""

        with leaving_nothing(f"{self.provider}: cannot create {request.name}", undo):
            return self._made(request)

    def list_instances(self) -> Sequence[Instance]:
        """Every instance of materia, and every mark whose instance is gone."""
        left = LeftOut(self.provider)
        machines = self._own(left)
        marks = self._marks()
        found = [
            self._instance(one, owner, [mark for mark in marks if mark.owner.name == owner.name])
            for owner, one in machines
        ]
        names = {owner.name for owner, _ in machines}
        for name in dict.fromkeys(mark.owner.name for mark in marks):
            # A machine that was left out may be the one of this mark.
            if name not in names and not left:
                own = [mark for mark in marks if mark.owner.name == name]
                rest = leftover(own[0].owner, provider=self.provider)
                found.append(replace(rest, attached=tuple(map(_attached, own))))
        return Entries(found, left.lines())

    def wait_for_ssh(self, instance: Instance, /, *, timeout: timedelta) -> Instance:
        """The instance with its address, once it runs and its SSH port answers."""

        def look() -> Boot | None:
            entry = self.find(instance.id)
            if entry is None:
                return None
            machine = self.machine(entry)
            failure = None
            if machine.failed:
                failure = CapacityError(
                    f"{self.provider}: {instance.name} in {instance.region} could not be built "
                    f"({machine.state}); materia destroyed it"
                )
            return Boot(state=machine.state, host=machine.host, failure=failure)

        what = f"{self.provider}: {instance.name} (id {instance.id})"
        try:
            boot = await_boot(what, look, timeout=timeout, settle=self._settle)
        except CapacityError:
            self.destroy_instance(instance)
            raise
        return replace(instance, host=boot.host, port=boot.port)

    def destroy_instance(self, instance: Instance, /) -> None:
        """Delete the instance and its marks; return when the provider says that all are gone."""
        self._remove(instance, late=not instance.id and bool(instance.attached))

    def _made(self, request: InstanceRequest) -> Instance:
        owner = owner_of(request)
        try:
            self._mark(request, owner)
            entry = self.make(request, owner.labels())
            machine = self.machine(entry)
            if self.owner(entry) != owner:
                raise UnansweredError(
                    f"{self.provider}: cannot create {request.name}: the answer is about another "
                    "machine, or has other labels"
                )
        except (CapacityError, ConfigError, CredentialsError, ForeignError):
            raise
        except NothingMadeError:
            raise
        except (ProviderError, *ODD) as error:
            # The name is taken, or the answer is lost or odd: the machine may exist all the same.
            if found := self._late(request.name):
                return self._instance(found, owner)
            if isinstance(error, TakenError):
                raise
            raise NothingMadeError(_sentence(self.provider, request.name, error)) from error
        return self._instance(machine, owner)

    def _mark(self, request: InstanceRequest, owner: Owner) -> None:
        try:
            self.add_mark(request, owner)
        except UnansweredError:
            if not self._marks_of(request.name):
                self.add_mark(request, owner)

    def _own(self, left: LeftOut | None = None) -> list[tuple[Owner, Machine]]:
        """The machines of materia; an entry that cannot be read goes to *left*, or is an error."""
        found = []
        for entry in self.entries():
            try:
                if (owner := self.owner(entry)) is not None:
                    found.append((owner, self.machine(entry)))
            except ODD as error:
                if left is None:
                    raise UnansweredError(
                        f"{self.provider}: an entry of the list of machines cannot be read: "
                        f"{reason_of(error)}"
                    ) from error
                left.add("a machine", reason_of(error))
        return found

    def _named(self, name: str) -> Machine | None:
        return next((one for owner, one in self._own() if owner.name == name), None)

    def _late(self, name: str) -> Machine | None:
        """A machine of that name, which may not be listed yet."""
        return look_for(lambda: self._named(name), self._settle)

    def _marks(self) -> list[Mark]:
        try:
            return list(self.marks())
        except ODD as error:
            raise UnansweredError(
                f"{self.provider}: the list of keys or addresses cannot be read: {reason_of(error)}"
            ) from error

    def _marks_of(self, name: str) -> list[Mark]:
        return [mark for mark in self._marks() if mark.owner.name == name]

    def _remove(self, instance: Instance, *, late: bool) -> bool:
        def delete_pass() -> list[str]:
            entry = self.find(instance.id) if instance.id else None
            if entry is not None:
                owner = self.owner(entry)
                if owner is None or owner.name != instance.name:
                    raise ForeignError(
                        f"{self.provider}: the machine {instance.id} is not materia's, or another"
                    )
            machine = self._named(instance.name) if entry is None else self.machine(entry)
            if machine is not None:
                if not machine.going:
                    self.delete(machine.id)
                return [f"the machine {machine.id} ({instance.name}) in {machine.region}"]
            if instance.id and self.delete(instance.id):  # one that is in no answer yet
                return [f"the machine {instance.id} ({instance.name})"]
            for mark in self._marks_of(instance.name):
                self.delete_mark(mark)
            return []

        return remove(
            instance,
            delete_pass,
            console=self.console,
            patience=self._patience,
            await_late=(lambda: self._late(instance.name)) if late else None,
        )

    def _instance(self, machine: Machine, owner: Owner, marks: Sequence[Mark] = ()) -> Instance:
        return Instance(
            provider=self.provider,
            id=machine.id,
            name=owner.name,
            run=owner.run,
            stage=owner.stage,
            region=machine.region,
            expires_at=owner.expires_at,
            instance_type=machine.instance_type,
            created_at=machine.created_at,
            host=machine.host,
            attached=tuple(map(_attached, marks)),
        )


def _attached(mark: Mark) -> Attached:
    return Attached(kind=mark.kind, id=mark.id, region="")


def _sentence(provider: str, name: str, error: Exception) -> str:
    if isinstance(error, MateriaError):
        return str(error)
    return f"{provider}: cannot create {name}: {reason_of(error)}"
