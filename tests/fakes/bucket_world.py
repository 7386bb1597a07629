"""A bucket with copies of one run, the computers that use it, and the machines that they rented."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fakes.computers import RUN, Computer
from fakes.rental import Rental, offer
from fakes.s3 import S3Server
from materia.compute import Instance

KEY = f"m/ledger/coffee/{RUN}.json"
LATER = timedelta(minutes=16)  # than a copy is a sign of life


class World:
    """A bucket, computers that use it, and the machines that they rented."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.name = server.new_bucket()
        self.folder = folder
        self.machines = folder / "machines"
        self.kept_open: list[AbstractContextManager[Instance]] = []
        self.computers: list[Computer] = []
        self._count = 0

    def computer(self, **more: Any) -> Computer:
        self._count += 1
        folder = self.folder / f"computer {self._count}"
        self.computers.append(Computer(self.server.endpoint, self.name, folder, **more))
        return self.computers[-1]

    def close(self) -> None:
        for renting in self.kept_open:
            with suppress(Exception):  # the bucket of the test may be one that fails
                renting.__exit__(None, None, None)
        for computer in self.computers:
            computer.ledger.close()

    def rental(self) -> Rental:
        return Rental(self.machines, sold=[offer("small", hourly="0.02")])

    def kept(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.server.content(self.name, KEY))
        return values

    def age(self) -> None:
        """Let sixteen minutes pass since the copy was written."""
        copy = self.kept()
        if copy["alive_at"] is not None:
            moment = datetime.fromisoformat(copy["alive_at"]) - LATER
            self.write({**copy, "alive_at": moment.isoformat()})

    def write(self, content: bytes | dict[str, Any], key: str = KEY) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.server.client().put_object(Bucket=self.name, Key=key, Body=body)


def abandoned(world: World) -> Rental:
    """Rent, and vanish without a teardown: the copy has the intent."""
    old, rental = world.computer(), world.rental()
    old.begin()
    renting = old.rent(rental)
    instance = renting.__enter__()
    assert rental.created == [instance.name]
    world.kept_open.append(renting)  # or Python would end it, with a teardown
    return rental
