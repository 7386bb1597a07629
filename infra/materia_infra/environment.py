"""The environment of Pulumi ESC that runs read their secrets from, as text. Pure.

It holds no secret: the token that people typed for workers is in the environment `workers`, what
Pulumi made is in the outputs of this stack, and ESC puts both together when the environment is
opened. Every value of an imported environment goes to the program that opens this one. So it must
not import `accounts`, which has the tokens that could delete the supervisor and the buckets.
"""

from __future__ import annotations

from materia_infra.settings import Settings

WORKERS = "workers"
STACK = "materia-infra"


def environment_text(settings: Settings) -> str:
    """The definition of the environment, as YAML."""
    variables = {
        "HCLOUD_TOKEN": "${hetzner}",  # of the workers' project, never of the supervisor's
        # As [artifacts] own_key = true takes them: they go to no worker.
        "MATERIA_ARTIFACTS_KEY_ID": "${stacks.infra.artifactsKeyId}",
        "MATERIA_ARTIFACTS_KEY_SECRET": "${stacks.infra.artifactsKeySecret}",
    }
    if settings.catalog:
        variables |= {
            "ICEBERG_TOKEN": "${stacks.infra.catalogToken}",
            "ICEBERG_BUCKET_KEY": "${stacks.infra.catalogKeyId}",
        }
    else:  # of the sink s3
        variables |= {
            "AWS_ACCESS_KEY_ID": "${stacks.infra.dataKeyId}",
            "AWS_SECRET_ACCESS_KEY": "${stacks.infra.dataKeySecret}",
        }
    lines = [
        "imports:",
        f"  - {settings.project}/{WORKERS}",
        "values:",
        "  stacks:",
        "    fn::open::pulumi-stacks:",
        "      stacks:",
        "        infra:",
        f"          stack: {STACK}/{settings.stack}",
        "  environmentVariables:",
        *(f"    {name}: {value}" for name, value in variables.items()),
    ]
    return "\n".join([*lines, ""])
