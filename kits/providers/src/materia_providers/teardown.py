"""Remove what was made for a worker, until the provider itself says that nothing of it is left."""

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

from materia_providers.labels import Mark
from materia_providers.polling import heed, poll

__all__ = [
    "ForeignError",
    "leaving_nothing",
    "leftover",
    "remove",
]

# One answer that came without its labels makes nothing foreign.
FOREIGN_LOOKS = 3


class ForeignError(ProviderError):
    """It is there, and it is not materia's to touch."""


def leftover(mark: Mark, *, provider: str, region: str = "") -> Instance:
    """What is left of an instance that is not there, or not known."""
    return Instance(
        provider=provider,
        id="",
        name=mark.name,
        run=mark.run,
        stage=mark.stage,
        region=region,
        expires_at=mark.expires_at,
    )


def remove(
    instance: Instance,
    go_over: Callable[[], Sequence[str]],
    *,
    console: str,
    patience: timedelta,
    await_late: Callable[[], object] | None = None,
    by_hand: Callable[[], str] | None = None,
) -> bool:
    """Go over everything of the instance again and again, until nothing of it is left.

    Whether there was a machine; False for one whose key alone was there. An answer that cannot be
    read, of whatever kind, is asked for again.

    Args:
        instance: With its id or, for what is left of one, only its name.
        go_over: Asks for the next things to be deleted; what is not gone yet, in words.
        console: Where a person deletes by hand.
        patience: How long to go on.
        await_late: Waits for an instance of that name, which may have been made and not be listed
            yet; called once, before anything else.
        by_hand: How a person deletes what is left, in place of *console*.

    Raises:
        OrphanError: something is still there, or may be.
        ForeignError: what has that id or name is not materia's.
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
            remains, problem, foreign = go_over(), None, 0
            made = made or bool(remains)
        except ForeignError as error:
            foreign += 1
            if foreign == FOREIGN_LOOKS or not left:
                raise
            problem = error
        except (ConfigError, CredentialsError) as error:
            problem = error
            break  # waiting would not help
        except Exception as error:  # noqa: BLE001 -- said at the end: something may cost money
            problem = error
            foreign = 0
            heed(error, left)
        if problem is None and not remains:
            return made
    told = str(problem) if isinstance(problem, MateriaError) else repr(problem)
    cure = by_hand() if by_hand else f"delete it at {console}"
    raise OrphanError(
        f"{instance.provider}: this may still be there and cost money: "
        f"{', '.join(remains) or instance.name}{f' ({told})' if problem else ''}; {cure}"
    ) from problem


@contextmanager
def leaving_nothing(doing: str, undo: Callable[[BaseException], Made]) -> Iterator[None]:
    """Undo what a create began when it fails, before its error gets out; only errors of ours do.

    Args:
        doing: For a message, with the provider: `ovh: cannot create w1`.
        undo: Removes, by name and labels, all that may have been made; says what of it has to be
            paid for. It is given the error.

    Raises:
        OrphanError: something may be left.
        MateriaError: as the block raised it, with what has to be paid for all the same.
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
