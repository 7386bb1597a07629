"""Remove a worker and all that was made for it, until Hetzner itself says that it is gone."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from hcloud.servers import Server
from materia.compute import Instance
from materia_providers import teardown as removal

from materia_hetzner.inventory import Project, region_of

CONSOLE = "https://console.hetzner.com"


def remove(project: Project, instance: Instance, *, patience: timedelta, late: bool) -> bool:
    """As the `remove` of `teardown`; *late* waits for a server that may not be listed yet."""
    return removal.remove(
        instance,
        partial(_go_over, project, instance),
        console=CONSOLE,
        patience=patience,
        await_late=partial(project.await_named, instance.name) if late else None,
    )


def _go_over(project: Project, instance: Instance) -> list[str]:
    """Ask for the next things to be deleted; what is not gone yet, in words."""
    # Names are unique here, so whatever identity a create has answered, this is the machine.
    server = project.find(instance) or project.named(instance.name)
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
