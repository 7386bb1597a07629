"""Live tests: a real cloud account as the world of a provider's contract; it costs money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from materia.errors import MateriaError
from materia.protocols import Provider

from materia_testing.contracts.world import ABILITIES, FAULTS, Billed


class LiveWorld:
    """The real service of a provider that is opened with real credentials.

    This asks the provider itself for leftovers, so it misses one that the provider does not list:
    use a separate account or project, and check its console afterwards.
    """

    errors: Mapping[str, type[MateriaError]] = {}

    def __init__(self, open_provider: Callable[[], Provider]) -> None:
        self._open = open_provider

    @property
    def lacks(self) -> Mapping[str, str]:
        """Every fault, and everything that only the service itself can see."""
        blind = [*FAULTS, *(name for name in ABILITIES if name != "ssh")]
        return dict.fromkeys(blind, "a real account has only the functions of its API")

    def requests(self) -> int:
        """Zero: requests cannot be counted here."""
        return 0

    def inject(self, fault: str, *, at: int | None = None, lasting: bool = False) -> None:
        """Not supported: a real account has no fault injection."""
        raise NotImplementedError(f"a real account cannot do {fault}")

    def heal(self) -> None:
        """Nothing to do: no fault was injected."""

    def still_billed(self) -> Sequence[Billed]:
        """The resources that a new provider lists."""
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
        """Unknown, so the list is empty."""
        return ()

    def add_look_alike(self, instance_id: str) -> str:
        """Not supported: only the provider creates resources here."""
        raise NotImplementedError(f"a real account gets no look-alike of {instance_id}")

    def sell_out(self, instance_type: str) -> None:
        """Not supported: only customers of a provider use up its stock."""
        raise NotImplementedError(f"a real account cannot use up all {instance_type}")

    def user_data(self, instance_id: str) -> str:
        """Not supported: not every API returns the user data."""
        raise NotImplementedError("a real account does not show user data")

    def host_key(self, instance_id: str) -> str:
        """The host key that the machine shows to every SSH client."""
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
