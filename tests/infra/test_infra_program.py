"""What `pulumi up` would make, by the published SDKs: Pulumi's mocks stand for the engine."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fakes.infra_settings import ACCOUNT, KEY, SETTINGS, SUPERVISOR

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("pulumi_hcloud") is None,
        reason="the dependency group infra is not installed: uv sync --inexact --group infra",
    ),
]
MOCKED = Path(__file__).with_name("mocked.py")


def made(**changes: Any) -> dict[str, Any]:
    """What the program makes, in a process of its own: the SDKs fill it with threads."""
    settings = {**asdict(SETTINGS), **changes}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(MOCKED)],
        input=json.dumps(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    return made(catalog=True, supervisor=asdict(SUPERVISOR))


@pytest.fixture(scope="module")
def least() -> dict[str, Any]:
    return made()


def names(program: dict[str, Any]) -> list[str]:
    return sorted(f"{one['type'].rpartition(':')[2]} {one['name']}" for one in program["resources"])


def inputs(program: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        one["inputs"]
        for one in program["resources"]
        if (one["type"].rpartition(":")[2], one["name"]) == (kind, name)
    )
    values: dict[str, Any] = found
    return values


def test_the_program_makes_this_and_nothing_else(
    everything: dict[str, Any], least: dict[str, Any]
) -> None:
    storage = [
        "AccountToken artifacts",
        "Environment environment",
        "R2Bucket artifacts",
        "R2Bucket data",
        "R2BucketLifecycle artifacts",
        "R2BucketLifecycle data",
    ]
    more = [
        "AccountToken catalog",
        "Firewall supervisor",
        "R2DataCatalog catalog",
        "Server supervisor",
        "SshKey operator",
    ]
    assert names(least) == sorted([*storage, "AccountToken data"])
    assert names(everything) == sorted(storage + more)


def test_the_published_sdks_know_every_input_miss_none_and_allow_each_value(
    everything: dict[str, Any],
) -> None:
    assert [one["problems"] for one in everything["resources"]] == [[]] * 11


@contextmanager
def without_secrets(program: dict[str, Any]) -> Iterator[str]:
    shown = copy.deepcopy(program)
    del shown["resources"]
    yield json.dumps({name: one for name, one in shown["outputs"].items() if not one["secret"]})


def test_each_secret_output_is_marked_as_one(
    everything: dict[str, Any], least: dict[str, Any]
) -> None:
    secret = {name for name, one in everything["outputs"].items() if one["secret"]}

    assert secret == {"artifactsKeySecret", "catalogToken"}
    assert {name for name, one in least["outputs"].items() if one["secret"]} == {
        "artifactsKeySecret",
        "dataKeySecret",
    }
    with without_secrets(everything) as shown:
        assert KEY.private not in shown
        assert "value-of-" not in shown
    assert everything["outputs"]["supervisorHostKey"]["value"] == KEY.public


def test_nothing_deletes_an_object_by_its_age(everything: dict[str, Any]) -> None:
    for name in ("artifacts", "data"):
        (rule,) = inputs(everything, "R2BucketLifecycle", name)["rules"]
        assert set(rule) == {"id", "enabled", "conditions", "abortMultipartUploadsTransition"}


def test_the_buckets_are_protected(everything: dict[str, Any]) -> None:
    assert everything["protected"] == ["R2Bucket artifacts", "R2Bucket data"]


def test_what_has_a_unique_name_is_deleted_before_its_successor_is_made(
    everything: dict[str, Any],
) -> None:
    assert everything["deleted_before_replaced"] == ["SshKey operator", "Server supervisor"]


def test_a_token_reaches_the_bucket_of_its_use_alone(
    everything: dict[str, Any], least: dict[str, Any]
) -> None:
    def resources(program: dict[str, Any], name: str) -> set[str]:
        policies = inputs(program, "AccountToken", name)["policies"]
        assert {one["effect"] for one in policies} == {"allow"}
        return {key for one in policies for key in json.loads(one["resources"])}

    bucket = f"com.cloudflare.edge.r2.bucket.{ACCOUNT}_default_"
    assert resources(everything, "artifacts") == {f"{bucket}materia-artifacts"}
    assert resources(everything, "catalog") == {
        f"{bucket}materia-data",
        f"com.cloudflare.api.account.{ACCOUNT}",
    }
    assert resources(least, "artifacts") == {f"{bucket}materia-artifacts"}
    assert resources(least, "data") == {f"{bucket}materia-data"}


def test_the_supervisor_is_as_the_settings_say_and_no_worker_of_materia(
    everything: dict[str, Any],
) -> None:
    server = inputs(everything, "Server", "supervisor")
    wall = inputs(everything, "Firewall", "supervisor")

    assert (server["serverType"], server["image"], server["location"]) == (
        "cx23",
        "debian-12",
        "nbg1",
    )
    assert server["labels"] == {"role": "materia-supervisor"}
    assert [(rule["port"], rule["sourceIps"]) for rule in wall["rules"]] == [
        ("22", ["203.0.113.7/32"])
    ]
    assert len(server["firewallIds"]) == 1


def test_without_a_network_nothing_reaches_the_supervisor() -> None:
    closed = made(supervisor={**asdict(SUPERVISOR), "ssh_from": ()})

    assert inputs(closed, "Firewall", "supervisor")["rules"] == []


def test_the_check_against_the_sdks_finds_what_the_mocks_let_through() -> None:
    wrong = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRONG],
        cwd=MOCKED.parent,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(wrong.stdout) == [
        "R2Bucket misses account_id",
        "R2Bucket.location is 'moon', not one of ['apac', 'eeur', 'enam', 'weur', 'wnam', 'oc']",
        "R2Bucket has no colour",
        "Firewall.rules.protocol is 'pigeon', not one of ['tcp', 'icmp', 'udp', 'gre', 'esp']",
        "Firewall.rules has no prt",
    ]


WRONG = """
import json
import mocked
bucket = {"name": "x", "location": "moon", "colour": "red"}
rule = {"direction": "in", "protocol": "pigeon", "prt": "22"}
found = [
    *mocked.problems({"type": "cloudflare:index/r2Bucket:R2Bucket", "inputs": bucket}),
    *mocked.problems({"type": "hcloud:index/firewall:Firewall", "inputs": {"rules": [rule]}}),
]
print(json.dumps(found))
"""
