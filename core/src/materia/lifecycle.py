"""An instance that exists for one stage and not a moment longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from materia.errors import OrphanError
from materia.machines import Instance, InstanceRequest
from materia.protocols import Provider
from materia.signals import Interrupts

READY_TIMEOUT = timedelta(minutes=5)


@contextmanager
def ephemeral_instance(
    provider: Provider, request: InstanceRequest, interrupts: Interrupts
) -> Iterator[Instance]:
    """An instance that can be reached; it is gone when the block is left, however it is left.

    Raises:
        ProviderError: it could not be created or reached; nothing is left of it.
        OrphanError: it could not be destroyed.
    """
    with interrupts.held():
        instance = provider.create_instance(request)
        try:
            with interrupts.released():
                yield provider.wait_for_ssh(instance, timeout=READY_TIMEOUT)
        finally:
            destroy(provider, instance)


def destroy(provider: Provider, instance: Instance) -> None:
    """Destroy an instance and look that it is gone.

    Raises:
        OrphanError: the provider still lists it.
    """
    provider.destroy_instance(instance)
    for left in provider.list_instances():
        if left.name == instance.name:
            raise OrphanError(
                f"{instance.provider}: {instance.name} in {instance.region} was destroyed but is "
                f"still listed (id {left.id or 'none'}); delete it by hand"
            )


def sweep(provider: Provider) -> tuple[Instance, ...]:
    """Destroy every instance whose time is over, from any run, and return them."""
    listed = provider.list_instances()
    now = datetime.now(UTC)
    over = tuple(instance for instance in listed if instance.expires_at <= now)
    for instance in over:
        destroy(provider, instance)
    return over
