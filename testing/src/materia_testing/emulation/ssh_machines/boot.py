"""Interface between an emulated instance and its machine: boot and power off.

Without a machine, an instance gets an address that is reserved for documentation (RFC 5737), where
nothing answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Booting:
    """The data of an instance for the boot of its machine.

    Attributes:
        provider: Name of the service.
        id: The service's id of the instance.
        name: The name of the instance, which is the host name.
        user_data: The client's cloud-init user data, decoded; may be empty.
        authorized_keys: Public keys from the API, one line each.
        login: The image's default user, who gets those keys: `root`, `debian`, `ubuntu`, `opc`.
        vcpus: vCPUs of the instance type.
        memory_gib: Memory of the instance type.
        disk_gib: Size of the boot disk.
        boot_seconds: Boot time by the wall clock.
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
    """Boots and halts the machines of instances; the service calls it under its lock."""

    def boot(self, instance: Booting, /) -> str | None:
        """Start the machine and return its address at once, before it answers.

        None means no machine: the instance keeps its documentation address.
        """
        ...

    def halt(self, instance: Booting, /) -> None:
        """Power off the machine and remove its files; an unknown instance is not an error."""
        ...
