"""The supervisor at Hetzner: a server, its firewall, and the key of who enrolls it."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_hcloud as hcloud

from materia_infra.labels import LABELS
from materia_infra.settings import Settings, Supervisor, public_part
from materia_infra.user_data import user_data

# Names are unique at Hetzner: a successor gets the name only when the old one is gone.
REPLACING = pulumi.ResourceOptions(delete_before_replace=True)


def make_supervisor(settings: Settings, wanted: Supervisor) -> Mapping[str, pulumi.Output[str]]:
    """Make the supervisor; returns what is needed to enroll it."""
    key = hcloud.SshKey(
        "operator",
        name=f"materia-operator-{settings.stack}",
        public_key=wanted.login_key,
        labels=LABELS,
        opts=REPLACING,
    )
    firewall = hcloud.Firewall(
        "supervisor",
        name=f"materia-supervisor-{settings.stack}",
        labels=LABELS,
        rules=[
            hcloud.FirewallRuleArgs(
                direction="in",
                protocol="tcp",
                port="22",
                source_ips=list(wanted.ssh_from),
                description="enroll and repair",
            )
        ]
        if wanted.ssh_from
        else [],  # without a rule, nothing gets in
    )
    server = hcloud.Server(
        "supervisor",
        name=f"materia-supervisor-{settings.stack}",
        server_type=wanted.server_type,
        keep_disk=True,  # with a larger disk, no smaller type would be possible any more
        image=wanted.image,
        location=wanted.location,
        labels=LABELS,
        ssh_keys=[key.id],
        firewall_ids=[firewall.id.apply(int)],
        public_nets=[hcloud.ServerPublicNetArgs(ipv4_enabled=wanted.ipv4, ipv6_enabled=True)],
        user_data=pulumi.Output.secret(user_data(wanted)),
        opts=REPLACING,
    )
    return {
        "supervisorAddress": server.ipv4_address if wanted.ipv4 else server.ipv6_address,
        "supervisorHostKey": pulumi.Output.from_input(public_part(wanted.host_key)),
    }
