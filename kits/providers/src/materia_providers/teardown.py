"""Teardown: destroy an instance and everything attached, until the provider confirms it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from materia.compute import Instance
from materia.errors import (
    ConfigError,
    CredentialsError,
    Made,
    MateriaError,
    OrphanError,
    ProviderError,
)

from materia_providers.labels import Owner
from materia_providers.polling import heed, poll

__all__ = [
    "ForeignError",
    "leaving_nothing",
    "leftover",
    "remove",
]

# One answer without labels is not enough to call a machine foreign.
FOREIGN_LOOKS = 3


class ForeignError(ProviderError):
    """Something with that id or name exists, but it is not materia's, so it must not be touched."""


def leftover(owner: Owner, *, provider: str, region: str = "") -> Instance:
    """An Instance for what is left of one whose machine is gone or unknown."""
    return Instance(
        provider=provider,
        id="",
        name=owner.name,
        run=owner.run,
        stage=owner.stage,
        region=region,
        expires_at=owner.expires_at,
    )


def remove(
    instance: Instance,
    delete_pass: Callable[[], Sequence[str]],
    *,
    console: str,
    patience: timedelta,
    await_late: Callable[[], object] | None = None,
    by_hand: Callable[[], str] | None = None,
) -> bool:
    """Delete everything of an instance, and repeat until nothing of it is left.

    Returns whether there was a machine; False when only its key was left. Unreadable answers are
    retried.

    Args:
        instance: The instance, with its id, or only its name for leftovers.
        delete_pass: Requests the next deletions; returns in words the things that still exist.
        console: Address where a person can delete by hand, for the message.
        patience: How long to retry.
        await_late: Waits for an instance of that name that was created but is not listed yet;
            called once, before anything else.
        by_hand: Returns an instruction for a person to delete what is left, instead of *console*.

    Raises:
        OrphanError: something is left, or may be.
        ForeignError: the thing with that id or name is not materia's.
    """
    remains: Sequence[str] = [f"what was made for {instance.name}"]
    problem: Exception | None = None
    made = False
    foreign = 0
    for left in poll(patience):
        try:
            if await_late is not None:
                await_late()
                await_late = None
            remains, problem, foreign = delete_pass(), None, 0
            made = made or bool(remains)
        except ForeignError as error:
            foreign += 1
            if foreign == FOREIGN_LOOKS or not left:
                raise
            problem = error
        except (ConfigError, CredentialsError) as error:
            problem = error
            break  # a retry would not help
        except Exception as error:  # noqa: BLE001 -- reported below: something may cost money
            problem = error
            foreign = 0
            heed(error, left)
        if problem is None and not remains:
            return made
    reason = str(problem) if isinstance(problem, MateriaError) else repr(problem)
    cure = by_hand() if by_hand else f"delete it at {console}"
    raise OrphanError(
        f"{instance.provider}: this may still be there and cost money: "
        f"{', '.join(remains) or instance.name}{f' ({reason})' if problem else ''}; {cure}"
    ) from problem


@contextmanager
def leaving_nothing(doing: str, undo: Callable[[BaseException], Made]) -> Iterator[None]:
    """Undo a failed create, so that nothing that costs money is left; raises materia's errors only.

    Args:
        doing: Beginning of a message, with the provider: `ovh: cannot create w1`.
        undo: Takes the error, removes by name and labels everything that may have been created, and
            returns what the provider bills all the same.

    Raises:
        OrphanError: something may be left.
        MateriaError: the error of the block, with what the provider bills all the same.
    """
    try:
        yield
    except BaseException as error:
        try:
            made = undo(error)
        except OrphanError as orphan:
            raise orphan from error
        if isinstance(error, ProviderError) and made:
            raise error.after_undoing(made) from error
        if isinstance(error, Exception) and not isinstance(error, MateriaError):
            raise ProviderError(
                f"{doing}: the answer cannot be read ({type(error).__name__}: {error})", made=made
            ) from error
        raise
