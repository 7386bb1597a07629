"""Teardown: delete a worker's instance and key until OVHcloud says that both are gone."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from materia.compute import Instance
from materia_providers import teardown as removal

from materia_ovh.inventory import Account

CONSOLE = "https://www.ovh.com/manager/#/public-cloud"


def remove(account: Account, instance: Instance, *, patience: timedelta, late: bool) -> bool:
    """Delete an instance; with *late*, wait for one that may not be listed yet."""
    return removal.remove(
        instance,
        partial(_delete_pass, account, instance),
        console=CONSOLE,
        patience=patience,
        await_late=partial(account.await_named, instance.name) if late else None,
    )


def _delete_pass(account: Account, instance: Instance) -> list[str]:
    """Delete what can be deleted now; return descriptions of what is not gone yet."""
    body = account.find(instance)
    if body is not None:
        if body["status"] != "DELETING":
            account.delete(f"delete the instance {body['id']}", f"/instance/{body['id']}")
        return [f"the instance {body['id']} ({instance.name}) in {body.get('region')}"]
    # A new instance can be missing from answers although it exists.
    if instance.id and account.delete(
        f"delete the instance {instance.id}", f"/instance/{instance.id}"
    ):
        return [f"the instance {instance.id} ({instance.name}) in {instance.region}"]
    if instance.id and (second := account.named(instance.name)):
        # Names are not unique here: two creates at the same moment make two instances.
        return _delete_pass(account, account.instance(second))
    for key in account.ssh_keys():
        if key.owner.name == instance.name:
            account.delete(f"delete the SSH key of {instance.name}", f"/sshkey/{key.id}")
    return []
