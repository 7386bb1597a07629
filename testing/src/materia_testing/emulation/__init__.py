"""Cloud emulator: four providers' APIs as stateful HTTP servers on this machine.

They implement enough of the published APIs for the official SDKs, check credentials as the real
ones do, change states with delays, meter the bill, and inject faults:

    with Hetzner(clock=Clock(speed=100)) as hetzner:
        opening = Opening(secrets=hetzner.secrets(), settings=hetzner.settings(), ...)
        provider = open_hetzner(opening)
        hetzner.faults.next(*hetzner.create_call, Fault(error="sold_out"))
        ...
        assert hetzner.still_billed() == []

Each service is in the module of its provider's name (`materia_hetzner.emulator.service.Hetzner`); a
service of your own is a subclass of `Service` with `@route`s. `world.CloudWorld` puts one behind
ProviderContract, and `machine.SshMachines` puts a real SSH server behind each instance. By hand:
`materia emulator`. Nothing here needs pytest.
"""

from __future__ import annotations

from materia_testing.emulation.clock import Clock
from materia_testing.emulation.exchange import (
    GATEWAY_ERRORS,
    Answer,
    BadBody,
    Exchange,
    Refusal,
    Request,
    route,
)
from materia_testing.emulation.faults import Fault, Faults
from materia_testing.emulation.meter import Meter, Metered
from materia_testing.emulation.service import Behaviour, Service
from materia_testing.emulation.ssh_machines.boot import Booting, Machines

__all__ = [
    "GATEWAY_ERRORS",
    "Answer",
    "BadBody",
    "Behaviour",
    "Booting",
    "Clock",
    "Exchange",
    "Fault",
    "Faults",
    "Machines",
    "Meter",
    "Metered",
    "Refusal",
    "Request",
    "Service",
    "route",
]
