"""Teardown: delete a worker's server, addresses, volumes and key until all are gone."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from hcloud.servers import Server
from materia.compute import Instance
from materia_providers import teardown as removal

from materia_hetzner.inventory import Project, region_of

CONSOLE = "https://console.hetzner.com"


def remove(project: Project, instance: Instance, *, patience: timedelta, late: bool) -> bool:
    """Delete an instance; with *late*, wait for a server that may not be listed yet."""
    return removal.remove(
        instance,
        partial(_delete_pass, project, instance),
        console=CONSOLE,
        patience=patience,
        await_late=partial(project.await_named, instance.name) if late else None,
    )


def _delete_pass(project: Project, instance: Instance) -> list[str]:
    """Delete what can be deleted now; return descriptions of what is not gone yet."""
    # Names are unique, so this is the machine whatever id a create has answered.
    server = project.find(instance) or project.named(instance.name)
    if server is not None:
        if server.status != Server.STATUS_DELETING:
            project.label_addresses(server)
            project.delete_server(int(str(server.id)))
        return [f"the server {server.id} ({server.name}) in {region_of(server)}"]
    if instance.id.isdecimal() and project.delete_server(int(instance.id)):
        # A new server can be missing from answers although it exists.
        return [f"the server {instance.id} ({instance.name}) in {instance.region}"]
    found = [attached for owner, attached in project.loose() if owner.name == instance.name]
    for attached in instance.attached:
        if attached.kind == "address" and attached not in found and project.unassigned(attached):
            found.append(attached)
    for attached in found:
        project.delete(attached)
    return []
