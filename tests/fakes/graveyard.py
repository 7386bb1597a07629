"""A plugin whose machines are files in the folder `graves`; some cannot be removed.

A file is named as its machine and holds the run and the deadline; one whose name begins with
`stuck` stays whatever is done, and one whose name begins with `key` is no machine, only what was
made before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fakes.rentals import BY_THE_HOUR, Rental
from materia import Opening, Plugin, Provider, hookimpl
from materia.compute import Attached, Instance
from materia.errors import OrphanError, ProviderError

GRAVES = "graves"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def bury(directory: Path, name: str, *, run: str = "r1", until: datetime = LONG_AGO) -> Path:
    """A machine of that name."""
    grave = directory / GRAVES / name
    grave.parent.mkdir(exist_ok=True)
    grave.write_text(f"{run} {until.isoformat()}")
    return grave


@dataclass
class Graveyard(Rental):
    """Rents nothing; has what lies in the folder."""

    folder: Path = Path()

    def list_instances(self) -> Sequence[Instance]:
        if (self.folder / "closed").exists():
            raise ProviderError("graveyard: the API is not there")
        return [_instance(grave) for grave in sorted(self.folder.glob("*"))]

    def destroy_instance(self, instance: Instance, /) -> None:
        grave = self.folder / instance.name
        if instance.name.startswith("stuck"):
            raise OrphanError(f"graveyard: {instance.name} will not go; delete it with a spade")
        grave.unlink(missing_ok=True)


def _instance(grave: Path) -> Instance:
    run, until = grave.read_text().split()
    expires_at = datetime.fromisoformat(until)
    return Instance(
        provider="graveyard",
        id="" if grave.name.startswith("key") else f"id-{grave.name}",
        name=grave.name,
        run=run,
        stage="extract",
        region="north",
        instance_type="g1",
        created_at=min(expires_at - timedelta(hours=1), datetime.now(UTC)),
        expires_at=expires_at,
        attached=(Attached(kind="volume", id="v", region="north"),),
    )


def open_graveyard(opening: Opening) -> Provider:
    return Graveyard(
        "graveyard",
        {"delay": "0", "failure": ""},
        {"g1": "0.06"},
        BY_THE_HOUR,
        folder=opening.directory / GRAVES,
    )


@hookimpl
def materia_providers() -> list[Plugin[Provider]]:
    return [
        Plugin(
            name="graveyard",
            summary="keeps what was left behind",
            open=open_graveyard,
            secrets=("GRAVEYARD_TOKEN",),
        )
    ]
