"""Lifecycle of a rented instance: create, wait for SSH, destroy, and verify that it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Literal, Protocol

from materia.compute import Instance, InstanceRequest
from materia.errors import CredentialsError, MateriaError, OrphanError, ProviderError
from materia.protocols import Provider
from materia.text import duration_text
from materia_providers.list_entries import left_out_of
from materia_providers.polling import poll

from materia_runner.signals import Interrupts

READY_TIMEOUT = timedelta(minutes=5)
# After a longer network outage, the machine is reported as an orphan, and swept later.
DESTROY_PATIENCE = timedelta(minutes=10)


class InstanceObserver(Protocol):
    """Observes every step in the life of one instance, before or after its effect.

    After a crash, only the observer's records are left.
    """

    def requesting(self) -> None:
        """The provider is asked for the instance next: from now on it may exist."""
        ...

    def refused(self, reason: str, /) -> None:
        """The provider created no instance."""
        ...

    def undone(self, made: Literal["address", "machine"], /) -> None:
        """The provider created it, or its address, and removed it again: paid for, and gone."""
        ...

    def created(self, instance: Instance, /) -> None:
        """The instance exists."""
        ...

    def ready(self, instance: Instance, /) -> None:
        """The instance answers over SSH."""
        ...

    def destroying(self, instance: Instance, /) -> None:
        """The instance is destroyed next."""
        ...

    def delayed(self, instance: Instance, reason: str, /) -> None:
        """The destroy call failed, and is retried."""
        ...

    def gone(self, instance: Instance, /) -> None:
        """The provider no longer lists the instance."""
        ...


@contextmanager
def rented_instance(
    provider: Provider,
    request: InstanceRequest,
    interrupts: Interrupts,
    observer: InstanceObserver,
    *,
    host_key: str | None,
    keep: bool = False,
    ready_timeout: timedelta = READY_TIMEOUT,
    patience: timedelta = DESTROY_PATIENCE,
) -> Iterator[Instance]:
    """Context manager: create an instance that can be reached, and destroy it on every exit.

    Signals are held back in the block, as a signal between its end and the destroy call would
    leave the instance behind: release them inside.

    Args:
        provider: The provider to rent from.
        request: The instance to create.
        interrupts: The signals.
        observer: Observes every step.
        host_key: The host key that was sent in the user data, as one line; None for the user's own
            machine.
        keep: Whether the instance stays when the block ends without an error.
        ready_timeout: How long the instance may take until it answers.
        patience: How long to retry the destroy call.

    Raises:
        Interrupted: a signal came; nothing is left.
        ProviderError: it could not be created or reached; nothing is left of it.
        OrphanError: it could not be destroyed, or it may have been created.
    """
    with interrupts.held():
        observer.requesting()
        try:
            instance = provider.create_instance(request)
        except OrphanError:
            raise
        except MateriaError as error:
            if isinstance(error, ProviderError) and error.made:
                observer.undone(error.made)
            else:
                observer.refused(str(error))
            raise
        except Exception as error:
            raise OrphanError(
                f"{request.offer.provider}: {request.name} may exist, as the plugin failed while "
                f"it was created: {_text(error)}; run `materia sweep`, or delete it by hand"
            ) from error
        kept = False
        try:
            observer.created(instance)
            with interrupts.released():
                reached = interrupts.during(
                    lambda: reach(provider, instance, host_key, timeout=ready_timeout)
                )
                observer.ready(reached)
            yield reached
            kept = keep
        finally:
            if not kept:
                _end(provider, instance, observer, patience)


def reach(
    provider: Provider, instance: Instance, host_key: str | None, *, timeout: timedelta
) -> Instance:
    """Wait until the instance's SSH server shows *host_key*; returns it with its address.

    Raises:
        HostKeyError: after *timeout*, a server with another host key answers.
        ReadyTimeoutError: it does not run, or does not answer, after *timeout*.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    reached = provider.wait_for_ssh(instance, timeout=timeout)
    if reached.host is not None:
        from materia_runner.ssh.session import wait_until_reachable

        left = timedelta(seconds=max(deadline - time.monotonic(), 1.0))
        wait_until_reachable(reached.host, reached.port, host_key, left)
    return reached


def _end(
    provider: Provider, instance: Instance, observer: InstanceObserver, patience: timedelta
) -> None:
    """Destroy it, even when the ledger cannot be written: a full disk must not cost money."""
    unwritten: Exception | None = None
    try:
        observer.destroying(instance)
    except Exception as error:  # noqa: BLE001 -- raised below
        unwritten = error

    def delayed(reason: str) -> None:
        with suppress(Exception):  # the retry matters more than the report
            observer.delayed(instance, reason)

    destroy(provider, instance, patience=patience, delayed=delayed)
    observer.gone(instance)
    if unwritten is not None:
        raise unwritten


def destroy(
    provider: Provider,
    instance: Instance,
    *,
    patience: timedelta = DESTROY_PATIENCE,
    delayed: Callable[[str], None] = lambda _: None,
) -> None:
    """Destroy an instance, and verify that it is gone.

    Retries until *patience* is over when the provider cannot be reached.

    Args:
        provider: The instance's provider.
        instance: The instance to destroy.
        patience: How long to retry.
        delayed: Called with the reason of the first failure.

    Raises:
        OrphanError: the provider still lists it, or could not be reached.
    """
    said = False
    for left in poll(patience):
        try:
            provider.destroy_instance(instance)
            remaining = _listed(provider, instance)
        except OrphanError:
            raise
        except Exception as error:
            known = isinstance(error, ProviderError)  # else the plugin, or a setting, is at fault
            refused = isinstance(error, CredentialsError)
            final = refused or not known  # a retry would not help
            if final or not left:
                within = "" if final else f" within {duration_text(patience)}"
                answers = "the provider answers again" if known else "that is mended"
                when = "they are accepted again" if refused else answers
                raise OrphanError(
                    f"{instance.provider}: {instance.name} in {instance.region} (id "
                    f"{instance.id or 'none'}) could not be destroyed{within} and still costs "
                    f"money: {_text(error)}; run `materia sweep` when {when}, or delete it by hand"
                ) from error
            if not said:
                delayed(_text(error))
            said = True
        else:
            if not remaining:
                return
            raise OrphanError(
                f"{instance.provider}: {instance.name} in {instance.region} was destroyed but is "
                f"still listed (id {remaining[0].id or 'none'}); delete it by hand"
            )


def _text(error: Exception) -> str:
    """The message of *error*; of a fault in a plugin, its class, too."""
    return str(error) if isinstance(error, MateriaError) else f"{type(error).__name__}: {error}"


def _listed(provider: Provider, instance: Instance) -> list[Instance]:
    """Instances that the provider still lists under the name of *instance*.

    Raises:
        ProviderError: none is listed, and the provider could not list the instance's region.
    """
    listed = provider.list_instances()
    remaining = [one for one in listed if one.name == instance.name]
    unseen = [line for line in left_out_of(listed) if instance.region in line]
    if unseen and not remaining:
        raise ProviderError("; ".join(unseen))
    return remaining
