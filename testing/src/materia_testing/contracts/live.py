"""A real account as the world of a provider's tests: it never fails on purpose, and costs money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from materia.errors import MateriaError
from materia.protocols import Provider

from materia_testing.contracts.world import ABILITIES, FAULTS, Billed


class LiveWorld:
    """The far end of a provider that is opened with real credentials.

    What is left is asked of the provider itself, so a leftover that it does not list goes unseen:
    use an account or project of its own and look at its console afterwards.
    """

    errors: Mapping[str, type[MateriaError]] = {}

    def __init__(self, open_provider: Callable[[], Provider]) -> None:
        self._open = open_provider

    @property
    def lacks(self) -> Mapping[str, str]:
        """Every fault, and what can be seen only from the other side."""
        blind = [*FAULTS, *(name for name in ABILITIES if name != "ssh")]
        return dict.fromkeys(blind, "a real account shows and does only what its API offers")

    def requests(self) -> int:
        """None are seen from here."""
        return 0

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        """Nothing can be made to fail."""
        raise NotImplementedError(f"a real account cannot do {fault}")

    def heal(self) -> None:
        """Nothing was made to fail."""

    def still_billed(self) -> Sequence[Billed]:
        """What a new provider lists."""
        found = []
        for instance in self._open().list_instances():
            if instance.id:
                found.append(Billed(kind="instance", id=instance.id, name=instance.name))
            found += [
                Billed(kind=attached.kind, id=attached.id, name=instance.name)
                for attached in instance.attached
            ]
        return found

    def foreign(self) -> Sequence[str]:
        """Unknown: nothing of others is touched that is not listed."""
        return ()

    def add_look_alike(self, instance_id: str) -> str:
        """Nothing is made here but by the provider."""
        raise NotImplementedError(f"a real account gets no look-alike of {instance_id}")

    def user_data(self, instance_id: str) -> str:
        """It is on the machine, and no API gives it back everywhere."""
        raise NotImplementedError("a real account does not show user data")

    def host_key(self, instance_id: str) -> str:
        """The key that the machine shows to anybody who connects."""
        import asyncio

        import asyncssh

        (host, port) = next(
            (one.host, one.port)
            for one in self._open().list_instances()
            if one.id == instance_id and one.host
        )
        key = asyncio.run(asyncssh.get_server_host_key(host, port))
        assert key is not None, f"{host} shows no host key"
        return " ".join(key.export_public_key().decode().split()[:2])
