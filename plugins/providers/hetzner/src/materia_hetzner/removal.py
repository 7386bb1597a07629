"""Remove a worker and all that was made for it, until Hetzner itself says that it is gone."""

from __future__ import annotations

from datetime import timedelta

from hcloud.servers import Server
from materia.errors import CredentialsError, OrphanError, ProviderError
from materia.machines import Instance
from materia.marks import Mark
from materia.polling import poll

from materia_hetzner.offers import PROVIDER
from materia_hetzner.problems import ForeignError
from materia_hetzner.project import Project, region_of

CONSOLE = "https://console.hetzner.com"


def leftover(mark: Mark, region: str = "") -> Instance:
    """What is left of an instance whose server is not there, or not known."""
    return Instance(
        provider=PROVIDER,
        id="",
        name=mark.name,
        run=mark.run,
        stage=mark.stage,
        region=region,
        expires_at=mark.expires_at,
    )


def remove(project: Project, instance: Instance, *, patience: timedelta, late: bool) -> None:
    """Go over everything of the instance again and again, until nothing of it is left.

    Args:
        project: Where it is.
        instance: With its id or, for what is left of one, only its name.
        patience: How long to go on.
        late: Wait first for a server of that name, which may have been made and not be listed yet.

    Raises:
        OrphanError: something is still there.
        ForeignError: the server of that id or name is not materia's.
    """
    remains = [f"what was made for {instance.name}"]
    problem: ProviderError | None = None
    for _ in poll(patience):
        try:
            if late:
                project.await_named(instance.name)
                late = False
            remains, problem = _pass(project, instance), None
        except ForeignError:
            raise
        except CredentialsError as error:
            problem = error
            break  # waiting would not help
        except ProviderError as error:
            problem = error
        if not remains:
            return
    raise OrphanError(
        f"hetzner: this may still be there and cost money: {', '.join(remains)}"
        f"{f' ({problem})' if problem else ''}; delete it at {CONSOLE}"
    ) from problem


def _pass(project: Project, instance: Instance) -> list[str]:
    """Ask for the next things to be deleted; what is not gone yet, in words."""
    server = project.find(instance)
    if server is not None:
        if server.status != Server.STATUS_DELETING:
            project.mark_addresses(server)
            project.delete_server(int(str(server.id)))
        return [f"the server {server.id} ({server.name}) in {region_of(server)}"]
    if instance.id.isdecimal() and project.delete_server(int(instance.id)):
        # A server that was just made can be missing from answers and be there all the same.
        return [f"the server {instance.id} ({instance.name}) in {instance.region}"]
    found = [attached for mark, attached in project.loose() if mark.name == instance.name]
    for attached in instance.attached:
        if attached.kind == "address" and attached not in found and project.unassigned(attached):
            found.append(attached)
    for attached in found:
        project.delete(attached)
    return []
