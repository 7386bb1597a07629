"""Remove a worker and all that was made for it, until OVHcloud itself says that it is gone."""

from __future__ import annotations

from datetime import timedelta

from materia.errors import ConfigError, CredentialsError, MateriaError, OrphanError, ProviderError
from materia.machines import Instance
from materia.marks import Mark
from materia.polling import poll

from materia_ovh.account import Account
from materia_ovh.offers import PROVIDER
from materia_ovh.problems import ForeignError

CONSOLE = "https://www.ovh.com/manager/#/public-cloud"


def leftover(mark: Mark, region: str = "") -> Instance:
    """What is left of an instance that is not there, or not known."""
    return Instance(
        provider=PROVIDER,
        id="",
        name=mark.name,
        run=mark.run,
        stage=mark.stage,
        region=region,
        expires_at=mark.expires_at,
    )


def remove(account: Account, instance: Instance, *, patience: timedelta, late: bool) -> None:
    """Go over everything of the instance again and again, until nothing of it is left.

    Args:
        account: Where it is.
        instance: With its id or, for what is left of one, only its name.
        patience: How long to go on.
        late: Wait first for an instance of that name, which may be made and not be listed yet.

    Raises:
        OrphanError: something is still there.
        ForeignError: the instance of that id is not materia's.
    """
    remains = [f"what was made for {instance.name}"]
    problem: MateriaError | None = None
    for _ in poll(patience):
        try:
            if late:
                account.await_named(instance.name)
                late = False
            remains, problem = _pass(account, instance), None
        except ForeignError:
            raise
        except (ConfigError, CredentialsError) as error:
            problem = error
            break  # waiting would not help
        except ProviderError as error:
            problem = error
        if not remains:
            return
    raise OrphanError(
        f"ovh: this may still be there and cost money: {', '.join(remains)}"
        f"{f' ({problem})' if problem else ''}; delete it at {CONSOLE}"
    ) from problem


def _pass(account: Account, instance: Instance) -> list[str]:
    """Ask for the next things to be deleted; what is not gone yet, in words."""
    body = account.find(instance)
    if body is not None:
        if body["status"] != "DELETING":
            account.delete(f"delete the instance {body['id']}", f"/instance/{body['id']}")
        return [f"the instance {body['id']} ({instance.name}) in {body['region']}"]
    # An instance that was just made can be missing from answers and be there all the same.
    if instance.id and account.delete(
        f"delete the instance {instance.id}", f"/instance/{instance.id}"
    ):
        return [f"the instance {instance.id} ({instance.name}) in {instance.region}"]
    if instance.id and (second := account.named(instance.name)):
        # Names are not unique here: two creates at the same moment make two instances.
        return _pass(account, account.instance(second))
    for key in account.ssh_keys():
        if key.mark.name == instance.name:
            account.delete(f"delete the SSH key of {instance.name}", f"/sshkey/{key.id}")
    return []
