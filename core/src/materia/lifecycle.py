"""An instance that exists for one stage and not a moment longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from materia.errors import CredentialsError, OrphanError, ProviderError
from materia.machines import Instance, InstanceRequest
from materia.polling import poll
from materia.protocols import Provider
from materia.signals import Interrupts

READY_TIMEOUT = timedelta(minutes=5)
# A network that is lost for longer than this has the machine told as an orphan, and swept later.
DESTROY_PATIENCE = timedelta(minutes=10)


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


def destroy(
    provider: Provider,
    instance: Instance,
    *,
    patience: timedelta = DESTROY_PATIENCE,
    delayed: Callable[[str], None] = lambda _: None,
) -> None:
    """Destroy an instance and look that it is gone.

    A provider that cannot be reached is asked again until *patience* is over.

    Args:
        provider: Who has it.
        instance: What to destroy.
        patience: How long a provider that fails is asked again.
        delayed: Called with the reason when it fails for the first time.

    Raises:
        OrphanError: the provider still lists it, or could not be asked.
    """
    said = False
    for left in poll(patience):
        try:
            provider.destroy_instance(instance)
            remaining = [one for one in provider.list_instances() if one.name == instance.name]
        except (OrphanError, CredentialsError):
            raise  # asking again would change nothing
        except ProviderError as error:
            if not said:
                delayed(str(error))
            said = True
            if not left:
                raise OrphanError(
                    f"{instance.provider}: {instance.name} in {instance.region} (id "
                    f"{instance.id or 'none'}) could not be destroyed within "
                    f"{patience.total_seconds() / 60:.3g} min and still costs money: {error}; "
                    "run `materia sweep` when the provider answers again, or delete it by hand"
                ) from error
        else:
            if not remaining:
                return
            raise OrphanError(
                f"{instance.provider}: {instance.name} in {instance.region} was destroyed but is "
                f"still listed (id {remaining[0].id or 'none'}); delete it by hand"
            )


def sweep(provider: Provider) -> tuple[Instance, ...]:
    """Destroy every instance whose time is over, from any run, and return them."""
    listed = provider.list_instances()
    now = datetime.now(UTC)
    over = tuple(instance for instance in listed if instance.expires_at <= now)
    for instance in over:
        destroy(provider, instance)
    return over
