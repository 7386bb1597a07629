"""An emulated service as the `World` that ProviderContract runs against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Literal

from materia.errors import CapacityError, CredentialsError, MateriaError, ProviderError
from materia_providers.cloud_init import read_user_data

from materia_testing.contracts.odd_answers import ODD
from materia_testing.contracts.world import Billed
from materia_testing.emulation.faults import Fault
from materia_testing.emulation.service import Behaviour, Service

# The class that each documented error must become, for every provider.
ERRORS: Mapping[str, type[MateriaError]] = {
    "sold_out": CapacityError,
    "quota": CapacityError,
    "unauthorized": CredentialsError,
    "forbidden": CredentialsError,
    "rate_limit": ProviderError,
    "conflict": ProviderError,
    "server_error": ProviderError,
    "bad_gateway": ProviderError,
    "gateway_timeout": ProviderError,
    "not_json": ProviderError,
}
CREDENTIALS = ("unauthorized", "forbidden")


class CloudWorld:
    """One emulated service, started, with foreign resources in it.

    Attributes:
        service: The service itself, for tests that need more than the contract.
        errors: The documented errors, see `World.errors`.
        lacks: Missing faults and abilities, see `World.lacks`: no SSH without machines.
    """

    def __init__(
        self,
        service: Service,
        *,
        slow_seconds: float = 1.5,
        late_seconds: float = 0.5,
        errors: Mapping[str, type[MateriaError]] = ERRORS,
        lacks: Mapping[str, str] | None = None,
    ) -> None:
        """Wrap a started *service*.

        Args:
            service: It must be listening.
            slow_seconds: Delay of a slow answer, by the wall clock: more than the client waits.
            late_seconds: How long lists lack a new instance, by the wall clock.
            errors: The documented errors, see `World.errors`.
            lacks: Missing faults and abilities, beside those of the service itself.
        """
        self.service = service
        self.errors = errors
        silent = {"ssh": "this emulated service was started without machines"}
        self.lacks: Mapping[str, str] = {**(lacks or {}), **({} if service.machines else silent)}
        if type(service).add_look_alike is Service.add_look_alike:
            self.lacks = {**self.lacks, "look_alike": "the API of this service has no labels"}
        self._slow = slow_seconds
        self._late = timedelta(seconds=late_seconds * service.clock.speed)
        self._normal = {field.name: getattr(service.behaviour, field.name) for field in _FIELDS}
        service.add_foreign()

    def requests(self) -> int:
        """The number of requests so far."""
        return self.service.faults.seen

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        """Inject a fault; see `World.inject`."""
        behaviour, faults = self.service.behaviour, self.service.faults
        match fault:
            case "never_boots":
                behaviour.never_boots = True
            case "never_deletes":
                behaviour.never_deletes = True
            case "late_to_list":
                behaviour.invisible = self._late
            case "drop_before" | "drop_after" | "slow":
                spoilt = Fault(slow=self._slow) if fault == "slow" else Fault(drop=_moment(fault))
                faults.at(at or 1, spoilt, lasting=lasting)
            case _ if fault in ODD:
                faults.at(at or 1, Fault(odd=fault), lasting=lasting)
            case _ if at is not None:
                faults.at(at, self._error(fault), lasting=lasting)
            case _ if fault in CREDENTIALS:
                faults.next("*", "*", self._error(fault), times=None)
            case _:
                faults.next(*self.service.create_call, self._error(fault), times=None)

    def heal(self) -> None:
        """Remove every fault; resources stay."""
        self.service.faults.clear()
        for name, value in self._normal.items():
            setattr(self.service.behaviour, name, value)

    def still_billed(self) -> Sequence[Billed]:
        """All resources of materia that still exist."""
        return [
            Billed(
                kind=line.kind,
                id=line.id,
                name=line.name,
                hourly=line.hourly,
                billing=line.billing,
                minimum=line.minimum,
                monthly_cap=line.monthly_cap,
            )
            for line in self.service.still_billed()
        ]

    def foreign(self) -> Sequence[str]:
        """The existing resources that materia did not make."""
        return sorted(f"{line.kind} {line.id}" for line in self.service.still_billed(foreign=True))

    def add_look_alike(self, instance_id: str) -> str:
        """Add a foreign machine with a copy of the labels."""
        return self.service.add_look_alike(instance_id)

    def sell_out(self, instance_type: str) -> None:
        """Leave no stock of a type; see `World.sell_out`."""
        self.service.behaviour.sold_out |= {instance_type}

    def user_data(self, instance_id: str) -> str:
        """The decoded user data of the machine."""
        return self.service.user_data(instance_id)

    def host_key(self, instance_id: str) -> str:
        """The public host key that cloud-init puts on the machine."""
        keys: Any = read_user_data(self.user_data(instance_id))["ssh_keys"]
        return str(keys["ed25519_public"])

    def _error(self, name: str) -> Fault:
        self.service.error(name)  # an unknown name fails here, not at the request
        return Fault(error=name)


_FIELDS = fields(Behaviour)


def _moment(fault: str) -> Literal["before", "after"]:
    return "before" if fault == "drop_before" else "after"
