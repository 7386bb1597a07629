"""The Pulumi program: settings in, resources and outputs out."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_pulumiservice as service

from materia_infra.environment import environment_text
from materia_infra.settings import Settings, Supervisor
from materia_infra.storage import make_storage
from materia_infra.supervisor import make_supervisor


def main() -> None:
    """Make what the stack's configuration describes, and export what there is to know."""
    for name, value in make(read_settings(pulumi.Config(), pulumi.get_stack())).items():
        pulumi.export(name, value)


def make(settings: Settings) -> Mapping[str, pulumi.Output[str]]:
    """Make the resources; returns the outputs of the stack."""
    made = dict(make_storage(settings))
    if settings.supervisor is not None:
        made |= make_supervisor(settings, settings.supervisor)
    service.Environment(
        "environment",
        organization=settings.organization,
        project=settings.project,
        name=settings.stack,
        yaml=pulumi.StringAsset(environment_text(settings)),
    )
    return made


def read_settings(config: pulumi.Config, stack: str) -> Settings:
    """The settings in the stack's configuration.

    Raises:
        SettingsError: one is wrong.
        pulumi.ConfigMissingError: a required one is missing.
    """
    usual = Settings(organization="usual", stack="usual", account="0" * 32)
    return Settings(
        organization=config.require("organization"),
        stack=stack,
        account=config.require("cloudflareAccount"),
        project=config.get("project") or usual.project,
        artifacts_bucket=config.get("artifactsBucket") or usual.artifacts_bucket,
        data_bucket=config.get("dataBucket") or usual.data_bucket,
        location=config.get("bucketLocation") or usual.location,
        jurisdiction=config.get("jurisdiction") or usual.jurisdiction,
        catalog=config.get_bool("catalog") or False,
        protect=config.get_bool("protect") is not False,
        supervisor=_supervisor(config) if config.get_bool("supervisor") else None,
    )


def _supervisor(config: pulumi.Config) -> Supervisor:
    return Supervisor(
        server_type=config.require("serverType"),
        image=config.get("image") or "debian-12",
        location=config.require("location"),
        ipv4=config.get_bool("ipv4") is not False,
        login_key=config.require("loginKey").strip(),
        host_key=config.require("hostKey"),
        ssh_from=tuple(config.get_object("sshFrom") or ()),
    )
