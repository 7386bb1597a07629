"""World of the provider contract: the service behind a provider, with faults and leftovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from materia.compute import Billing, Money
from materia.errors import MateriaError

from materia_testing.contracts.odd_answers import ODD

# Faults of a world; one without a fault gives the reason in `lacks`. The first three, and those
# that begin with `odd_`, affect one request.
FAULTS: Mapping[str, str] = {
    "drop_before": "the connection closes before the request has any effect",
    "drop_after": "the request is carried out, and the connection closes before the answer",
    "slow": "the request is carried out, and the answer comes later than any client waits",
    "never_boots": "an instance is created, is billed, and can never be reached",
    "never_deletes": "a delete is accepted and nothing is deleted",
    "late_to_list": "a new instance is missing from every list for a moment, and is billed",
    **ODD,
}

# Abilities of a world without faults; one without an ability gives the reason in `lacks`.
ABILITIES: Mapping[str, str] = {
    "user_data": "an instance is given the user data of its request",
    "ssh": "an instance answers over SSH with the host key of its user data",
    "foreign": "there are resources that materia did not make",
    "sell_out": "a type can be without stock while the others have some",
    "look_alike": "a machine that materia did not make can carry a copy of a worker's labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A resource of materia that still exists.

    Attributes:
        kind: `instance`, `volume`, `address` or `key`; a key is free but must be deleted, too.
        id: The provider's id of it, as in `Instance.id` and `Attached.id`.
        name: The name of its instance, as far as the world knows; may be empty.
        hourly: Its price of one hour, or None when the world does not know it.
        billing: How its time is rounded, or None.
        minimum: The least charge for it, or None.
        monthly_cap: The most that it costs in a month, or None.
    """

    kind: str
    id: str
    name: str = ""
    hourly: Money | None = None
    billing: Billing | None = None
    minimum: Money | None = None
    monthly_cap: Money | None = None


class World(Protocol):
    """The service behind a provider: a fake on this machine, or a real account."""

    @property
    def errors(self) -> Mapping[str, type[MateriaError]]:
        """Documented errors of the service by a name of your own, with the class each must become.

        For example `{"sold_out": CapacityError, "quota": CapacityError, "rate_limit":
        ProviderError, "bad_credentials": CredentialsError, "server_error": ProviderError}`.
        """
        ...

    @property
    def lacks(self) -> Mapping[str, str]:
        """Reasons by missing name of `FAULTS` or `ABILITIES`; the tests of those are skipped."""
        ...

    def requests(self) -> int:
        """The number of requests since the start, refused ones included."""
        ...

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        """Inject a fault: *fault* is a name in `FAULTS` or in `errors`.

        *at* counts requests from now; 1 is the next one. It is always given for `drop_before`,
        `drop_after`, `slow` and the `odd_` faults. Without *at* the service answers an error to the
        request that creates a machine (to every request, for bad credentials), and `never_boots`,
        `never_deletes` and `late_to_list` hold from now on. With *lasting* every request from *at*
        on has the fault: `inject("drop_before", at=3, lasting=True)` simulates a process that dies
        after two requests.
        """
        ...

    def heal(self) -> None:
        """Remove every injected fault; resources stay."""
        ...

    def still_billed(self) -> Sequence[Billed]:
        """All resources of materia that still exist, from the state and not from the API."""
        ...

    def foreign(self) -> Sequence[str]:
        """Sorted ids of existing resources that materia did not make.

        At the start there is at least one machine and one of each other kind, with names and labels
        as close to materia's as possible; all of them must exist at the end.
        """
        ...

    def add_look_alike(self, instance_id: str) -> str:
        """Add a foreign machine with copied labels; return its id.

        The machine and its attachments have the labels of that instance, and names of their own.
        `foreign` then contains them.
        """
        ...

    def sell_out(self, instance_type: str) -> None:
        """Leave no stock of a type, in any region, until `heal`."""
        ...

    def user_data(self, instance_id: str) -> str:
        """The decoded user data of the machine."""
        ...

    def host_key(self, instance_id: str) -> str:
        """The public host key that the machine shows over SSH, as `ssh-ed25519 AAAA...`."""
        ...
