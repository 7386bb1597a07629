"""What a run gets from the environment of ESC that infra/ defines: opened, at an emulated ESC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.esc import TOKEN, Secret
from fakes.infra_settings import SETTINGS
from fakes.pulumi_engine.cloud import PulumiCloud
from materia_infra.environment import environment_text
from materia_runner.secrets.pulumi_esc import EscError, read_variables

NAME = "acme/beanflows/prod"
OUTPUTS = {
    "artifactsKeyId": "key of the artifacts",
    "artifactsKeySecret": "secret of the artifacts",
    "catalogKeyId": "key of the catalog",
    "catalogToken": "token of the catalog",
    "dataKeyId": "key of the data",
    "dataKeySecret": "secret of the data",
}


def opened(pulumi: PulumiCloud, *, catalog: bool) -> dict[str, str]:
    stack: dict[str, Any] = {"type": "pulumi:pulumi:Stack", "outputs": OUTPUTS}
    pulumi.states["acme/materia-infra/prod"] = {"deployment": {"resources": [stack]}}
    pulumi.definitions[NAME] = environment_text(replace(SETTINGS, catalog=catalog))
    return dict(read_variables(NAME, token=TOKEN, url=pulumi.url).values)


def test_a_run_gets_the_token_of_the_workers_and_what_the_stack_has_put_out() -> None:
    with PulumiCloud() as pulumi:
        pulumi.environments["acme/beanflows/workers"] = {"hetzner": Secret("token of workers")}

        both = {
            "HCLOUD_TOKEN": "token of workers",
            "MATERIA_ARTIFACTS_KEY_ID": "key of the artifacts",
            "MATERIA_ARTIFACTS_KEY_SECRET": "secret of the artifacts",
        }
        assert opened(pulumi, catalog=False) == {
            **both,
            "AWS_ACCESS_KEY_ID": "key of the data",
            "AWS_SECRET_ACCESS_KEY": "secret of the data",
        }
        assert opened(pulumi, catalog=True) == {
            **both,
            "ICEBERG_TOKEN": "token of the catalog",
            "ICEBERG_BUCKET_KEY": "key of the catalog",
        }


def test_a_run_also_gets_the_variables_that_people_added_to_the_environment_of_the_workers() -> (
    None
):
    with PulumiCloud() as pulumi:
        pulumi.environments["acme/beanflows/workers"] = {
            "hetzner": Secret("token of workers"),
            "environmentVariables": {"MATERIA_RUN_WEBHOOK": Secret("https://hc.example/key")},
        }

        got = opened(pulumi, catalog=True)

        assert got["MATERIA_RUN_WEBHOOK"] == "https://hc.example/key"
        assert "HCLOUD_TOKEN" in got


def test_without_the_environment_of_the_workers_nothing_is_read() -> None:
    with PulumiCloud() as pulumi, pytest.raises(EscError, match="not found"):
        opened(pulumi, catalog=False)
