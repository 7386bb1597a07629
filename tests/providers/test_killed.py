"""A process that is killed in the middle leaves nothing that a sweep does not find."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from fakes import killed
from fakes.examples import of_each_kind
from materia.compute import Instance, InstanceRequest, Requirements
from materia.protocols import Provider
from materia_hetzner.emulator.service import Hetzner
from materia_oracle.emulator.service import Oracle
from materia_ovh.emulator.service import Ovh
from materia_providers.cloud_init import cloud_config, generate_key, user_data
from materia_scaleway.emulator.service import Scaleway
from materia_testing.emulation import Clock, Fault
from materia_testing.emulation.service import Service

NEEDS = Requirements(vcpus=2, memory_gib=Decimal(8), disk_gib=20, architectures=("x86_64",))
UNTIL = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT_MOST = 60


@pytest.fixture(
    params=of_each_kind([Hetzner, Oracle, Ovh, Scaleway], Hetzner),
    ids=["hetzner", "oracle", "ovh", "scaleway"],
)
def cloud(request: pytest.FixtureRequest) -> Iterator[Service]:
    with request.param(clock=Clock(speed=1000)) as cloud:
        yield cloud


def name_of(cloud: Service) -> str:
    return type(cloud).__name__.lower()


def opened(cloud: Service) -> Provider:
    return killed.opened(name_of(cloud), cloud.secrets(), cloud.settings())


def request_for(provider: Provider) -> InstanceRequest:
    config = cloud_config(
        login_key=generate_key().public,
        host_key=generate_key(),
        now=datetime(2026, 11, 24, 9, tzinfo=UTC),
        expires_at=UNTIL,
    )
    offers = [offer for offer in provider.offers(NEEDS) if offer.availability == "available"]
    return InstanceRequest(
        name="",  # for each run another
        run="",
        stage="extract",
        offer=min(offers, key=lambda offer: (offer.hourly.amount, offer.zone)),
        expires_at=UNTIL,
        user_data=user_data(config),
        public_key=generate_key().public,
    )


def ended_at(
    cloud: Service, number: int, doing: str, asked: InstanceRequest | Instance, file: Path
) -> int:
    """The exit code of a process that is killed when its request of that number had its effect."""
    file.write_bytes(pickle.dumps((cloud.settings(), asked)))
    # The answer to this request is so late that the process dies while it waits for it.
    cloud.faults.at(number, Fault(slow=60))
    last = cloud.faults.seen + number
    process = subprocess.Popen(
        [sys.executable, killed.__file__, doing, name_of(cloud), file],
        env={**os.environ, **cloud.secrets()},
    )
    end = time.monotonic() + 60
    while cloud.faults.seen < last and process.poll() is None:
        assert time.monotonic() < end, "it neither asks nor ends"
        time.sleep(0.01)
    time.sleep(0.05)  # for the effect
    process.send_signal(signal.SIGKILL)
    code = process.wait()
    cloud.faults.clear()
    return code


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["create", pytest.param("destroy", marks=pytest.mark.campaign)])
def test_a_process_that_is_killed_between_any_two_requests_leaves_nothing_unfound(
    cloud: Service, doing: str, tmp_path: Path
) -> None:
    cloud.add_foreign()
    foreign = [(line.kind, line.id) for line in cloud.still_billed(foreign=True)]
    provider = opened(cloud)
    request = request_for(provider)
    left = 0
    for number in range(1, AT_MOST):
        # A run has a name of its own, and Oracle remembers names for a day.
        run = f"20261124T0855{number:02}-ab12cd"
        request = replace(request, run=run, name=f"materia-{run.lower()}-extract")
        asked = request if doing == "create" else provider.create_instance(request)

        code = ended_at(cloud, number, doing, asked, tmp_path / "asked")
        left += len(cloud.still_billed())
        sweeping = opened(cloud)
        for instance in sweeping.list_instances():
            sweeping.destroy_instance(instance)

        assert cloud.still_billed() == [], f"killed at request {number} of {doing}"
        if code != -signal.SIGKILL:  # it was done before it came to this request
            break

    assert code == 0
    assert number > 2, "there was no gap to be killed in"
    assert left > 0, "there was nothing to sweep"
    assert [(line.kind, line.id) for line in cloud.still_billed(foreign=True)] == foreign
