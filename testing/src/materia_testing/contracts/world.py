"""The far end of a provider, as the tests of its promises see it: it counts, fails, remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from materia.errors import MateriaError

from materia_testing.contracts.odd_answers import ODD

# Faults that every world either has or says why it lacks. The first three, and those that begin
# with `odd_`, meet one request.
FAULTS: Mapping[str, str] = {
    "drop_before": "the connection closes before the request has any effect",
    "drop_after": "the request is carried out, and the connection closes before the answer",
    "slow": "the request is carried out, and the answer comes later than any client waits",
    "never_boots": "an instance is created, is billed, and can never be reached",
    "never_deletes": "a delete is accepted and nothing is deleted",
    "late_to_list": "a new instance is missing from every list for a moment, and is billed",
    **ODD,
}

# What a world can do when nothing is wrong; one that cannot says why, in the same way.
ABILITIES: Mapping[str, str] = {
    "user_data": "an instance is given the user data of its request",
    "ssh": "an instance answers over SSH with the host key of its user data",
    "foreign": "there are things that materia did not make",
    "look_alike": "a machine that materia did not make can carry a copy of a worker's labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """Something of ours that is still there.

    Attributes:
        kind: `instance`, `volume`, `address` or `key`; a key costs nothing and still has to go.
        id: The provider's own identity of it, as in `Instance.id` and `Attached.id`.
        name: Of the instance it is or was made for, as far as the world knows; may be empty.
    """

    kind: str
    id: str
    name: str = ""


class World(Protocol):
    """The far end of a provider: a fake service on this machine, or a real account."""

    @property
    def errors(self) -> Mapping[str, type[MateriaError]]:
        """Errors the service documents, by a name of your own: the class each must become.

        For example `{"sold_out": CapacityError, "quota": CapacityError, "rate_limit":
        ProviderError, "bad_credentials": CredentialsError, "server_error": ProviderError}`.
        """
        ...

    @property
    def lacks(self) -> Mapping[str, str]:
        """Why this world lacks one of `FAULTS` or `ABILITIES`, by name; its tests are skipped."""
        ...

    def requests(self) -> int:
        """How many requests have arrived since the world was made, refused ones included."""
        ...

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        """Fail on purpose: *fault* is a name of `FAULTS` or of `errors`.

        *at* counts requests from now, 1 being the next one; it is always given for `drop_before`,
        `drop_after`, `slow` and the odd ones. Without it an error is what the service answers to
        the request that creates a machine (to every request, for bad credentials), and
        `never_boots`, `never_deletes` and `late_to_list` hold from now on. With *lasting* every
        request from *at* on meets the fault: `inject("drop_before", at=3, lasting=True)` is how a
        process that dies after two requests looks from here.
        """
        ...

    def heal(self) -> None:
        """Forget every fault that was injected; whatever exists stays."""
        ...

    def still_billed(self) -> Sequence[Billed]:
        """Everything that materia made and that is not gone, asked of the state, not of the API."""
        ...

    def foreign(self) -> Sequence[str]:
        """Identities of things that materia did not make and that are there, sorted.

        At the start at least one machine and one of each other kind, with names and labels as
        near to ours as a stranger's can be; they must all be there at the end.
        """
        ...

    def add_look_alike(self, instance_id: str) -> str:
        """Put a machine there that materia did not make, and what hangs on a machine; its identity.

        All of it has the labels of that instance, as somebody copied them, and names of their own.
        From then on `foreign` has them.
        """
        ...

    def user_data(self, instance_id: str) -> str:
        """The user data that the machine was given, decoded."""
        ...

    def host_key(self, instance_id: str) -> str:
        """The public host key that the machine shows over SSH, as `ssh-ed25519 AAAA...`."""
        ...
