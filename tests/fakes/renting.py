"""What tests of several providers ask for in the same words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from materia import Opening
from materia.compute import InstanceRequest, Offer
from materia_providers.cloud_init import generate_key
from materia_testing.emulation.service import Service


def opening(cloud: Service, **settings: object) -> Opening:
    """What a plugin is given to open: all that *cloud* says of itself, and *settings*."""
    return Opening(
        secrets=cloud.secrets(), settings={**cloud.settings(), **settings}, directory=Path()
    )


def request_for(offer: Offer, stage: str = "extract", **changes: Any) -> InstanceRequest:
    """A request for *offer*, with a key that a provider takes for one."""
    request = InstanceRequest(
        name=f"materia-20261124t085500-ab12cd-{stage}",
        run="20261124T085500-ab12cd",
        stage=stage,
        offer=offer,
        expires_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
        user_data="",
        public_key=generate_key().public,
    )
    return replace(request, **changes)


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    """An exception and all that are derived from it, however far."""
    return {kind}.union(*(all_subclasses(each) for each in kind.__subclasses__()))
