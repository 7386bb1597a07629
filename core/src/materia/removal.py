"""Remove what was made for a worker, until the provider itself says that nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from materia.errors import ConfigError, CredentialsError, MateriaError, OrphanError, ProviderError
from materia.machines import Instance
from materia.marks import Mark
from materia.polling import poll


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
) -> bool:
    """Go over everything of the instance again and again, until nothing of it is left.

    Whether there was a machine; False for one whose key alone was there.

    Args:
        instance: With its id or, for what is left of one, only its name.
        go_over: Asks for the next things to be deleted; what is not gone yet, in words.
        console: Where a person deletes by hand.
        patience: How long to go on.
        await_late: Waits for an instance of that name, which may have been made and not be listed
            yet; called once, before anything else.

    Raises:
        OrphanError: something is still there.
        ForeignError: what has that id or name is not materia's.
    """
    remains: Sequence[str] = [f"what was made for {instance.name}"]
    problem: MateriaError | None = None
    made = False
    for _ in poll(patience):
        try:
            if await_late is not None:
                await_late()
                await_late = None
            remains, problem = go_over(), None
            made = made or bool(remains)
        except ForeignError:
            raise
        except (ConfigError, CredentialsError) as error:
            problem = error
            break  # waiting would not help
        except ProviderError as error:
            problem = error
        if not remains:
            return made
    raise OrphanError(
        f"{instance.provider}: this may still be there and cost money: {', '.join(remains)}"
        f"{f' ({problem})' if problem else ''}; delete it at {console}"
    ) from problem
