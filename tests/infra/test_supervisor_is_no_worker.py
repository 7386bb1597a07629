"""A sweep leaves the supervisor alone: neither its labels nor its name are those of a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fakes.hetzner_open import opened
from fakes.infra_settings import SUPERVISOR
from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from materia_hetzner.emulator.service import Hetzner
from materia_infra.labels import LABELS
from materia_infra.user_data import user_data
from materia_runner.ledger.state import State
from materia_runner.rental.sweep import try_sweep

LATER = timedelta(days=400)  # past every deadline


def test_a_sweep_of_the_supervisor_s_own_project_leaves_it_alone(tmp_path: Path) -> None:
    with Hetzner() as cloud:
        provider = opened(cloud)
        client = Client(cloud.token, f"{cloud.url}/v1", timeout=2)
        client.servers.create(
            name="materia-supervisor-prod",
            server_type=ServerType(name="cpx22"),
            image=Image(name=SUPERVISOR.image),
            location=Location(name="fsn1"),
            labels=LABELS,
            user_data=user_data(SUPERVISOR),
        )

        now = datetime.now(UTC) + LATER
        swept = try_sweep(provider, name="hetzner", state=State(tmp_path), now=now)

        assert (swept.found, swept.kept) == ((), ())
        assert [one.name for one in client.servers.get_all()] == ["materia-supervisor-prod"]
