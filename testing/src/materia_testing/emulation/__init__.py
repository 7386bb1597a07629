"""Cloud emulator: the engine of a provider's API as a stateful HTTP server on this machine.

An emulated cloud implements enough of the published API for the official SDK, checks credentials as
the real one does, changes states with delays, meters the bill, and injects faults:

    with Hetzner(clock=Clock(speed=100)) as hetzner:
        opening = Opening(secrets=hetzner.secrets(), settings=hetzner.settings(), ...)
        provider = open_hetzner(opening)
        hetzner.faults.next(*hetzner.create_call, Fault(error="sold_out"))
        ...
        assert hetzner.still_billed() == []

Each service is in its provider's package (`materia_hetzner.emulator.service.Hetzner`); a service of
your own is a subclass of `Service` with `@route`s. `contract_world.CloudWorld` puts one behind
ProviderContract, `ssh_machines.machine.SshMachines` a real SSH server behind each instance. Nothing
here needs pytest. By hand: `materia emulator`.
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
