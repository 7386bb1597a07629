"""Where a real machine can stand behind an emulated instance.

Without one, instances get addresses that are reserved for documentation (RFC 5737) and nothing
answers there.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Booting:
    """An instance as its machine sees it when the power comes on.

    Attributes:
        provider: Name of the service.
        id: The service's own identity of the instance.
        name: As it was created; the host name.
        user_data: What the client sent as cloud-init user data, decoded; may be empty.
        authorized_keys: Public keys given through the API, one line each.
        login: The image's own user, who gets those keys: `root`, `debian`, `ubuntu`, `opc`.
        vcpus: Of the instance type.
        memory_gib: Of the instance type.
        disk_gib: Of the boot disk.
        boot_seconds: By the wall clock, until the machine may answer.
    """

    provider: str
    id: str
    name: str
    user_data: str = ""
    authorized_keys: tuple[str, ...] = ()
    login: str = "root"
    vcpus: int = 1
    memory_gib: Decimal = Decimal(1)
    disk_gib: int = 10
    boot_seconds: float = 0.0


class Machines(Protocol):
    """Boots and halts what stands behind the instances. Called under the service's lock."""

    def boot(self, instance: Booting, /) -> str | None:
        """Start the machine and return its address at once, before it answers.

        None: there is no machine, and the instance keeps its documentation address.
        """
        ...

    def halt(self, instance: Booting, /) -> None:
        """Take the power away and remove everything; an unknown instance is not an error."""
        ...
